"""Systolic arrays simulated: their results are the kernels', and their cycles those of the closed form, exactly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.hwmodels.systolic import DATAFLOWS, Dataflow, gemm_cycles
from densimeter.rtl.array import SystolicArray, array_ports, emit_array
from densimeter.rtl.engines.replay import replay
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.ports import Port
from densimeter.simulator import array_regression
from densimeter.simulator.array_regression import ArrayRegression, compare_array, compare_product
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

# A unit's operands may be exchanged, so an input-stationary array needs no Verilog of its own.
EMITTED: tuple[Dataflow, ...] = ("weight_stationary", "output_stationary")
UNITS = [
    ("int8", "int8", 1, "int32"),
    ("int8", "int4", 4, "int20_saturate"),
    ("bfp6", "bfp6", 16, "fixed48:-24"),
    ("bfp6", "bfp4", 8, "fp32"),
    ("mxfp4", "mxfp8_e4m3", 16, "aligned40"),
    ("nvfp4", "nvfp4", 16, "fp32_ftz"),
    ("e4m3", "e4m3", 1, "fp32"),
    ("gguf_q4_0", "gguf_q8_0", 16, "fp32"),
    ("mx6", "mx4", 8, "aligned24"),
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
    unit: tuple[str, str, int, str], dataflow: Dataflow, shape: tuple[int, int, int, int, int], **options: Any
) -> tuple[ArrayRegression, K.QuantizedTensor, K.QuantizedTensor]:
    activation, weight, lanes, accumulator = unit
    rows, cols, m, n, k = shape
    datapath = F.derive(any_format(activation), any_format(weight), lanes, accumulator)
    a, w = _operand(datapath.activation, m, k, 1), _operand(datapath.weight, n, k, 2)
    return compare_product(datapath, rows, cols, dataflow, a, w, **options), a, w


def _assert_equal(result: ArrayRegression) -> None:
    assert result.mismatches == 0
    assert result.cycles == result.closed_form_cycles
    assert result.results_compared > 0
    assert result.passed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dataflow", EMITTED)
@pytest.mark.parametrize("unit", UNITS)
def test_results_and_cycles(
    unit: tuple[str, str, int, str], dataflow: Dataflow, shape: tuple[int, int, int, int, int]
) -> None:
    _assert_equal(_run(unit, dataflow, shape)[0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dataflow", EMITTED)
@pytest.mark.parametrize("unit", [UNITS[1], UNITS[4]])
def test_double_buffered_results_and_cycles(
    unit: tuple[str, str, int, str], dataflow: Dataflow, shape: tuple[int, int, int, int, int]
) -> None:
    _assert_equal(_run(unit, dataflow, shape, double_buffered=True)[0])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("double_buffered", [False, True])
@pytest.mark.parametrize("unit", [UNITS[1]])
def test_an_input_stationary_array_is_a_weight_stationary_one_with_exchanged_operands(
    unit: tuple[str, str, int, str], double_buffered: bool, shape: tuple[int, int, int, int, int]
) -> None:
    _assert_equal(_run(unit, "input_stationary", shape, double_buffered=double_buffered)[0])


@pytest.mark.slow
@pytest.mark.parametrize("shape", MORE_SHAPES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("double_buffered", [False, True])
@pytest.mark.parametrize("unit", UNITS)
def test_more_shapes(
    unit: tuple[str, str, int, str], double_buffered: bool, dataflow: Dataflow, shape: tuple[int, int, int, int, int]
) -> None:
    _assert_equal(_run(unit, dataflow, shape, stall_share=0.1, double_buffered=double_buffered)[0])


@pytest.mark.parametrize("double_buffered", [False, True])
@pytest.mark.parametrize("dataflow", EMITTED)
def test_stalls_change_nothing(dataflow: Dataflow, double_buffered: bool) -> None:
    _assert_equal(_run(UNITS[2], dataflow, SHAPES[1], stall_share=0.5, double_buffered=double_buffered)[0])


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_are_those_counted_by_hand(dataflow: Dataflow) -> None:
    # 7 x 70 by 70 x 5 on 3 x 2 elements of 16 lanes: five groups of k.
    result, *_ = _run(UNITS[2], dataflow, SHAPES[1])
    by_hand = {
        "weight_stationary": 2 * 3 * (3 + 7 + 3 + 2 - 2),  # groups on 3 rows, n on 2 columns; load, data, skew
        "output_stationary": 3 * 3 * (5 + 3 + 2 - 2) + 3,  # m on 3 rows, n on 2 columns; data, skew; the drain once
        "input_stationary": 2 * 4 * (3 + 5 + 3 + 2 - 2),  # groups on 3 rows, m on 2 columns; load, data, skew
    }
    assert result.cycles == by_hand[dataflow]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_double_buffered_cycles_are_those_counted_by_hand(dataflow: Dataflow) -> None:
    result, *_ = _run(UNITS[2], dataflow, SHAPES[1], double_buffered=True)
    by_hand = {
        "weight_stationary": 3 + 2 * 3 * 7 + (3 + 2 - 2),  # the first load, the data of every fold, the last skew
        "output_stationary": 3 * 3 * 5 + (3 + 2 - 2) + 3,
        "input_stationary": 3 + 2 * 4 * 5 + (3 + 2 - 2),
    }
    assert result.cycles == by_hand[dataflow]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_loads_or_drains_set_the_pace_where_folds_are_short(dataflow: Dataflow) -> None:
    # 2 x 32 by 32 x 2 on 5 x 1 elements of 16 lanes: two steps a fold at most, and five rows.
    result, *_ = _run(UNITS[2], dataflow, (5, 1, 2, 2, 32), double_buffered=True)
    load, drain = (0, 5) if dataflow == "output_stationary" else (5, 0)
    assert result.cycles == load + 5 + 2 + (5 + 1 - 2) + drain
    _assert_equal(result)


@pytest.mark.parametrize("double_buffered", [False, True])
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("unit", "value"), [(UNITS[0], "int"), (UNITS[3], "float"), (UNITS[6], "float")])
def test_results_are_the_matrix_product(
    dataflow: Dataflow, unit: tuple[str, str, int, str], value: str, double_buffered: bool
) -> None:
    result, a, w = _run(unit, dataflow, SHAPES[1], double_buffered=double_buffered)
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
    ("dataflow", "double_buffered", "right", "wrong"),
    [
        ("weight_stationary", False, ".BITS(8), .CYCLES(i)", ".BITS(8), .CYCLES(0)"),
        ("weight_stationary", False, "if (load) kept", "if (load & from_left[0]) kept"),
        ("weight_stationary", False, ".previous(sum_from_above[31:0])", ".previous(32'd0)"),
        ("output_stationary", False, "words << BITS", "words >> BITS"),
        ("output_stationary", False, ".BITS(7), .CYCLES(i)", ".BITS(7), .CYCLES(0)"),
        ("output_stationary", False, "below <= from_above", "below <= ~from_above"),
        # The swap, its skew, and which rows a weight passes.
        ("weight_stationary", True, "if (from_left[8]) kept", "if (from_left[7]) kept"),
        ("weight_stationary", True, "kept <= weight_from_above", "kept <= passing"),
        ("weight_stationary", True, "load & ~below[0]", "load"),
        ("weight_stationary", True, "load & below[i]", "load"),
        ("weight_stationary", True, "below >> 1 : {3{1'b1}} >> 1", "below >> 1 : {3{1'b1}}"),
        ("weight_stationary", True, ".BITS(7), .CYCLES(i)", ".BITS(7), .CYCLES(0)"),
        # Whose sum leaves, and when.
        ("output_stationary", True, "finished = right[6] & right[4]", "finished = right[6]"),
        ("output_stationary", True, "else if (!wait_for_below)", "else"),
        ("output_stationary", True, ">> (i + 1))", ">> (i + 2))"),
        ("output_stationary", True, "{1'b1, sum}", "{1'b0, sum}"),
    ],
)
def test_a_fault_planted_in_an_array_is_found(
    dataflow: Dataflow, double_buffered: bool, right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(array: SystolicArray) -> EmittedModule:
        module = emit_array(array)
        assert right in module.text
        return EmittedModule(module.name, module.text.replace(right, wrong))

    monkeypatch.setattr(array_regression, "emit_array", faulty)
    fmt = {"element": {"kind": "int", "bits": 7 if dataflow == "weight_stationary" else 4}}
    unit = (str(fmt), str(fmt), 1, "int32")
    assert not _run(unit, dataflow, (3, 3, 5, 4, 7), double_buffered=double_buffered)[0].passed


@pytest.mark.parametrize("dataflow", EMITTED)
def test_folds_cannot_follow_faster_than_rows_let_words_in_or_out(
    dataflow: Dataflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Folds of two steps on four rows, a cycle closer than the law allows.
    monkeypatch.setattr(array_regression, "fold_distance", lambda **_: 3)
    assert not _run(UNITS[2], dataflow, (4, 2, 2, 4, 32), double_buffered=True)[0].passed


def test_a_partial_sum_may_return_to_its_column_at_the_edge_after_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # k of 16 in four folds of four steps on four rows: each but the first adds to the sums of the one before.
    rows, cols, bits = 4, 3, 32
    seen: dict[str, Any] = {}

    def watched(module: EmittedModule, ports: Sequence[Port], words: dict[str, list[int]]) -> dict[str, Any]:
        shown: dict[str, Any] = dict(replay(module, ports, words))
        seen.update(words=words, shown=shown)
        return shown

    monkeypatch.setattr(array_regression, "replay", watched)
    _assert_equal(_run(UNITS[0], "weight_stationary", (rows, cols, 4, cols, 16), double_buffered=True)[0])
    returned = 0
    for edge, word in enumerate(seen["words"]["previous"]):
        for j in range(cols):
            if partial_sum := word >> (j * bits) & (1 << bits) - 1:
                assert seen["shown"]["accumulator"][edge - 1].field(j * bits, bits) == partial_sum
                returned += 1
    assert returned == 3 * 4 * cols


def test_an_array_needs_a_size_and_a_dataflow() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 1, "int32")
    with pytest.raises(F.ConfigError, match="rows is 0, expected 1 to 256"):
        SystolicArray(datapath, 0, 4, "weight_stationary")
    with pytest.raises(F.ConfigError, match="did you mean 'output_stationary'"):
        SystolicArray(datapath, 4, 4, "output-stationary")  # type: ignore[arg-type]
    operand = _operand(datapath.activation, 2, 8, 0)
    with pytest.raises(F.ConfigError, match="did you mean 'input_stationary'"):
        compare_product(datapath, 4, 4, "input-stationary", operand, operand)  # type: ignore[arg-type]


def test_operands_must_fit() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 1, "int32")
    array = SystolicArray(datapath, 2, 2, "weight_stationary")
    a, w = _operand(datapath.activation, 2, 8, 0), _operand(datapath.weight, 2, 9, 0)
    with pytest.raises(F.ConfigError, match="activation has k = 8, weight 9"):
        compare_array(array, a, w)
    with pytest.raises(F.ConfigError, match="weight must be a matrix quantised to int8"):
        compare_array(array, a, _operand(F.get("int4"), 2, 8, 0))


@pytest.mark.parametrize("double_buffered", [False, True])
def test_the_header_tells_what_the_array_is(double_buffered: bool) -> None:
    datapath = F.derive(F.get("bfp6"), F.get("bfp6"), 16, "fp32")
    array = SystolicArray(datapath, 4, 8, "weight_stationary", double_buffered)
    text = emit_array(array).text
    kind = "weight-stationary, double-buffered" if double_buffered else "weight-stationary"
    assert text.startswith(f"// Systolic array {array.name}, {kind}\n")
    assert "elements:    4 rows x 8 cols" in text
    for port in array_ports(array):
        assert f"//   {port.name + ':':<18}{port.meaning}" in text
    assert emit_array(array).text == text
    assert gemm_cycles(m=1, n=8, k=64, rows=4, cols=8, dataflow="weight_stationary", lanes=16) == 4 + 1 + 4 + 8 - 2
