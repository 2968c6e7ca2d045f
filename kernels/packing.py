"""Packing codes into the bytes that memory would hold, and back, in the layouts of `formats.packing`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Codes = NDArray[np.unsignedinteger]

_CHUNK_BITS = 32


@njit(nogil=True, cache=True)
def _pack(codes, bits, out):  # type: ignore[no-untyped-def]
    held, pending, position = np.uint64(0), 0, 0
    for code in codes:
        rest, left = np.uint64(code), bits
        while left > 0:
            taken = min(left, _CHUNK_BITS)
            held |= (rest & np.uint64(0xFFFFFFFF)) << np.uint64(pending)
            rest >>= np.uint64(_CHUNK_BITS)
            pending += taken
            left -= taken
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
    for i in range(out.size):
        code, done = np.uint64(0), 0
        while done < bits:
            taken = min(bits - done, _CHUNK_BITS)
            while pending < taken:
                held |= np.uint64(packed[position]) << np.uint64(pending)
                pending += 8
                position += 1
            code |= (held & ((np.uint64(1) << np.uint64(taken)) - np.uint64(1))) << np.uint64(done)
            held >>= np.uint64(taken)
            pending -= taken
            done += taken
        out[i] = code


def pack_bits(codes: Codes, bits: int) -> bytes:
    """Pack a 1-D array of codes of `bits` bits (1 to 64), lowest bit first."""
    out = np.zeros(-(-codes.size * bits // 8), np.uint8)
    _pack(codes, bits, out)
    return out.tobytes()


def unpack_bits(packed: bytes, bits: int, count: int, dtype: np.dtype[np.unsignedinteger]) -> Codes:
    """The first `count` codes of `bits` bits from packed bytes; the caller has checked the length."""
    out = np.empty(count, dtype)
    _unpack(np.frombuffer(packed, np.uint8), bits, out)
    return out


def pack_ggml(codes: Codes, scales: Codes, element_bits: int, scale_bits: int) -> bytes:
    """Blocks [n, 32] of 4-bit, 5-bit or 8-bit codes and their scale codes [n], block after block."""
    narrow: NDArray[np.uint8] = codes.astype(np.uint8, copy=False)
    parts = [_little_endian(scales, scale_bits)]
    if element_bits == 5:
        parts.append(np.packbits(narrow >> 4, axis=1, bitorder="little"))
    low = narrow & np.uint8(15)
    parts.append(narrow if element_bits == 8 else low[:, :16] | low[:, 16:] << np.uint8(4))
    return np.concatenate(parts, axis=1).tobytes()


def unpack_ggml(packed: bytes, element_bits: int, scale_bits: int, count: int) -> tuple[Codes, Codes]:
    """(codes [n, 32], scale codes [n]) of `count` blocks; the caller has checked the length."""
    scale_bytes, top_bytes, low_bytes = scale_bits // 8, 4 if element_bits == 5 else 0, 32 if element_bits == 8 else 16
    blocks = np.frombuffer(packed, np.uint8).reshape(count, scale_bytes + top_bytes + low_bytes)
    codes = blocks[:, scale_bytes + top_bytes :]
    if element_bits != 8:
        codes = np.concatenate([codes & 15, codes >> 4], axis=1)
    if element_bits == 5:
        top = blocks[:, scale_bytes : scale_bytes + top_bytes]
        codes |= np.unpackbits(top, axis=1, bitorder="little") << 4
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :scale_bytes] = blocks[:, :scale_bytes]
    return np.ascontiguousarray(codes), wide.view("<u8")[:, 0].astype(np.uint64)


def _little_endian(codes: Codes, bits: int) -> NDArray[np.uint8]:
    """Codes [n] as bytes [n, bits / 8]."""
    return codes.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : bits // 8]
