"""A format that no catalog holds goes through every floor from its declaration alone.

One test a floor; a new consumer of declarations adds its test here.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import Datapath, derive, get, names, reference, reference_dot, resolve
from densimeter.simulator.density import density_table
from densimeter.simulator.rtl_regression import compare
from densimeter.simulator.schema.density import DensityConfig
from densimeter.simulator.schema.document import parse as parse_yaml
from densimeter.simulator.schema.document import validate
from support import oracle, oracle_dot, reference_tensor, streams

FORMAT = resolve("{element: e3m1, block: 24, scale: e8m0}")
LANES, ACCUMULATORS = 24, ["fp32", "fp32_ftz", "fixed40:-16", "aligned28"]
ROWS, LENGTH, BLOCKS = 4, 55, 3  # two blocks of 24 and a ragged one of 7


@pytest.fixture(scope="module")
def numbers() -> NDArray[np.float32]:
    rng = np.random.default_rng(24)
    x = rng.standard_normal((ROWS, LENGTH)) * 2.0 ** rng.integers(-6, 7, (ROWS, LENGTH))
    x[0, 30], x[1, :24] = np.inf, 0
    return x.astype(np.float32)


def unit(accumulator: str) -> Datapath:
    return derive(FORMAT, FORMAT, LANES, accumulator)


def test_it_is_in_no_catalog() -> None:
    assert FORMAT.name not in names()
    assert all((FORMAT.element, FORMAT.block) != (get(name).element, get(name).block) for name in names())


def test_formats_derive_its_facts() -> None:
    assert FORMAT.bits_per_value == 1 + 3 + 1 + Fraction(8, 24)
    assert FORMAT.element.largest == 2 ** (7 - 3) * Fraction(3, 2)
    assert [float(FORMAT.element.decode(code)) for code in range(6)] == [0, 0.125, 0.25, 0.375, 0.5, 0.75]


def test_formats_derive_its_unit() -> None:
    largest = 24 * 2**3  # 24 in steps of 2^-3
    datapath = unit("aligned28")
    assert datapath.product_bits == (largest * largest).bit_length() == 16
    assert datapath.sum_bits == (LANES * largest * largest).bit_length() + 1 == 21
    assert (datapath.exponent_bits, datapath.exponent_offset) == (9, -3 - 3 - 127 - 127)
    assert datapath.guard_bits == 28 - 21


def test_the_reference_quantises_it_like_the_oracle(numbers: NDArray[np.float32]) -> None:
    for block in numbers[:, :24].tolist():
        code, codes = reference.quantize_block(block, FORMAT)
        assert (code, codes) == oracle.quantize_block(block, FORMAT)
        restored = reference.dequantize_block(code, codes, FORMAT)
        np.testing.assert_array_equal(restored, oracle.dequantize_block(code, codes, FORMAT))


def test_the_kernel_quantises_it_like_the_reference(numbers: NDArray[np.float32]) -> None:
    actual, expected = K.quantize(numbers, FORMAT), reference_tensor.quantize(numbers, FORMAT)
    np.testing.assert_array_equal(actual.codes, expected.codes)
    np.testing.assert_array_equal(actual.scales, expected.scales)
    reference_tensor.assert_same_floats(actual.dequantize(), expected.values)


def test_it_packs_into_its_bits_and_reads_back(numbers: NDArray[np.float32]) -> None:
    q = K.quantize(numbers, FORMAT)
    raw = q.pack()
    assert len(raw) == q.nbytes == ROWS * BLOCKS * (24 * 5 + 8) // 8
    again = K.unpack(raw, FORMAT, q.shape)
    np.testing.assert_array_equal(again.codes, q.codes)
    np.testing.assert_array_equal(again.scales, q.scales)


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
def test_kernel_reference_and_oracle_show_the_same_registers(accumulator: str) -> None:
    datapath = unit(accumulator)
    stream = streams.draw(datapath, 200)
    history = reference_dot.accumulate(stream.groups(), datapath)
    assert history == oracle_dot.accumulate(stream.groups(), datapath)
    registers, invalid = stream.held(history)
    operands = (stream.activation, stream.weight, stream.activation_scale, stream.weight_scale)
    actual = K.accumulate_stream(datapath, *operands, stream.clear, stream.enable)
    np.testing.assert_array_equal(actual.accumulator, np.array(registers, np.uint64))
    np.testing.assert_array_equal(actual.invalid, invalid)


def test_matmul_rounds_the_exact_sum_of_every_block(numbers: NDArray[np.float32]) -> None:
    a, w = numbers[1:], numbers[1:3]
    left, right = (K.quantize(x, FORMAT).dequantize() for x in (a, w))
    expected = np.zeros((len(a), len(w)), np.float32)
    for start in range(0, LENGTH, 24):
        for i, j in np.ndindex(expected.shape):
            pairs = zip(left[i, start : start + 24].tolist(), right[j, start : start + 24].tolist(), strict=True)
            expected[i, j] += np.float32(
                oracle.to_float32(sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction()))
            )
    reference_tensor.assert_same_floats(K.matmul(a, w, activation=FORMAT, weight=FORMAT), expected)


def test_it_multiplies_with_a_format_of_another_kind(numbers: NDArray[np.float32]) -> None:
    mxfp4 = get("mxfp4")  # blocks of 32: 8 lanes divide both
    mixed = K.matmul(numbers, numbers, activation=FORMAT, weight=mxfp4, lanes=8)
    left, right = (K.quantize(numbers, fmt).dequantize().astype(np.float64) for fmt in (FORMAT, mxfp4))
    finite = np.isfinite(numbers).all(axis=1)
    np.testing.assert_allclose(mixed[finite][:, finite], left[finite] @ right[finite].T, rtol=1e-6, atol=1e-4)
    assert np.isnan(mixed[0]).all(), "a block with an infinity is NaN"


@pytest.mark.rtl
@pytest.mark.parametrize("accumulator", ACCUMULATORS)
def test_its_verilog_equals_the_kernel(accumulator: str) -> None:
    regression = compare(derive(FORMAT, FORMAT, 8, accumulator), random_vectors=200)
    assert regression.passed, regression.result.first_mismatch
    assert regression.exhaustive_pairs
    assert regression.result.vectors_compared > 32 * 32


def test_it_gets_a_row_of_the_density_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: NDArray[np.float32]
) -> None:
    """Synthesised live, for no record of it can exist; the cheapest flow and a small unit."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.save(tmp_path / "weights.npy", np.nan_to_num(numbers, posinf=1.0))
    text = f"""\
flows: [carry]
libraries: []
workload: {tmp_path / "weights.npy"}
baselines:
  float32: {{format: float32_ftz, accumulator: fp32_ftz}}
  int8_mac: {{format: int8, lanes: 1, accumulator: int32}}
  int8_dot: {{format: int8, lanes: 16, accumulator: int32}}
units:
  - {{format: {{element: e3m1, block: 24, scale: e8m0}}, lanes: 4, accumulator: aligned20}}
"""
    config = validate(parse_yaml(text, "mine.yaml"), DensityConfig)
    table = density_table(config, fresh=False, track=lambda items, label, total: iter(items))
    (row,) = table.to_json()["rows"]
    assert row["format"] == FORMAT.name == "e3m1_b24_e8m0"
    assert row["memory_density"] == pytest.approx(32 / (5 + 8 / 24))
    assert row["lut_per_mac"] > 0
    assert row["arithmetic_density_lut"] > 1
    assert 0 < row["qsnr_weights_db"] < 30
    assert row["qsnr_activations_db"] is None
