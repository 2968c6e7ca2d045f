"""Packing codes into the bytes that memory would hold, and back, in the layout of `formats.packing`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def _pack(codes, bits, out):  # type: ignore[no-untyped-def]
    held, pending, position = np.uint64(0), 0, 0
    for code in codes:
        held |= np.uint64(code) << np.uint64(pending)
        pending += bits
        while pending >= 8:
            out[position] = np.uint8(held & np.uint64(0xFF))
            held >>= np.uint64(8)
            pending -= 8
            position += 1
    if pending > 0:
        out[position] = np.uint8(held)


@njit(nogil=True, cache=True)
def _unpack(packed, bits, out):  # type: ignore[no-untyped-def]
    held, pending, position = np.uint64(0), 0, 0
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for i in range(out.size):
        while pending < bits:
            held |= np.uint64(packed[position]) << np.uint64(pending)
            pending += 8
            position += 1
        out[i] = held & mask
        held >>= np.uint64(bits)
        pending -= bits


def pack_bits(codes: NDArray[np.unsignedinteger], bits: int) -> bytes:
    """Pack a 1-D array of codes of `bits` bits (1 to 32), lowest bit first."""
    out = np.zeros(-(-codes.size * bits // 8), np.uint8)
    _pack(codes, bits, out)
    return out.tobytes()


def unpack_bits(
    packed: bytes, bits: int, count: int, dtype: np.dtype[np.unsignedinteger]
) -> NDArray[np.unsignedinteger]:
    """The first `count` codes of `bits` bits from packed bytes; the caller has checked the length."""
    out = np.empty(count, dtype)
    _unpack(np.frombuffer(packed, np.uint8), bits, out)
    return out
