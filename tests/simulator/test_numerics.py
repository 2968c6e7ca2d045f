"""Error statistics, on tensors whose errors can be counted by hand or by trying every code."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats import reference
from densimeter.kernels.deviation import measure
from densimeter.simulator import numerics
from densimeter.simulator.numerics import NOTHING, OCTAVES, error_statistics, mean_qsnr_db

FIXED = F.parse({"element": {"kind": "int", "bits": 4, "fraction_bits": 0}})  # -8 .. 7
UNSIGNED = F.parse({"element": "uint4"})  # 0 .. 15


def octave(statistics: numerics.ErrorStatistics, k: int) -> int:
    """How many values have a relative error from 2^k to 2^(k+1)."""
    return statistics.octaves[OCTAVES.index(k)]


def test_counts_by_hand() -> None:
    x = np.array([[1.0, 0.25, -3.25, 7.4, 7.75, 0.0]], np.float32)  # -> 1, 0, -3, 7, 7, 0
    statistics = error_statistics(x, K.quantize(x, FIXED))
    squares = 1 + 0.25**2 + 3.25**2 + np.float32(7.4).astype(float) ** 2 + 7.75**2
    noise = 0.25**2 + 0.25**2 + (np.float32(7.4).astype(float) - 7) ** 2 + 0.75**2
    assert statistics.values == 6
    assert statistics.qsnr_db == pytest.approx(10 * math.log10(squares / noise))
    assert statistics.max_abs_error == 0.75
    assert statistics.saturated_share == 1 / 6  # 7.75 would round to 8; 7.4 rounds to 7 by itself
    assert statistics.flushed_share == 1 / 6  # 0.25; the zero was zero before


def test_the_histogram_by_hand() -> None:
    x = np.array([[1.0, 0.25, -3.25, 7.75, 0.0]], np.float32)  # -> 1, 0, -3, 7, 0
    statistics = error_statistics(x, K.quantize(x, FIXED))
    assert statistics.exact == 2  # 1 and 0
    assert octave(statistics, 0) == 1  # 0.25 became zero: the error is as large as the value
    assert octave(statistics, -4) == 2  # 0.25 / 3.25 = 0.077 and 0.75 / 7.75 = 0.097, from 1/16 = 0.0625 to 1/8
    assert sum(statistics.octaves) == 3


def test_both_ends_saturate() -> None:
    x = np.array([[-8.75, -8.25, 7.25, 7.75]], np.float32)
    assert error_statistics(x, K.quantize(x, FIXED)).saturated == 2  # -8.75 and 7.75


def test_a_negative_value_saturates_where_there_are_none() -> None:
    x = np.array([[-0.75, -0.25, 15.25, 16.0]], np.float32)
    statistics = error_statistics(x, K.quantize(x, UNSIGNED))
    assert statistics.saturated == 2  # -0.75 and 16: more than half a step beyond 0 and 15
    assert statistics.flushed == 2  # -0.75 and -0.25


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    x = np.full((2, 32), 1.5, np.float32)
    x[0, 3] = np.nan  # makes its whole block NaN
    statistics = error_statistics(x, K.quantize(x, F.get("mxfp4")))
    assert statistics.not_finite == 32
    assert (statistics.exact, statistics.qsnr_db) == (32, math.inf)
    overflow = np.array([[1e6, 2.0]], np.float32)  # E5M2 holds up to 57344, then Inf
    assert error_statistics(overflow, K.quantize(overflow, F.get("e5m2"))).not_finite == 1


def test_a_zero_that_becomes_something_has_the_largest_relative_error() -> None:
    x = np.array([[0.0, 1.0] * 8], np.float32)
    statistics = error_statistics(x, K.quantize(x, F.get("bl8_as_published")))  # logarithms without a zero
    assert octave(statistics, OCTAVES[-1]) == 8
    assert statistics.flushed == 0


def edges(tensor: K.QuantizedTensor, row: int, column: int) -> tuple[Fraction, Fraction] | None:
    """Half a step below the least and above the greatest value that this place can hold, by decoding every code."""
    fmt, over = tensor.format.first_level, tensor.grid
    scale_code = int(tensor.first_level_scales()[row // over.block_rows, column // over.block_length])
    position = column % over.block_length
    held = set()
    for code in range(1 << fmt.element.bits):
        if isinstance(fmt.element, F.CodebookElement) and code >= len(fmt.element.levels):
            continue
        if isinstance(fmt.element, F.IntElement) and fmt.element.decode(code).value < fmt.element.smallest_integer * (
            Fraction(1, 2**fmt.element.fraction_bits)
        ):
            continue  # a symmetric element never produces it
        value = reference.dequantize_block(scale_code, [code] * (position + 1), fmt, tensor.tensor_scale)[-1]
        if math.isfinite(value):
            held.add(Fraction(value))
    if len(held) < 2:
        return None
    least, next_least, *_, next_greatest, greatest = [*sorted(held)[:2], *sorted(held)[-2:]]
    return least - (next_least - least) / 2, greatest + (greatest - next_greatest) / 2


SATURATING = (
    "e4m3 e5m2_fnuz dmf8 fixed8_f4 bfp4 bl8 msfp11 mx4 mxfp4 nvfp4 nvfp4_one_level bm8_as_published int3 "
    "int4_g16_affine bfp4_b3x5 fp4_dq kdyn4 kquant3 gguf_q4_0 gguf_q4_1"
)


@pytest.mark.parametrize("name", SATURATING.split())
def test_saturation_by_every_code(name: str) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((4, 19)) * np.exp(2 * rng.standard_normal((4, 19))) * 64).astype(np.float32)
    tensor = K.quantize(x, F.get(name))
    beyond = 0
    for (row, column), value in np.ndenumerate(x):
        limits = edges(tensor, row, column)
        beyond += limits is not None and not limits[0] <= Fraction(float(value)) <= limits[1]
    assert error_statistics(x, tensor).saturated == beyond


@pytest.mark.parametrize("name", F.names())
def test_every_format_agrees_with_plain_sums(name: str) -> None:
    x = np.random.default_rng(1).standard_normal((5, 70)).astype(np.float32)
    tensor = K.quantize(x, F.get(name))
    statistics, held = error_statistics(x, tensor), tensor.dequantize().astype(np.float64)
    assert statistics.noise == pytest.approx(np.square(x - held).sum())
    assert statistics.max_abs_error == np.abs(x - held).max()
    assert statistics.flushed == np.count_nonzero((held == 0) & (x != 0))
    assert statistics.exact == np.count_nonzero(held == x)
    assert statistics.exact + sum(statistics.octaves) == statistics.values == x.size


@pytest.mark.parametrize(
    ("name", "shape", "axis"),
    [
        ("mxfp4", (9, 40), 1),
        ("mxfp4", (40, 9), 0),
        ("int8_tensor", (9, 40), 1),
        ("bfp6_b4x8", (3, 9, 40), 2),
        ("nf4_dq", (9, 200), 1),
        ("mx9", (9, 40), 1),
    ],
)
def test_chunks_add_up_to_the_whole(
    name: str, shape: tuple[int, ...], axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    tensor = K.quantize(x, F.get(name), axis)
    whole = error_statistics(x, tensor)
    monkeypatch.setattr(numerics, "_CHUNK_VALUES", 100)
    parts = error_statistics(x, tensor)
    assert parts.noise == pytest.approx(whole.noise)
    assert replace(parts, noise=0.0, signal=0.0) == replace(whole, noise=0.0, signal=0.0)


def test_a_large_tensor_needs_little_memory_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is dequantised at once is a chunk, never the tensor."""
    sizes = []

    def watch(x: NDArray[np.float32], held: NDArray[np.float32], *rest: object) -> object:
        sizes.append(held.size)
        return measure(x, held, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("densimeter.simulator.numerics.measure", watch)
    x = np.ones((3 << 10, 1 << 12), np.float32)  # 12 * 2^20 values
    error_statistics(x, K.quantize(x, F.get("mxfp4")))
    assert sizes == [1 << 22] * 3


def test_tensors_add_up() -> None:
    rng = np.random.default_rng(0)
    tensors = [rng.standard_normal((4, 32)).astype(np.float32), 100 * rng.standard_normal((8, 64)).astype(np.float32)]
    one, other = (error_statistics(x, K.quantize(x, F.get("bfp6"))) for x in tensors)
    both = sum((one, other), NOTHING)
    assert both.values == 4 * 32 + 8 * 64
    assert both.qsnr_db == pytest.approx(10 * math.log10((one.signal + other.signal) / (one.noise + other.noise)))
    assert both.max_abs_error == max(one.max_abs_error, other.max_abs_error)
    assert both.octaves == tuple(a + b for a, b in zip(one.octaves, other.octaves, strict=True))


def test_an_exact_format_has_infinite_qsnr_which_json_writes_as_null() -> None:
    x = np.ones((2, 3), np.float32)
    statistics = error_statistics(x, K.quantize(x, F.get("float32")))
    assert statistics.qsnr_db == math.inf
    assert statistics.to_json()["qsnr_db"] is None


def test_mean_is_over_tensors_in_decibels() -> None:
    rng = np.random.default_rng(0)
    tensors = [rng.standard_normal((4, 32)).astype(np.float32), 100 * rng.standard_normal((8, 64)).astype(np.float32)]
    fmt = F.get("bfp6")
    each = [error_statistics(x, K.quantize(x, fmt)).qsnr_db for x in tensors]
    assert mean_qsnr_db(tensors, fmt) == pytest.approx(sum(each) / 2)
