"""The tiles of the matrix product against the general loop, group by group: each instruction, accumulator and edge."""

import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, IntElement, PowerOfTwoScale, default_lanes, derive, get
from densimeter.kernels import processor
from densimeter.kernels.adders import Exact
from densimeter.kernels.matmul import coded
from densimeter.kernels.plan import Plan, plan, slow_rows
from densimeter.kernels.registers import Float32Shifted
from densimeter.kernels.tile import tile_rows
from support.reference_tensor import assert_same_floats

matmul_module = sys.modules["densimeter.kernels.matmul"]


def numbers(*shape: int, seed: int = 0, spread: int = 4) -> NDArray[np.float32]:
    """Gaussians of different sizes, some zeros among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 2.0 ** rng.integers(-spread, spread + 1, shape)
    return np.where(rng.random(shape) < 0.1, 0, x).astype(np.float32)


def product(a: K.QuantizedTensor, w: K.QuantizedTensor, accumulator: str) -> NDArray[np.float32]:
    return K.matmul(a, w, activation=a.format, weight=w.format, accumulator=accumulator)


def plan_of(a: K.QuantizedTensor, w: K.QuantizedTensor, accumulator: str) -> Plan | None:
    lanes = default_lanes(a.format, w.format)
    return plan(coded(a, lanes), coded(w, lanes), derive(a.format, w.format, lanes, accumulator))


def general(a: K.QuantizedTensor, w: K.QuantizedTensor, accumulator: str) -> NDArray[np.float32]:
    """The same one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matmul_module, "plan", lambda *_: None)
        return product(a, w, accumulator)


def force(patch: pytest.MonkeyPatch, multipliers: str) -> None:
    """Do with less than the processor has: "bytes" and "pairs", "pairs" only, or "floats"."""
    patch.setattr(processor, "multiplies_bytes", lambda: multipliers == "bytes")
    patch.setattr(processor, "multiplies_pairs", lambda: multipliers != "floats")


needs_bytes = pytest.mark.skipif(not processor.multiplies_bytes(), reason="no dot product of bytes here")
needs_pairs = pytest.mark.skipif(not processor.multiplies_pairs(), reason="no dot product of 16-bit pairs here")

CASES = [
    ("bfp6", "bfp6", "fp32", "int8"),
    ("bfp6", "bfp6", "fp32_ftz", "int8"),
    ("bfp6", "bfp4", "fixed48:-24", "int8"),
    ("bfp8", "bfp8", "fixed20:-12", "int8"),  # saturates
    ("bfp6", "bfp6", "aligned24", "int8"),
    ("mxint8", "mxint8", "aligned40", "int8"),
    ("mxfp6_e3m2", "mxfp6_e3m2", "fp32", "int16"),  # 448 = 28 * 2**4
    ("mxfp4", "mxfp8_e4m3", "fp32", "int16, Split"),
    ("mxfp8_e4m3", "mxfp8_e4m3", "aligned48", "int16, Split"),
    ("mxfp8_e4m3", "mxfp8_e4m3", "fp32_ftz", "int16, Split"),
    ("mxfp8_e5m2", "mxfp8_e5m2", "fp32", "float64"),  # sums of 70 bits and more, but not of these values
    ("nvfp4", "nvfp4", "fp32", "int8"),
    ("nvfp4", "nvfp4", "aligned24", "int16"),  # 12 * 15 = 180
    ("gguf_q4_0", "gguf_q8_0", "fp32", "int8"),  # negative scales
    ("mx9", "mx9", "fp32", "int16"),  # 127 * 2 under a microexponent of zero
    ("mx6", "mx4", "aligned24", "int8"),
    ("bl8", "bl8", "fp32", "int16, SplitCut"),  # a window: products are cut off
    ("bl8", "bl8", "aligned32", "int16, SplitCut"),
    ("bfp6_b2x8", "bfp4", "fp32", "int8"),
    ("int8", "int8", "int32", "int8"),
    ("int8", "int8", "int16", "int8"),  # wraps
    ("int8", "int4", "int32_saturate", "int8"),
    ("int8", "int8", "int16_saturate", "int8"),  # saturates on the way
    ("int8", "int8", "fp32", "float32"),
]
FORCED = [
    ("bfp6", "bfp6", "fp32"),
    ("bfp6", "bfp4", "fixed48:-24"),
    ("bfp6", "bfp6", "aligned24"),
    ("nvfp4", "nvfp4", "fp32"),
    ("int8", "int8", "int16"),
]
SHAPES = [(5, 70, 37), (25, 128, 33), (1, 16, 1)]
SIZES = [1.0, 2.0**-70, 2.0**60]
"""Whose products' exponents float32 sums can and cannot take."""


def operands(
    activation: str, weight: str, shape: tuple[int, int, int], size: float
) -> tuple[K.QuantizedTensor, K.QuantizedTensor]:
    """With a block of zeros, and of NaN where the format has them."""
    m, k, n = shape
    a, w = numbers(m, k, seed=7, spread=8) * np.float32(size), numbers(n, k, seed=8, spread=8)
    a[0, :16] = 0
    if not get(activation).refuses_nan and m > 1:
        a[1, 3] = np.nan
    return K.quantize(a, get(activation)), K.quantize(w, get(weight))


@needs_bytes
@pytest.mark.parametrize(("activation", "weight", "accumulator", "adder"), CASES)
def test_the_fastest_exact_instruction_is_chosen(activation: str, weight: str, accumulator: str, adder: str) -> None:
    found = plan_of(*operands(activation, weight, SHAPES[0], 1.0), accumulator)
    assert found is not None
    assert (found.dtype if found.adder is Exact else f"{found.dtype}, {found.adder.__name__}") == adder


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("activation", "weight", "accumulator"), [case[:3] for case in CASES])
def test_tiles_change_no_bit(
    activation: str, weight: str, accumulator: str, shape: tuple[int, int, int], size: float
) -> None:
    given = operands(activation, weight, shape, size)
    assert_same_floats(product(*given, accumulator), general(*given, accumulator))


@needs_pairs
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("activation", "weight", "accumulator"), FORCED)
@pytest.mark.parametrize(("multipliers", "dtype"), [("pairs", "int16"), ("floats", "float32")])
def test_other_processors_make_the_same_bits(
    multipliers: str,
    dtype: str,
    activation: str,
    weight: str,
    accumulator: str,
    shape: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = operands(activation, weight, shape, 1.0)
    force(monkeypatch, multipliers)
    found = plan_of(*given, accumulator)
    assert found is not None
    assert found.dtype == dtype
    assert_same_floats(product(*given, accumulator), general(*given, accumulator))


@pytest.mark.parametrize("m", [1, 11, 12, 13, 25])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 33])
def test_edges_of_tiles(m: int, n: int) -> None:
    """Neither more nor less than the product is written, whatever rows and columns are over."""
    a, w = K.quantize(numbers(m, 37, seed=m), get("bfp6")), K.quantize(numbers(n, 37, seed=n), get("bfp6"))
    assert_same_floats(product(a, w, "fp32"), general(a, w, "fp32"))


def test_the_edges_tested_are_those_of_this_processor() -> None:
    assert 24 % tile_rows("int8", Exact, Float32Shifted) == 0


@pytest.mark.parametrize("lanes", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("k", [1, 15, 16, 17, 63])
def test_groups_that_are_no_whole_steps(lanes: int, k: int) -> None:
    """Four products go into an instruction: what is over in a group of 1, 2, 3 or 5 is filled up with zeros."""
    fmt = BlockFormat("integers by 15 or 16", IntElement(6), PowerOfTwoScale(), 15 if 15 % lanes == 0 else 16)
    a, w = numbers(3, k, seed=lanes), numbers(4, k, seed=k)
    with pytest.MonkeyPatch.context() as patch:
        fast = K.matmul(a, w, activation=fmt, weight=fmt, lanes=lanes)
        patch.setattr(matmul_module, "plan", lambda *_: None)
        assert_same_floats(fast, K.matmul(a, w, activation=fmt, weight=fmt, lanes=lanes))


@pytest.mark.parametrize("multipliers", ["bytes", "pairs", "floats"])
@pytest.mark.parametrize("bits", [8, 12, 15])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_fit(multipliers: str, bits: int, sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product the largest there is, 256 in a group: 2**(2 * bits - 2) * 256, with either sign."""
    force(monkeypatch, multipliers if processor.multiplies_bytes() else "floats")
    fmt = BlockFormat("integers", IntElement(bits))
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    a, w = np.full((2, 512), low, np.float32), np.full((3, 512), low if sign > 0 else high, np.float32)
    actual = K.matmul(a, w, activation=fmt, weight=fmt, lanes=256, accumulator="int48")
    np.testing.assert_array_equal(actual, np.float32(512 * low * (low if sign > 0 else high)))


@pytest.mark.parametrize("count", [65536, 65537, 140000])
def test_long_integer_sums_wrap_as_the_register_does(count: int) -> None:
    """2**14 * 65536 is 2**30; int32 wraps at 2**31, in instructions and between groups."""
    fmt = get("fixed8_f4")
    a = np.full((1, count), -8, np.float32)  # -128 / 2**4
    exact = 2**14 * count
    wrapped = (exact + 2**31) % 2**32 - 2**31
    assert K.matmul(a, a, activation=fmt, weight=fmt, accumulator="int32") == [[wrapped / 2.0**8]]
    assert K.matmul(a, a, activation=fmt, weight=fmt, accumulator="int40") == [[exact / 2.0**8]]
    saturated = min(exact, 2**31 - 1)
    actual = K.matmul(a, a, activation=fmt, weight=fmt, accumulator="int32_saturate")
    assert actual == [[np.float32(saturated / 2.0**8)]]


def test_only_what_no_tile_can_do_is_done_one_by_one() -> None:
    """Rows with a NaN; and with a block that spans 15 + 16 + 1 bits, twice which is above 53 less 5 for 32 products."""
    fmt = get("mxfp8_e5m2")
    a, w = numbers(6, 64, seed=1), numbers(5, 64, seed=2)
    a[4, 0], w[2, 40] = np.nan, np.inf
    a[1, :32] = w[3, :32] = [1, 2.0**-31, *[0] * 30]
    left, right = K.quantize(a, fmt), K.quantize(w, fmt)
    how = plan_of(left, right, "fp32")
    assert how is not None
    rows, columns = slow_rows(coded(left, 32), coded(right, 32), derive(fmt, fmt, 32, "fp32"), how)
    assert np.flatnonzero(rows).tolist() == [1, 4]
    assert np.flatnonzero(columns).tolist() == [2, 3]
    assert_same_floats(product(left, right, "fp32"), general(left, right, "fp32"))


def test_a_product_that_rounds_up_to_normal_is_flushed() -> None:
    """(1 - 2**-24) * 2**-126 is tiny before rounding; 2**-126 itself is not."""
    a, w = np.array([[1 - 2.0**-24], [1.0]], np.float32), np.array([[2.0**-126]], np.float32)
    fmt = get("float32_ftz")
    np.testing.assert_array_equal(
        K.matmul(a, w, activation=fmt, weight=fmt, accumulator="fp32_ftz"), [[0.0], [2.0**-126]]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features"), [("haswell", None), ("x86-64", "+sse2"), ("alderlake", None)])
def test_code_for_lesser_processors_runs(name: str, features: str | None) -> None:
    """Compiled afresh for what `NUMBA_CPU_NAME` says: vectors of 256 and 128 bits, and other instructions."""
    code = (
        "import numpy as np, densimeter.kernels as K\n"
        "from densimeter.formats import get\n"
        "x = np.random.default_rng(0).standard_normal((29, 80)).astype(np.float32)\n"
        "for name, accumulator in [('bfp6', 'fp32'), ('bfp6', 'fixed48:-24'), ('mxfp6_e3m2', 'aligned40'),\n"
        "                          ('mxfp8_e4m3', 'fp32'), ('bl8', 'fp32')]:\n"
        "    y = K.matmul(x, x[:21], activation=get(name), weight=get(name), accumulator=accumulator)\n"
        "    print(y.tobytes().hex())\n"
    )
    lesser = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features or ""}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | changes, capture_output=True, text=True, check=True
        ).stdout
        for changes in ({}, lesser)
    ]
    assert outputs[0] == outputs[1]
