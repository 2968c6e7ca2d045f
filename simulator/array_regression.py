"""Holding a systolic array's Verilog to the kernels: a whole matrix product, fold by fold, its results and its cycles.

Folds follow one another as the closed form of `hwmodels.systolic` counts them: without overlap, or double-buffered at
the closest. Every result must equal the kernel's register and appear in the very cycle that the closed form names, and
at no other time may one appear.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ConfigError, Datapath, derive
from densimeter.hwmodels.systolic import (
    INPUT_STATIONARY,
    Dataflow,
    dataflow_index,
    drain_cycles,
    fold,
    fold_distance,
    gemm_cycles,
)
from densimeter.kernels import QuantizedTensor, Registers, accumulate_stream
from densimeter.rtl.array import SystolicArray, array_ports, emit_array
from densimeter.rtl.engines.replay import replay
from densimeter.rtl.ports import Port
from densimeter.simulator.group_scales import group_scales


@dataclass(frozen=True)
class ArrayRegression:
    """One matrix product on a simulated array.

    cycles: edges from the first word that entered to the appearance of the last result, stalls not counted.
    registers: the registers of the product, [m, n]; -1 where an unknown bit stood.
    """

    array: SystolicArray
    cycles: int
    closed_form_cycles: int
    results_compared: int
    mismatches: int
    registers: NDArray[np.object_]

    @property
    def passed(self) -> bool:
        return self.results_compared > 0 and self.mismatches == 0 and self.cycles == self.closed_form_cycles


class _Result(NamedTuple):
    """What must stand at a column's output after an edge; `place` is its row and column, beyond the product's own
    where the array was filled up with zeros."""

    cycle: int
    column: int
    register: int
    invalid: bool
    place: tuple[int, int]


def compare_product(
    datapath: Datapath,
    rows: int,
    cols: int,
    dataflow: Dataflow,
    activation: QuantizedTensor,
    weight: QuantizedTensor,
    *,
    double_buffered: bool = False,
    stall_share: float = 0.0,
    seed: int = 0,
) -> ArrayRegression:
    """Multiply activation [m, k] by weight [n, k] in any dataflow; raises as `compare_array` does.

    An input-stationary array is a weight-stationary one with exchanged operands, which computes the transposed product.
    """
    if dataflow_index(dataflow) != INPUT_STATIONARY:
        array = SystolicArray(datapath, rows, cols, dataflow, double_buffered)  # type: ignore[arg-type]
        return compare_array(array, activation, weight, stall_share=stall_share, seed=seed)
    exchanged = derive(datapath.weight, datapath.activation, datapath.lanes, datapath.accumulator)
    array = SystolicArray(exchanged, rows, cols, "weight_stationary", double_buffered)
    found = compare_array(array, weight, activation, stall_share=stall_share, seed=seed)
    cycles = gemm_cycles(
        m=activation.shape[0],
        n=weight.shape[0],
        k=activation.shape[1],
        rows=rows,
        cols=cols,
        dataflow=dataflow,
        lanes=datapath.lanes,
        double_buffered=double_buffered,
    )
    return replace(found, closed_form_cycles=cycles, registers=found.registers.T)


def compare_array(
    array: SystolicArray,
    activation: QuantizedTensor,
    weight: QuantizedTensor,
    *,
    stall_share: float = 0.0,
    seed: int = 0,
) -> ArrayRegression:
    """Multiply activation [m, k] by weight [n, k] on the simulated array and compare it with the kernels.

    Both must be quantised along k in the formats of the array's unit. `stall_share` of the edges come with `en` low and
    random words. Raises ConfigError where the operands do not fit, ToolError where Icarus is missing or fails.
    """
    product = _Product(array, activation, weight)
    lead = 2 * array.rows + array.cols
    words, results = product.words(lead), list(product.results(lead))
    stalled = _Stalled(words, array_ports(array), stall_share, seed)
    shown = replay(emit_array(array), array_ports(array), stalled.words)
    outputs = {name: [column[at] for at in stalled.running] for name, column in shown.items()}

    bits = array.datapath.register_bits
    registers = np.full((product.m, product.n), -1, dtype=object)
    expected_valid = [0] * len(words["take"])
    mismatches, last = 0, lead
    for result in results:
        got = outputs["accumulator"][result.cycle].field(result.column * bits, bits)
        flag = outputs["invalid"][result.cycle].field(result.column, 1) if "invalid" in outputs else result.invalid
        mismatches += got != result.register or flag != result.invalid
        row, col = result.place
        if row < product.m and col < product.n:
            registers[result.place] = -1 if got is None else got
        expected_valid[result.cycle] |= 1 << result.column
    for cycle in range(lead, len(expected_valid)):
        valid = outputs["valid"][cycle]
        mismatches += valid.field(0, array.cols) != expected_valid[cycle]
        last = cycle if valid.value else last
    return ArrayRegression(array, last + 1 - lead, product.closed_form_cycles, len(results), mismatches, registers)


class _Product:
    """A matrix product cut to an array: the words of every edge, and the results that must come of them."""

    def __init__(self, array: SystolicArray, activation: QuantizedTensor, weight: QuantizedTensor) -> None:
        datapath = array.datapath
        for side, tensor, fmt in (("activation", activation, datapath.activation), ("weight", weight, datapath.weight)):
            if tensor.format != fmt or len(tensor.shape) != 2 or tensor.axis != 1:
                raise ConfigError(f"{side} must be a matrix quantised to {fmt.name} along its second axis")
        if activation.shape[1] != weight.shape[1]:
            raise ConfigError(f"activation has k = {activation.shape[1]}, weight {weight.shape[1]}; they must be equal")
        self.array = array
        self.m, self.n = activation.shape[0], weight.shape[0]
        shape: dict[str, Any] = {
            "m": self.m,
            "n": self.n,
            "k": activation.shape[1],
            "rows": array.rows,
            "cols": array.cols,
        }
        self.folding = fold(**shape, dataflow=array.dataflow, lanes=datapath.lanes)
        self.closed_form_cycles = gemm_cycles(
            **shape, dataflow=array.dataflow, lanes=datapath.lanes, double_buffered=array.double_buffered
        ) + drain_cycles(rows=array.rows, dataflow=array.dataflow)
        # Weight-stationary: rows hold groups of k. Output-stationary: rows hold m. Columns hold n in both.
        held = self.folding.row_folds * array.rows
        groups = held if array.weight_stationary else self.folding.steps
        self.activation = _Groups(activation, self.m if array.weight_stationary else held, groups, datapath)
        self.weight = _Groups(weight, self.folding.col_folds * array.cols, groups, datapath)
        self.registers = self._registers()

    @property
    def pitch(self) -> int:
        """Edges from one fold's first to the next one's."""
        array = self.array
        return fold_distance(
            steps=self.folding.steps,
            rows=array.rows,
            cols=array.cols,
            dataflow=array.dataflow,
            double_buffered=array.double_buffered,
        )

    def _registers(self) -> Registers:
        """The kernel's registers after every group of every dot product: [rows of activation * n * groups]."""
        a, w = self.activation, self.weight
        rows, columns, groups = len(a.codes), len(w.codes), a.codes.shape[1]
        edges = rows * columns * groups
        return accumulate_stream(
            self.array.datapath,
            np.repeat(a.codes, columns, axis=0).reshape(edges, -1),
            np.tile(w.codes, (rows, 1, 1)).reshape(edges, -1),
            np.repeat(a.scales, columns, axis=0).reshape(edges),
            np.tile(w.scales, (rows, 1)).reshape(edges),
            np.arange(edges) % groups == 0,
            np.ones(edges, bool),
        )

    def _after(self, row: int, column: int, group: int) -> tuple[int, bool]:
        """Register and invalid flag of a dot product after a group; before the first group they are zero."""
        if group < 0:
            return 0, False
        at = (row * len(self.weight.codes) + column) * self.activation.codes.shape[1] + group
        return int(self.registers.accumulator[at]), bool(self.registers.invalid[at])

    def _folds(self, lead: int) -> Iterator[tuple[int, int, int]]:
        """(first edge, row fold, column fold): column by column, so that partial sums meet k in its order."""
        for index in range(self.folding.folds):
            col_fold, row_fold = divmod(index, self.folding.row_folds)
            yield lead + index * self.pitch, row_fold, col_fold

    def words(self, lead: int) -> dict[str, list[int]]:
        """The words of each input port: `lead` edges to let the array come to rest, the folds, and the drain."""
        edges = lead + self.closed_form_cycles + self.array.rows
        words = {p.name: [0] * edges for p in array_ports(self.array) if p.direction == "input" and p.name != "clk"}
        words["en"] = [1] * edges
        for start, row_fold, col_fold in self._folds(lead):
            if self.array.weight_stationary:
                self._load(words, start, row_fold, col_fold)
                self._stream_activations(words, start + self.array.rows, row_fold, col_fold)
            else:
                self._stream_groups(words, start, row_fold, col_fold)
        return words

    def _stream_groups(self, words: dict[str, list[int]], start: int, row_fold: int, col_fold: int) -> None:
        rows, cols = _tile(row_fold, self.array.rows), _tile(col_fold, self.array.cols)
        steps = self.folding.steps
        for group in range(steps):
            at = start + group
            words["take"][at], words["first"][at], words["last"][at] = 1, group == 0, group == steps - 1
            self.activation.put(words, at, "activation", [(row, group) for row in rows])
            self.weight.put(words, at, "weight", [(col, group) for col in cols])

    def _load(self, words: dict[str, list[int]], start: int, row_fold: int, col_fold: int) -> None:
        cols = _tile(col_fold, self.array.cols)
        for at, group in enumerate(reversed(_tile(row_fold, self.array.rows)), start):
            words["load"][at] = 1
            self.weight.put(words, at, "weight", [(col, group) for col in cols])

    def _stream_activations(self, words: dict[str, list[int]], start: int, row_fold: int, col_fold: int) -> None:
        groups, cols = _tile(row_fold, self.array.rows), _tile(col_fold, self.array.cols)
        bits = self.array.datapath.register_bits
        for row in range(self.m):
            at = start + row
            words["take"][at] = 1
            self.activation.put(words, at, "activation", [(row, group) for group in groups])
            for j, col in enumerate(cols):
                register, invalid = self._after(row, col, groups[0] - 1)
                entered = at + j if self.array.double_buffered else at
                words["previous"][entered] |= register << (j * bits)
                if "previous_invalid" in words:
                    words["previous_invalid"][entered] |= invalid << j

    def results(self, lead: int) -> Iterator[_Result]:
        """What must appear, sums of padding rows and columns included: they are results like any other."""
        rows, cols = self.array.rows, self.array.cols
        for start, row_fold, col_fold in self._folds(lead):
            for j, col in enumerate(_tile(col_fold, cols)):
                if self.array.weight_stationary:
                    for row in range(self.m):
                        edge = start + rows + row + rows - 1 + j
                        yield self._result(edge, j, row, col, _tile(row_fold, rows)[-1])
                else:
                    for i, row in enumerate(_tile(row_fold, rows)):
                        edge = start + self.folding.steps - 1 + 2 * rows - 1 + j - i
                        yield self._result(edge, j, row, col, self.folding.steps - 1)

    def _result(self, edge: int, j: int, row: int, col: int, group: int) -> _Result:
        return _Result(edge, j, *self._after(row, col, group), (row, col))


class _Groups:
    """One operand in groups: codes [rows, groups, lanes] and scale codes [rows, groups], padded with zeros."""

    def __init__(self, tensor: QuantizedTensor, rows: int, groups: int, datapath: Datapath) -> None:
        fmt, lanes = tensor.format, datapath.lanes
        codes = tensor.code_rows().astype(np.uint32)
        padding = ((0, rows - len(codes)), (0, groups * lanes - codes.shape[1]))
        padded = np.pad(codes, padding, constant_values=fmt.element.padding_code)
        self.format = fmt
        self.scale_bits = datapath.scale_code_bits(fmt)
        self.codes = padded.reshape(rows, groups, lanes)
        self.scales = np.zeros((rows, groups), np.uint64)
        if fmt.has_unit_scale:
            self._fill_scales(tensor, codes.shape, datapath)

    def _fill_scales(self, tensor: QuantizedTensor, shape: tuple[int, ...], datapath: Datapath) -> None:
        given = tensor.scale_rows()
        of_row = np.arange(shape[0]) * len(given) // shape[0] if len(given) != shape[0] else np.arange(shape[0])
        found = group_scales(given[of_row], shape[1], self.format, datapath)
        self.scales[: shape[0], : found.shape[1]] = found

    def put(self, words: dict[str, list[int]], at: int, port: str, places: Sequence[tuple[int, int]]) -> None:
        """Put the groups at these (row, group) places on the port, the first in the low bits, and their scales."""
        bits = self.format.element.bits
        words[port][at] = _join((int(code) for place in places for code in self.codes[place]), bits)
        if f"{port}_scale" in words:
            scales = (int(self.scales[place]) for place in places)
            words[f"{port}_scale"][at] = _join(scales, self.scale_bits)


class _Stalled:
    """A stream of words with stalls: edges with `en` low and random words between its own, which are at `running`."""

    def __init__(self, words: dict[str, list[int]], ports: Sequence[Port], share: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        edges = len(words["en"])
        stalls = rng.geometric(1 - share, edges) - 1 if share else np.zeros(edges, int)
        self.running = (np.cumsum(stalls + 1) - 1).tolist()
        self.words = {port.name: self._random(port, rng) for port in ports if port.name in words}
        for name, column in words.items():
            for at, word in zip(self.running, column, strict=True):
                self.words[name][at] = word

    def _random(self, port: Port, rng: np.random.Generator) -> list[int]:
        count = self.running[-1] + 1
        if port.name == "en":
            return [0] * count
        size = -(-port.bits // 8)
        return [int.from_bytes(rng.bytes(size), "little") % (1 << port.bits) for _ in range(count)]


def _tile(index: int, size: int) -> range:
    return range(index * size, (index + 1) * size)


def _join(fields: Iterator[int], bits: int) -> int:
    """Fields side by side in one word, the first in the low bits."""
    return sum(int(field) << (place * bits) for place, field in enumerate(fields))
