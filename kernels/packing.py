"""Packing codes into the bytes that memory would hold, and back, in the layouts of `formats.packing`."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from densimeter.kernels.threads import share_out

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


@njit(nogil=True, cache=True)
def _pack_eights(first, stop, codes, bits, out):  # type: ignore[no-untyped-def]
    """Eight codes of at most eight bits make as many bytes as they have bits."""
    for group in range(first, stop):
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(codes[8 * group + k]) << np.uint64(bits * k)
        for k in range(bits):
            out[bits * group + k] = np.uint8((word >> np.uint64(8 * k)) & np.uint64(0xFF))


@njit(nogil=True, cache=True)
def _unpack_eights(first, stop, packed, bits, out):  # type: ignore[no-untyped-def]
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for group in range(first, stop):
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
    eights = codes.size // 8 if bits < 8 and codes.dtype == np.uint8 else 0
    if eights:
        share_out(lambda first, stop: _pack_eights(first, stop, codes, bits, out), eights, codes.size)
    _pack(codes[8 * eights :], bits, out[bits * eights :])


def unpack_bits(packed: NDArray[np.uint8], bits: int, out: Codes) -> None:
    """Fill a 1-D array with codes of `bits` bits from packed bytes; the caller has checked the length."""
    if bits in (8, 16, 32, 64):
        out[:] = packed[: out.size * bits // 8].view(f"<u{bits // 8}")
        return
    eights = out.size // 8 if bits < 8 and out.dtype == np.uint8 else 0
    if eights:
        share_out(lambda first, stop: _unpack_eights(first, stop, packed, bits, out), eights, out.size)
    _unpack(packed[bits * eights :], bits, out[8 * eights :])


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
