"""Fast numerics (floor 1): codecs, packing and bit-exact dot products in Numba, and in Torch for models.

Everything here answers to `densimeter.formats.reference`, the slow and exact specification. Imports only
`densimeter.formats`; it never imports its sibling `densimeter.rtl`, so that their agreement is evidence.
"""
