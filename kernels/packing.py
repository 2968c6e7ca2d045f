"""Packing codes into the bytes that memory would hold, and back, in the layouts of `formats.packing`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from densimeter.kernels.threads import share_out

Codes = NDArray[np.unsignedinteger]

_WORD_BITS, _WORD_BYTES = 32, 4
_WIDEST_IN_A_LOAD = 57  # bits of a code that 64 bits hold whichever bit of a byte it begins at
_HALF = 16  # codes of a ggml block whose low four bits stand in low nibbles


@njit(nogil=True, cache=True)
def _pack(codes, bits, out):  # type: ignore[no-untyped-def]
    """Codes of any width, 32 bits written at a time; what is left at the end in bytes."""
    held, pending, position = np.uint64(0), 0, 0
    for code in codes:
        rest, left = np.uint64(code), bits
        while left > 0:
            taken = min(left, _WORD_BITS)
            held |= (rest & np.uint64(0xFFFFFFFF)) << np.uint64(pending)
            rest >>= np.uint64(_WORD_BITS)
            pending += taken
            left -= taken
            if pending >= _WORD_BITS:
                for byte in range(_WORD_BYTES):
                    out[position + byte] = np.uint8((held >> np.uint64(8 * byte)) & np.uint64(0xFF))
                held >>= np.uint64(_WORD_BITS)
                pending -= _WORD_BITS
                position += _WORD_BYTES
    while pending > 0:
        out[position] = np.uint8(held & np.uint64(0xFF))
        held >>= np.uint64(8)
        pending -= 8
        position += 1


@njit(nogil=True, cache=True)
def _unpack(packed, bits, out):  # type: ignore[no-untyped-def]
    """Codes of any width, each from the 64 bits that begin at its first byte; those near the end byte by byte."""
    mask, whole = (np.uint64(1) << np.uint64(bits)) - np.uint64(1), 0
    if bits <= _WIDEST_IN_A_LOAD and packed.size >= 8:
        whole = min(8 * (packed.size - 8) // bits + 1, out.size)
    for i in range(whole):
        first, word = i * bits >> 3, np.uint64(0)
        for byte in range(8):
            word |= np.uint64(packed[first + byte]) << np.uint64(8 * byte)
        out[i] = (word >> np.uint64(i * bits & 7)) & mask
    for i in range(whole, out.size):
        code, taken = np.uint64(0), 0
        while taken < bits:
            position = i * bits + taken
            within = position & 7
            code |= (np.uint64(packed[position >> 3]) >> np.uint64(within)) << np.uint64(taken)
            taken += 8 - within
        out[i] = code & mask


@njit(nogil=True, cache=True)
def _pack_eights(codes, bits, out):  # type: ignore[no-untyped-def]
    """Eight codes of less than eight bits, each a byte, make as many bytes as they have bits."""
    for group in range(codes.size // 8):
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(codes[8 * group + k]) << np.uint64(bits * k)
        for k in range(bits):
            out[bits * group + k] = np.uint8((word >> np.uint64(8 * k)) & np.uint64(0xFF))


@njit(nogil=True, cache=True)
def _unpack_eights(packed, bits, out):  # type: ignore[no-untyped-def]
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for group in range(out.size // 8):
        word = np.uint64(0)
        for k in range(bits):
            word |= np.uint64(packed[bits * group + k]) << np.uint64(8 * k)
        for k in range(8):
            out[8 * group + k] = np.uint8((word >> np.uint64(bits * k)) & mask)


def pack_bits(codes: Codes, bits: int, out: NDArray[np.uint8]) -> None:
    """Pack a 1-D array of codes of `bits` bits (1 to 64), lowest bit first, into as many bytes as they need."""
    if bits in (8, 16, 32, 64):
        out[:] = codes.astype(f"<u{bits // 8}", copy=False).view(np.uint8)
        return
    eights = codes.size // 8
    pack = _pack_eights if bits < 8 and codes.dtype == np.uint8 else _pack
    share_out(lambda a, z: pack(codes[8 * a : 8 * z], bits, out[bits * a : bits * z]), eights, codes.size)
    _pack(codes[8 * eights :], bits, out[bits * eights :])


def unpack_bits(packed: NDArray[np.uint8], bits: int, out: Codes) -> None:
    """Fill a 1-D array with codes of `bits` bits from packed bytes; the caller has checked the length."""
    if bits in (8, 16, 32, 64):
        out[:] = packed[: out.size * bits // 8].view(f"<u{bits // 8}")
        return
    eights = out.size // 8
    unpack = _unpack_eights if bits < 8 and out.dtype == np.uint8 else _unpack
    share_out(lambda a, z: unpack(packed[bits * a : bits * z], bits, out[8 * a : 8 * z]), eights, out.size)
    _unpack(packed[bits * eights :], bits, out[8 * eights :])


def pack_ggml(codes: Codes, scales: Codes, element_bits: int, scale_bits: int, out: NDArray[np.uint8]) -> None:
    """Blocks [n, 32] of 4-bit, 5-bit or 8-bit codes and their scale codes [n], block after block, into bytes."""
    blocks, narrow = _rows(out, len(codes)), codes.astype(np.uint8, copy=False)
    share_out(
        lambda a, z: _pack_blocks(narrow[a:z], scales[a:z], element_bits, scale_bits // 8, blocks[a:z]),
        len(codes),
        codes.size,
    )


def unpack_ggml(packed: NDArray[np.uint8], element_bits: int, scale_bits: int, codes: Codes, scales: Codes) -> None:
    """Fill codes [n, 32] and scale codes [n] from the bytes of n blocks; the caller has checked the length."""
    blocks = _rows(packed, len(codes))
    share_out(
        lambda a, z: _unpack_blocks(blocks[a:z], element_bits, scale_bits // 8, codes[a:z], scales[a:z]),
        len(codes),
        codes.size,
    )


def _rows(raw: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    return raw.reshape(count, raw.size // max(count, 1))


@njit(nogil=True, cache=True)
def _pack_blocks(codes, scales, element_bits, scale_bytes, out):  # type: ignore[no-untyped-def]
    for block in range(len(codes)):
        for byte in range(scale_bytes):
            out[block, byte] = np.uint8((np.uint64(scales[block]) >> np.uint64(8 * byte)) & np.uint64(0xFF))
        at = scale_bytes
        if element_bits == 8:
            for j in range(2 * _HALF):
                out[block, at + j] = codes[block, j]
            continue
        if element_bits == 5:
            top = np.uint32(0)
            for j in range(2 * _HALF):
                top |= np.uint32(codes[block, j] >> 4) << np.uint32(j)
            for byte in range(_WORD_BYTES):
                out[block, at + byte] = np.uint8((top >> np.uint32(8 * byte)) & np.uint32(0xFF))
            at += _WORD_BYTES
        for j in range(_HALF):
            out[block, at + j] = (codes[block, j] & 15) | ((codes[block, j + _HALF] & 15) << 4)


@njit(nogil=True, cache=True)
def _unpack_blocks(packed, element_bits, scale_bytes, codes, scales):  # type: ignore[no-untyped-def]
    for block in range(len(codes)):
        scale = np.uint64(0)
        for byte in range(scale_bytes):
            scale |= np.uint64(packed[block, byte]) << np.uint64(8 * byte)
        scales[block] = scale
        at = scale_bytes
        if element_bits == 8:
            for j in range(2 * _HALF):
                codes[block, j] = packed[block, at + j]
            continue
        top = np.uint32(0)
        if element_bits == 5:
            for byte in range(_WORD_BYTES):
                top |= np.uint32(packed[block, at + byte]) << np.uint32(8 * byte)
            at += _WORD_BYTES
        for j in range(_HALF):
            low, high = (top >> np.uint32(j)) & np.uint32(1), (top >> np.uint32(j + _HALF)) & np.uint32(1)
            codes[block, j] = (packed[block, at + j] & 15) | (low << 4)
            codes[block, j + _HALF] = (packed[block, at + j] >> 4) | (high << 4)
