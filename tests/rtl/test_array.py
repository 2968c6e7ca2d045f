"""Systolic arrays simulated: their results are the kernels', and their cycles those of the closed form, exactly."""

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.hwmodels.systolic import gemm_cycles
from densimeter.rtl.array import SystolicArray, array_ports, emit_array
from densimeter.rtl.array.declaration import ArrayDataflow
from densimeter.rtl.module import EmittedModule
from densimeter.simulator import array_regression
from densimeter.simulator.array_regression import ArrayRegression, compare_array
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

DATAFLOWS: tuple[ArrayDataflow, ...] = ("weight_stationary", "output_stationary")
UNITS = [
    ("int8", "int8", 1, "int32"),
    ("int8", "int4", 4, "int20_saturate"),
    ("bfp6", "bfp6", 16, "fixed48:-24"),
    ("bfp6", "bfp4", 8, "fp32"),
    ("mxfp4", "mxfp8_e4m3", 16, "aligned40"),
    ("nvfp4", "nvfp4", 16, "fp32_ftz"),
    ("e4m3", "e4m3", 1, "fp32"),
]
# Rows, columns, m, n, k: one element, folds in every direction, and sizes that leave edges.
SHAPES = [(1, 1, 3, 2, 40), (3, 2, 7, 5, 70), (2, 4, 1, 9, 33)]
MORE_SHAPES = [
    (4, 4, 4, 4, 64),
    (5, 1, 2, 3, 200),
    (1, 6, 13, 7, 20),
    (8, 8, 17, 19, 300),
    (6, 3, 40, 2, 17),
    (2, 2, 1, 1, 1),
]


def _operand(fmt: F.BlockFormat, rows: int, k: int, seed: int) -> K.QuantizedTensor:
    values = np.random.default_rng(seed).standard_normal((rows, k)) * np.exp2(np.arange(rows) % 5)[:, None]
    return K.quantize(values.astype(np.float32), fmt)


def _run(
    unit: tuple[str, str, int, str], dataflow: ArrayDataflow, shape: tuple[int, int, int, int, int], **options: float
) -> tuple[ArrayRegression, K.QuantizedTensor, K.QuantizedTensor]:
    activation, weight, lanes, accumulator = unit
    rows, cols, m, n, k = shape
    datapath = F.derive(any_format(activation), any_format(weight), lanes, accumulator)
    a, w = _operand(datapath.activation, m, k, 1), _operand(datapath.weight, n, k, 2)
    return compare_array(SystolicArray(datapath, rows, cols, dataflow), a, w, **options), a, w  # type: ignore[arg-type]


def _assert_equal(result: ArrayRegression) -> None:
    assert result.mismatches == 0
    assert result.cycles == result.closed_form_cycles
    assert result.results_compared > 0
    assert result.passed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("unit", UNITS)
def test_results_and_cycles(unit: tuple[str, str, int, str], dataflow: ArrayDataflow, shape: tuple[int, ...]) -> None:
    _assert_equal(_run(unit, dataflow, shape)[0])  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("shape", MORE_SHAPES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("unit", UNITS)
def test_more_shapes(unit: tuple[str, str, int, str], dataflow: ArrayDataflow, shape: tuple[int, ...]) -> None:
    _assert_equal(_run(unit, dataflow, shape, stall_share=0.1)[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_stalls_change_nothing(dataflow: ArrayDataflow) -> None:
    _assert_equal(_run(UNITS[2], dataflow, SHAPES[1], stall_share=0.5)[0])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_are_those_counted_by_hand(dataflow: ArrayDataflow) -> None:
    # 7 x 70 by 70 x 5 on 3 x 2 elements of 16 lanes: five groups of k.
    result, *_ = _run(UNITS[2], dataflow, SHAPES[1])
    by_hand = {
        "weight_stationary": 2 * 3 * (3 + 7 + 3 + 2 - 2),  # groups on 3 rows, n on 2 columns; load, data, skew
        "output_stationary": 3 * 3 * (5 + 3 + 2 - 2) + 3,  # m on 3 rows, n on 2 columns; data, skew; the drain once
    }
    assert result.cycles == by_hand[dataflow]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("unit", "value"), [(UNITS[0], "int"), (UNITS[3], "float"), (UNITS[6], "float")])
def test_results_are_the_matrix_product(dataflow: ArrayDataflow, unit: tuple[str, str, int, str], value: str) -> None:
    result, a, w = _run(unit, dataflow, SHAPES[1])
    registers = result.registers.astype(np.uint32)
    product: NDArray[np.float32] = K.matmul(
        a, w, activation=a.format, weight=w.format, accumulator=unit[3], lanes=unit[2]
    )
    if value == "float":
        assert (registers == product.view(np.uint32)).all()
    else:
        scales = a.scales.astype(np.uint32).view(np.float32) * w.scales.astype(np.uint32).view(np.float32).T
        assert np.array_equal(registers.view(np.int32).astype(np.float32) * scales, product)


@pytest.mark.parametrize(
    ("dataflow", "right", "wrong"),
    [
        ("weight_stationary", ".BITS(8), .CYCLES(i)", ".BITS(8), .CYCLES(0)"),
        ("weight_stationary", "if (load) kept", "if (load & from_left[0]) kept"),
        ("weight_stationary", ".previous(sum_from_above[31:0])", ".previous(32'd0)"),
        ("output_stationary", "words << BITS", "words >> BITS"),
        ("output_stationary", ".BITS(7), .CYCLES(i)", ".BITS(7), .CYCLES(0)"),
        ("output_stationary", "below <= from_above", "below <= ~from_above"),
    ],
)
def test_a_fault_planted_in_an_array_is_found(
    dataflow: ArrayDataflow, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(array: SystolicArray) -> EmittedModule:
        module = emit_array(array)
        assert right in module.text
        return EmittedModule(module.name, module.text.replace(right, wrong))

    monkeypatch.setattr(array_regression, "emit_array", faulty)
    fmt = {"element": {"kind": "int", "bits": 7 if dataflow == "weight_stationary" else 4}}
    unit = (str(fmt), str(fmt), 1, "int32")
    assert not _run(unit, dataflow, (3, 3, 5, 4, 7))[0].passed


def test_an_array_needs_a_size_and_a_dataflow() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 1, "int32")
    with pytest.raises(F.ConfigError, match="rows is 0, expected 1 to 256"):
        SystolicArray(datapath, 0, 4, "weight_stationary")
    with pytest.raises(F.ConfigError, match="did you mean 'output_stationary'"):
        SystolicArray(datapath, 4, 4, "output-stationary")  # type: ignore[arg-type]


def test_operands_must_fit() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 1, "int32")
    array = SystolicArray(datapath, 2, 2, "weight_stationary")
    a, w = _operand(datapath.activation, 2, 8, 0), _operand(datapath.weight, 2, 9, 0)
    with pytest.raises(F.ConfigError, match="activation has k = 8, weight 9"):
        compare_array(array, a, w)
    with pytest.raises(F.ConfigError, match="weight must be a matrix quantised to int8"):
        compare_array(array, a, _operand(F.get("int4"), 2, 8, 0))


def test_the_header_tells_what_the_array_is() -> None:
    datapath = F.derive(F.get("bfp6"), F.get("bfp6"), 16, "fp32")
    array = SystolicArray(datapath, 4, 8, "weight_stationary")
    text = emit_array(array).text
    assert text.startswith(f"// Systolic array {array.name}, weight-stationary\n")
    assert "elements:    4 rows x 8 cols" in text
    for port in array_ports(array):
        assert f"//   {port.name + ':':<18}{port.meaning}" in text
    assert emit_array(array).text == text
    assert gemm_cycles(m=1, n=8, k=64, rows=4, cols=8, dataflow="weight_stationary", lanes=16) == 4 + 1 + 4 + 8 - 2
