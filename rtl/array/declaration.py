"""What an array is: its unit, its size, its dataflow and its ports."""

from dataclasses import dataclass
from typing import Literal

from densimeter.formats import ConfigError, Datapath
from densimeter.formats.errors import nearest
from densimeter.rtl.emit import module_name
from densimeter.rtl.ports import Port, operand_ports

ArrayDataflow = Literal["weight_stationary", "output_stationary"]
_SHORT: dict[ArrayDataflow, str] = {"weight_stationary": "ws", "output_stationary": "os"}
_MAX_SIDE = 256


@dataclass(frozen=True)
class SystolicArray:
    """An array of `rows` x `cols` units. ConfigError for sizes outside 1 to 256 and for other dataflows: for an
    input-stationary array, exchange the operands of a weight-stationary one.

    double_buffered: a second register an element, so that folds follow each other without a gap.
    """

    datapath: Datapath
    rows: int
    cols: int
    dataflow: ArrayDataflow
    double_buffered: bool = False

    def __post_init__(self) -> None:
        if self.dataflow not in _SHORT:
            known = ", ".join(_SHORT)
            raise ConfigError(f"dataflow is {self.dataflow!r}, expected {known}{nearest(self.dataflow, _SHORT)}")
        for name, size in (("rows", self.rows), ("cols", self.cols)):
            if not 1 <= size <= _MAX_SIDE:
                raise ConfigError(f"{name} is {size}, expected 1 to {_MAX_SIDE}")

    @property
    def weight_stationary(self) -> bool:
        return self.dataflow == "weight_stationary"

    @property
    def name(self) -> str:
        kind = _SHORT[self.dataflow] + "_double" * self.double_buffered
        return module_name(self.datapath).replace("densimeter_", f"densimeter_array_{kind}_{self.rows}x{self.cols}_", 1)


def array_ports(array: SystolicArray) -> list[Port]:
    """Every port of the array."""
    rows, cols, datapath, double = array.rows, array.cols, array.datapath, array.double_buffered
    kept = "it and `load`" if double and array.weight_stationary else "it"
    found = [
        Port("clk", "input", 1, "rising edge"),
        Port("en", "input", 1, "0: everything holds"),
        Port("take", "input", 1, f"a step enters at this edge; keep {kept} 0 for 2*rows + cols edges after power-up"),
    ]
    if array.weight_stationary:
        plain = "weights move down one row; take must be 0, and no step under way"
        beside = "weights enter, `rows` edges running, the bottom row's first; the steps behind them use them"
        found.append(Port("load", "input", 1, beside if double else plain))
    else:
        plain = "the step ends its sums; the next may enter `rows` edges later"
        beside = "the step ends its sums, `rows` edges or more behind the last that did; the next may follow at once"
        found.append(Port("first", "input", 1, "the step starts new sums"))
        found.append(Port("last", "input", 1, beside if double else plain))
    for port in operand_ports(datapath):
        side, count = ("row", rows) if port.name.startswith("activation") else ("column", cols)
        found.append(Port(port.name, "input", count * port.bits, f"for each {side}: {port.meaning}"))
    flag = datapath.has_invalid_flag
    bits = cols * datapath.register_bits
    if array.weight_stationary:
        # Its results leave a column as late, so they may come back in the very cycle after.
        when = "for each column j, at j edges behind its step" if double else "for each column"
        found.append(Port("previous", "input", bits, f"{when}: the sum that the step is added to"))
        if flag:
            found.append(Port("previous_invalid", "input", cols, f"{when}: its invalid flag", vector=True))
    found.append(Port("accumulator", "output", bits, "for each column: the register of its bottom row"))
    if flag:
        found.append(Port("invalid", "output", cols, "for each column: a NaN or Inf is in that sum", vector=True))
    found.append(Port("valid", "output", cols, "for each column: a result stands at its output", vector=True))
    return found
