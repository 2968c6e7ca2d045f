"""Packing shared out over threads: the bytes are those of one thread, and of the layout's definition."""

import numba
import numpy as np
import pytest

import densimeter.kernels as K
from densimeter.formats import get
from densimeter.formats.packing import pack_bits as specified
from densimeter.kernels.packing import pack_bits, unpack_bits
from densimeter.kernels.parameters import code_dtype
from densimeter.kernels.threads import FEWEST_VALUES


@pytest.mark.parametrize("bits", [1, 3, 6, 7, 9, 12, 17, 19, 24, 31, 33, 48])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 100])
def test_codes_of_any_width(bits: int, count: int) -> None:
    codes = np.random.default_rng(bits).integers(0, 1 << bits, count, dtype=np.uint64).astype(code_dtype(bits))
    packed, again = np.empty(-(-count * bits // 8), np.uint8), np.empty_like(codes)
    pack_bits(codes, bits, packed)
    assert packed.tobytes() == specified(codes.tolist(), bits)
    unpack_bits(packed, bits, again)
    np.testing.assert_array_equal(again, codes)


@pytest.mark.parametrize("name", ["tf32", "int3", "gguf_q5_1", "gguf_q8_0", "gguf_mxfp4"])
def test_as_many_threads_as_there_are(name: str) -> None:
    fmt, rows = get(name), 2 * FEWEST_VALUES // 256 + 3
    q = K.quantize(np.random.default_rng(9).standard_normal((rows, 256), np.float32), fmt)
    several, usual = q.pack(), numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert q.pack() == several
    finally:
        numba.set_num_threads(usual)
    read = K.unpack(several, fmt, q.shape)
    np.testing.assert_array_equal(read.codes, q.codes)
    np.testing.assert_array_equal(read.scales, q.scales)
