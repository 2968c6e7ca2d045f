"""One cell of a Liberty library as a circuit: what it computes, its loads, and its tables of delay and energy.

Times are in ns, loads in fF, energies in fJ, whatever units the library is written in.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.rtl.cells import liberty_function
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.cells.liberty_function import Expression
from densimeter.rtl.cells.liberty_syntax import Group

_SLEW = {"input_net_transition", "input_transition_time"}
_LOAD = {"total_output_net_capacitance"}
_DELAY_ARCS = r"", "combinational", "combinational_rise", "combinational_fall", "rising_edge", "falling_edge"
_ARC_TABLES = "cell_{}", "{}_transition"
_NOT_SUPPORTED = "latch", "statetable", "ff_bank", "latch_bank"


@dataclass(frozen=True)
class Table:
    """Values over input slew and output load, `values[slew][load]`; an axis of one point means that all are equal."""

    slews_ns: tuple[float, ...]
    loads_ff: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, slew_ns: float, load_ff: float) -> float:
        """Bilinear between the points, and continued in a straight line beyond the outermost, as timing tools do."""
        slew, across = _position(self.slews_ns, slew_ns)
        load, along = _position(self.loads_ff, load_ff)
        rows = [_between(self.values[row], load, along) for row in range(slew, min(slew + 2, len(self.values)))]
        return _between(rows, 0, across)


@dataclass(frozen=True)
class Edges:
    """A table for each direction of the pin that the tables belong to."""

    rise: Table
    fall: Table

    def mean_at(self, slew_ns: float, load_ff: float) -> float:
        return (self.rise.at(slew_ns, load_ff) + self.fall.at(slew_ns, load_ff)) / 2


@dataclass(frozen=True)
class Arc:
    """From an input pin to the output pin that holds it."""

    related_pin: str
    delay: Edges
    transition: Edges


@dataclass(frozen=True)
class Energy:
    """An internal_power group: what the cell itself uses when the pin that holds it changes.

    Of an output pin, because `related_pin` changed; an input pin's group has none and counts where no output follows.
    """

    related_pin: str | None
    when: Expression | None
    edges: Edges


@dataclass(frozen=True)
class Pin:
    """`function` is that of an output, in terms of input pins and of the register; None for inputs."""

    capacitance_ff: float
    function: Expression | None
    arcs: tuple[Arc, ...]
    energies: tuple[Energy, ...]


@dataclass(frozen=True)
class Register:
    """The flip-flop inside: its output's name, that of the inverse, when it takes what."""

    output: str
    inverse: str
    clocked_on: Expression
    next_state: Expression


@dataclass(frozen=True)
class StandardCell:
    """A combinational cell or a plain flip-flop."""

    name: str
    leakage_nw: float
    pins: Mapping[str, Pin]
    register: Register | None

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name, pin in self.pins.items() if pin.function is None)

    @cached_property
    def functions(self) -> dict[str, Expression]:
        """Output pins and what they compute."""
        return {name: pin.function for name, pin in self.pins.items() if pin.function is not None}

    @cached_property
    def clock(self) -> str | None:
        """The pin that clocks the register."""
        return None if self.register is None else min(self.register.clocked_on.pins)

    @cached_property
    def state(self) -> tuple[str, ...]:
        """What decides every pin's value: the inputs and, if there is one, the register."""
        return self.inputs if self.register is None else (*self.inputs, self.register.output)

    def completed(self, state: Mapping[str, int]) -> dict[str, int]:
        """The values of all pins and of the register, which those of `state` decide."""
        known = dict(state)
        if self.register is not None:
            known[self.register.inverse] = 1 - known[self.register.output]
        return known | {name: function.value(known) for name, function in self.functions.items()}


def standard_cell(library: Library, name: str) -> StandardCell:
    """The named cell of a library.

    Raises `ToolError` for a kind of cell that simulation does not know (latches, cells with preset or clear), and
    `ConfigError` where the file is not whole.
    """
    if name not in library.cells:
        raise ToolError(f"{library.name} has no cell {name}")
    group = library.cell(name)
    flip_flops = group.all("ff")
    if group.all(*_NOT_SUPPORTED) or any({"clear", "preset"} & set(ff.attributes) for ff in flip_flops):
        raise ToolError(f"{library.name}: cell {name}: expected logic or a flip-flop without preset and clear")
    reader = _Reader(library, name)
    pins = {pin.arguments[0]: reader.pin(pin) for pin in group.all("pin")}
    return StandardCell(name, reader.leakage_nw(group), pins, reader.register(flip_flops[0]) if flip_flops else None)


@dataclass(frozen=True)
class _Reader:
    """Groups of one cell become objects; whatever cannot be read is a `ConfigError` that names the cell."""

    library: Library
    cell: str

    def pin(self, group: Group) -> Pin:
        direction, function = group.value("direction"), group.value("function")
        if "three_state" in group.attributes:
            raise ToolError(f"{self.library.name}: cell {self.cell}: expected no tristate output")
        if direction not in ("input", "output") or (direction == "output") != (function is not None):
            raise ConfigError(self._place("expected pins that are inputs, or outputs with a function"))
        energies = [energy for power in group.all("internal_power") for energy in self._energies(power)]
        return Pin(
            capacitance_ff=float(group.value("capacitance") or 0) * self.library.capacitance_unit_ff,
            function=None if function is None else self._expression(function),
            arcs=tuple(arc for timing in group.all("timing") for arc in self._arcs(timing)),
            energies=tuple(energies),
        )

    def register(self, group: Group) -> Register:
        output, inverse = group.arguments
        clocked_on, next_state = (self._expression(group.value(key) or "") for key in ("clocked_on", "next_state"))
        if len(clocked_on.pins) != 1:
            raise ConfigError(self._place("expected a flip-flop with one clock pin"))
        return Register(output, inverse, clocked_on, next_state)

    def leakage_nw(self, group: Group) -> float:
        """The cell's own figure, or else the mean of those of its states."""
        states = [float(state.value("value") or 0) for state in group.all("leakage_power")]
        own = group.value("cell_leakage_power")
        leakage = float(own) if own is not None else sum(states) / max(len(states), 1)
        return leakage * self.library.leakage_unit_nw if leakage else 0.0

    def _arcs(self, group: Group) -> list[Arc]:
        if (group.value("timing_type") or "") not in _DELAY_ARCS:
            return []
        delay, transition = (self._edges(group, kind, self.library.time_unit_ns) for kind in _ARC_TABLES)
        if delay is None or transition is None:
            return []
        return [Arc(pin, delay, transition) for pin in (group.value("related_pin") or "").split()]

    def _energies(self, group: Group) -> list[Energy]:
        edges = self._edges(group, "{}_power", self.library.energy_unit_fj)
        if edges is None:
            return []
        when = group.value("when")
        condition = None if when is None else self._expression(when)
        related = (group.value("related_pin") or "").split()
        return [Energy(pin, condition, edges) for pin in related] or [Energy(None, condition, edges)]

    def _edges(self, group: Group, name: str, unit: float) -> Edges | None:
        """The tables for rise and fall; one that stands alone, or "power", is for both."""
        found = [group.all(name.format(edge), "power") for edge in ("rise", "fall")]
        rise, fall = found[0] or found[1], found[1] or found[0]
        return Edges(self._table(rise[0], unit), self._table(fall[0], unit)) if rise else None

    def _table(self, group: Group, unit: float) -> Table:
        rows = [[float(value) * unit for value in row.replace(",", " ").split()] for row in group.attributes["values"]]
        template = self._templates.get(group.arguments[0] if group.arguments else "", Group(""))
        axes: dict[str, tuple[float, ...]] = {}
        order = []
        for number in ("1", "2"):
            variable = template.value(f"variable_{number}")
            index = group.value(f"index_{number}") or template.value(f"index_{number}")
            if variable is None or index is None or len(rows) == len(rows[0]) == 1:
                continue
            order.append("slew" if variable in _SLEW else "load" if variable in _LOAD else variable)
            scale = self.library.time_unit_ns if order[-1] == "slew" else self.library.capacitance_unit_ff
            axes[order[-1]] = tuple(float(point) * scale for point in index.replace(",", " ").split())
        if unknown := set(order) - {"slew", "load"}:
            raise ConfigError(self._place(f"a table over {', '.join(sorted(unknown))}, expected slew and load"))
        if order == ["load"] or order == ["load", "slew"]:
            # One row of loads stands across the slews already.
            rows = rows if order == ["load"] else [list(column) for column in zip(*rows, strict=True)]
        elif order == ["slew"]:
            rows = [[value] for value in rows[0]]
        table = Table(axes.get("slew", (0.0,)), axes.get("load", (0.0,)), tuple(map(tuple, rows)))
        if {len(row) for row in table.values} != {len(table.loads_ff)} or len(table.values) != len(table.slews_ns):
            raise ConfigError(self._place("a table whose values do not fit its axes"))
        return table

    @cached_property
    def _templates(self) -> dict[str, Group]:
        kinds = "lu_table_template", "power_lut_template"
        return {template.arguments[0]: template for template in self.library.header.all(*kinds)}

    def _expression(self, text: str) -> Expression:
        try:
            return liberty_function.parse(text)
        except ValueError as error:
            raise ConfigError(self._place(str(error))) from None

    def _place(self, problem: str) -> str:
        return f"{self.library.path}: cell {self.cell}: {problem}"


def _position(points: tuple[float, ...], value: float) -> tuple[int, float]:
    """The point below and how far on to the next, 1 being there; past the ends, those of the last interval."""
    if len(points) == 1:
        return 0, 0.0
    below = min(max(bisect_right(points, value) - 1, 0), len(points) - 2)
    return below, (value - points[below]) / (points[below + 1] - points[below])


def _between(values: tuple[float, ...] | list[float], below: int, share: float) -> float:
    return values[below] + share * (values[below + 1] - values[below]) if share else values[below]
