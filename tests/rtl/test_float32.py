"""binary32 addition and multiplication in hardware against numpy's, which round as IEEE 754 says.

A multiply-accumulate unit shows both: x*1 then y*1 leaves x+y in the register, a cleared x*y leaves the product.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import Stimulus, run

pytestmark = pytest.mark.rtl

NAN = np.uint32(0x7FC00000)
SIGN = np.uint32(0x80000000)
ONE = np.uint32(0x3F800000)
SMALLEST_NORMAL = 2.0**-126
CORNERS = [0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x00800001, 0x3F800000, 0x3F7FFFFF, 0x3F800001]
CORNERS += [0x33800000, 0x34000000, 0x4B7FFFFF, 0x7F7FFFFF, 0x7F000000, 0x7F800000, 0x7FC00000, 0x7F800001]
PAIRS = 4000

Codes = NDArray[np.uint32]


@pytest.mark.parametrize("flush", [False, True])
def test_sums(flush: bool) -> None:
    left, right = _pairs(seed=1)
    x, y = (_flushed(codes) if flush else codes for codes in (left, right))
    with np.errstate(all="ignore"):
        total = x.view(np.float32) + y.view(np.float32)
        exact = x.view(np.float32).astype(np.float64) + y.view(np.float32)
    sums = _register(total, exact, flush=flush)
    # The first of each pair is the register after a cleared x*1, where -0 became +0.
    first = np.where(np.isnan(x.view(np.float32)), NAN, np.where(x == SIGN, np.uint32(0), x))
    sums = np.where((x == SIGN) & (y == SIGN), np.uint32(0), sums)
    operands = np.stack([left, right], axis=1).reshape(-1, 1)
    expected = np.stack([first, sums], axis=1).reshape(-1)
    _compare(operands, np.full_like(operands, ONE), np.arange(2 * PAIRS) % 2 == 0, expected, flush=flush)


@pytest.mark.parametrize("flush", [False, True])
def test_products(flush: bool) -> None:
    left, right = _pairs(seed=2)
    x, y = (_flushed(codes) if flush else codes for codes in (left, right))
    with np.errstate(all="ignore"):
        product = x.view(np.float32) * y.view(np.float32)
        exact = x.view(np.float32).astype(np.float64) * y.view(np.float32)
    products = _register(product, exact, flush=flush)
    products = np.where(products == SIGN, np.uint32(0), products)
    _compare(left.reshape(-1, 1), right.reshape(-1, 1), np.ones(PAIRS, dtype=bool), products, flush=flush)


def _pairs(seed: int) -> tuple[Codes, Codes]:
    """Pairs of every kind: any bits, near in exponent, nearly equal, next to underflow and overflow, corner cases."""
    rng = np.random.default_rng(seed)
    left, right = (rng.integers(0, 1 << 32, PAIRS, dtype=np.uint32) for _ in range(2))
    kind = rng.integers(0, 5, PAIRS)
    near = (left & 0x7F800000) + (rng.integers(-30, 31, PAIRS) << 23)
    right = np.where(kind == 1, right & 0x807FFFFF | np.clip(near, 0, 0x7F800000).astype(np.uint32), right)
    ulps = rng.integers(-3, 4, PAIRS)
    right = np.where(kind == 2, ((left ^ SIGN).astype(np.int64) + ulps).astype(np.uint32), right)
    # Products close to 2^-126 and 2^128: the exponent fields add up to about 127+1 and 127+254.
    edge = np.where(rng.random(PAIRS) < 0.5, 127, 127 + 254) + rng.integers(-26, 4, PAIRS)
    field = np.clip(edge - (left >> 23 & 0xFF).astype(np.int64), 0, 254).astype(np.uint32)
    right = np.where(kind == 3, right & 0x807FFFFF | field << 23, right)
    corners = np.array(CORNERS, dtype=np.uint32)
    for codes in (left, right):
        chosen = rng.choice(corners, PAIRS) ^ (rng.integers(0, 2, PAIRS, dtype=np.uint32) << 31)
        codes[kind == 4] = chosen[kind == 4]
    small = rng.random(PAIRS) < 0.1
    return np.where(small, left & 0x81FFFFFF, left), np.where(small, right & 0x81FFFFFF, right)


def _flushed(codes: Codes) -> Codes:
    return np.where(codes & 0x7F800000 == 0, codes & SIGN, codes)


def _register(rounded: NDArray[np.float32], exact: NDArray[np.float64], *, flush: bool) -> Codes:
    """The bits of a result; when flushing, what is below 2^-126 before rounding is a zero of the same sign.

    Float64 holds products and sums close to 2^-126 exactly.
    """
    bits = rounded.view(np.uint32)
    if flush:
        bits = np.where(np.abs(exact) < SMALLEST_NORMAL, np.signbit(exact).astype(np.uint32) << 31, bits)
    return np.where(np.isnan(rounded), NAN, bits)


def _compare(left: Codes, right: Codes, clear: NDArray[np.bool_], expected: Codes, *, flush: bool) -> None:
    fmt = F.get("float32_ftz" if flush else "float32")
    datapath = F.derive(fmt, fmt, 1, "fp32_ftz" if flush else "fp32")
    unit = emit(datapath)
    result = run(unit.text, unit.name, datapath, Stimulus(left, right, clear=clear), expected)
    assert result.vectors_compared == len(expected)
    assert result.mismatches == 0, result.first_mismatch
