"""Tensor-core sums against a plain loop over fractions that follows the published definition."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, FormatError, get, parse
from densimeter.kernels.tensor_core import (
    ADA_FP8,
    HOPPER_FP8,
    HOPPER_FP16,
    RTX_BLACKWELL_FP8,
    TensorCore,
    tensor_core_matmul,
)
from support.reference_tensor import assert_same_floats

E4M3 = parse({"element": {"kind": "float", "exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "specials": "nan"}})


def f32(values: list[Any]) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def floor_log2(x: Fraction) -> int:
    return math.frexp(float(x))[1] - 1  # of numbers that float64 holds


def truncated_to(x: Fraction, step_exponent: int) -> Fraction:
    """Cut off toward zero to a multiple of a power of two."""
    step = Fraction(2) ** step_exponent
    return math.trunc(x / step) * step


def exponent(x: Fraction, smallest: int) -> int:
    return max(floor_log2(abs(x)), smallest) if x else smallest


def tensor_core_dot(a: list[Fraction], w: list[Fraction], smallest: tuple[int, int], core: TensorCore) -> float:
    """Steps 1 to 4; smallest: exponents of the subnormals of a and w."""
    total = Fraction(0)
    for k in range(0, len(a), core.group):
        pairs = list(zip(a[k : k + core.group], w[k : k + core.group], strict=True))
        tops = [exponent(x, smallest[0]) + exponent(y, smallest[1]) for x, y in pairs if x * y]
        top = max([*tops, exponent(total, -126)])
        aligned = [truncated_to(term, top - core.fraction_bits) for term in [total, *(x * y for x, y in pairs)]]
        total = sum(aligned, Fraction(0))
        total = truncated_to(total, exponent(total, -126) - core.result_bits)
    return float(np.float32(float(total)))


def expected(a: NDArray[np.float32], w: NDArray[np.float32], smallest: int, core: TensorCore) -> NDArray[np.float32]:
    rows = [[Fraction(float(x)) for x in row] for row in a]
    columns = [[Fraction(float(x)) for x in row] for row in w]
    ends = smallest, smallest
    return f32([[tensor_core_dot(row, column, ends, core) for column in columns] for row in rows])


@settings(max_examples=40)
@given(
    name=st.sampled_from(["e4m3", "e5m2", "float16", "bfloat16"]),
    core=st.sampled_from([HOPPER_FP8, ADA_FP8, RTX_BLACKWELL_FP8, HOPPER_FP16, TensorCore(4, 7, 9)]),
    k=st.integers(1, 70),
    spread=st.integers(0, 14),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_output_is_that_of_the_definition(name: str, core: TensorCore, k: int, spread: int, seed: int) -> None:
    fmt, rng = get(name), np.random.default_rng(seed)
    x = [rng.standard_normal((n, k)) * 2.0 ** rng.integers(-spread, spread // 2 + 1, (n, k)) for n in (2, 3)]
    a, w = (K.quantize_dequantize(np.float32(np.where(rng.random(y.shape) < 0.1, 0, y)), fmt) for y in x)
    smallest = 1 - fmt.element.bias  # type: ignore[union-attr]
    actual = tensor_core_matmul(a, w, activation=fmt, weight=fmt, core=core)
    np.testing.assert_array_equal(actual, expected(a, w, smallest, core))


@pytest.mark.parametrize("core", [HOPPER_FP8, RTX_BLACKWELL_FP8])
def test_block_scales_add_to_the_exponents(core: TensorCore) -> None:
    """Powers of two change no significand, so that the product is that of the scaled values; exponents that no
    subnormal bounds are those of the element and the scale."""
    fmt, rng = get("mxfp8_e4m3"), np.random.default_rng(1)
    a, w = (K.quantize(np.float32(rng.uniform(1, 2, (n, 96)) * rng.choice([-1, 1], (n, 96))), fmt) for n in (4, 5))
    actual = tensor_core_matmul(a, w, activation=fmt, weight=fmt, core=core)
    np.testing.assert_array_equal(actual, expected(a.dequantize(), w.dequantize(), -300, core))


def test_bits_of_single_products_are_lost() -> None:
    """1 + 31 * 2**-14 is 1 after 13 bits, however many there are; with 25 bits nothing is lost."""
    a, w = np.full((1, 32), 2.0**-7, np.float32), np.full((1, 32), 2.0**-7, np.float32)
    a[0, 0] = w[0, 0] = 1
    found = {
        core: tensor_core_matmul(a, w, activation=E4M3, weight=E4M3, core=core)
        for core in (HOPPER_FP8, RTX_BLACKWELL_FP8)
    }
    assert found[HOPPER_FP8] == [[1]]
    assert found[RTX_BLACKWELL_FP8] == [[1 + 31 * 2.0**-14]]


def test_what_is_lost_is_cut_off_toward_zero() -> None:
    """1 - 2**-13 needs 14 bits after the leading one at 2**-1; 1 + 2**-13 + 2**-13 + ... keeps all."""
    a, w = f32([[1, -(2.0**-7)]]), f32([[1, 2.0**-6]])
    core = TensorCore(group=2, fraction_bits=13, result_bits=11)
    # 1 - 2**-13 = 0.111...1 with 13 ones: cut off after 1 + 11 of them
    assert tensor_core_matmul(a, w, activation=E4M3, weight=E4M3, core=core) == [[1 - 2.0**-12]]
    assert tensor_core_matmul(-a, w, activation=E4M3, weight=E4M3, core=core) == [[-(1 - 2.0**-12)]]


def test_infinities_and_nan_follow_ieee_754() -> None:
    fmt = get("e5m2")
    a = f32([[np.inf, 1], [np.inf, -np.inf], [np.nan, 0], [1, 1], [0, 2]])
    w = f32([[1, 1], [0, 1], [-1, np.inf]])
    actual = tensor_core_matmul(a, w, activation=fmt, weight=fmt)
    nan, inf = np.nan, np.inf
    assert_same_floats(actual, f32([[inf, nan, nan], [nan, nan, -inf], [nan, nan, nan], [2, 1, inf], [2, 2, inf]]))


def test_a_block_of_nan_is_nan() -> None:
    fmt = get("mxfp8_e4m3")
    a, w = np.ones((2, 64), np.float32), np.ones((3, 64), np.float32)
    a[1, 40] = np.nan
    actual = tensor_core_matmul(a, w, activation=fmt, weight=fmt)
    np.testing.assert_array_equal(np.isnan(actual), [[False] * 3, [True] * 3])
    np.testing.assert_array_equal(actual[0], 64)


def test_scales_outside_are_applied_to_the_result() -> None:
    fmt = parse({"element": "e4m3", "block": "row", "scale": "fp32"})
    a = K.quantize(f32([[3, -3]]), fmt)
    actual = tensor_core_matmul(a, a, activation=fmt, weight=fmt)
    scale = np.float32(3 / 448)
    assert actual == [[np.float32(2 * 448 * 448) * (scale * scale)]]


@pytest.mark.parametrize("shape", [(0, 3, 16), (2, 0, 16), (2, 3, 0)])
def test_empty_shapes(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    actual = tensor_core_matmul(np.ones((m, k)), np.ones((n, k)), activation=E4M3, weight=E4M3)
    np.testing.assert_array_equal(actual, np.zeros((m, n), np.float32))


@pytest.mark.parametrize(
    ("fmt", "core", "message"),
    [
        (get("int8"), HOPPER_FP8, "int8 has elements .*, expected floats of at most 16 bits"),
        (get("float32"), HOPPER_FP8, "float32 has elements .*, expected floats of at most 16 bits"),
        (get("nvfp4"), HOPPER_FP8, "nvfp4 has block scales that are no powers of two"),
        (get("mxfp8_e4m3"), TensorCore(64, 13), "mxfp8_e4m3 has blocks of 32, which groups of 64 do not divide"),
    ],
)
def test_what_is_refused(fmt: BlockFormat, core: TensorCore, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        tensor_core_matmul(np.ones((2, 64)), np.ones((2, 64)), activation=fmt, weight=fmt, core=core)


@pytest.mark.parametrize("fields", [{"group": 0}, {"fraction_bits": 26}, {"result_bits": 0}])
def test_sizes_that_no_core_has_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(FormatError, match=f"{next(iter(fields))} is"):
        TensorCore(**({"group": 32, "fraction_bits": 13} | fields))
