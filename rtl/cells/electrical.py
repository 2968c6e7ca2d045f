"""Loads, slews and delays of a netlist in standard cells, before layout: wires have neither length nor capacitance.

A net's slew and a cell's delay are the means over the library's arcs to that output, and slews over both edges too.
Operands come, and clocks switch, as if from flip-flops like the unit's own, each driving four of their data pins.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from densimeter.formats.errors import ToolError
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.cells.netlist import Instance, Netlist
from densimeter.rtl.cells.standard_cell import Arc, StandardCell, standard_cell

_FANOUT = 4
_START_SLEW_NS = 0.0


@dataclass(frozen=True)
class Electrical:
    """A netlist with its figures.

    loads_ff, slews_ns: by net; a net without sinks has no load. delays_ns: rise and fall, by instance and output pin.
    launch_ns: from a clock edge to the change of an operand. longest_path_ns: from a clock edge to the last change.
    """

    netlist: Netlist
    cells: Mapping[str, StandardCell]
    loads_ff: Mapping[int, float]
    slews_ns: Mapping[int, float]
    delays_ns: Mapping[tuple[str, str], tuple[float, float]]
    input_slew_ns: float
    launch_ns: float
    longest_path_ns: float

    def cell(self, instance: str) -> StandardCell:
        return self.cells[self.netlist.instances[instance].cell]

    def net(self, instance: str, pin: str) -> int | None:
        """The net at a pin of one bit; None for a constant or an open pin."""
        return _net(self.netlist.instances[instance], pin)


def annotate(netlist: Netlist, library: Library) -> Electrical:
    """Figures for every net and cell.

    Raises `ToolError` where the netlist has no flip-flop, has a loop of logic, or uses a cell that is not known.
    """
    cells = {name: standard_cell(library, name) for name in netlist.cells}
    launch_ns, slew_ns = _like_a_register(cells)
    loads = _loads(netlist, cells)
    slews: dict[int, float] = defaultdict(lambda: slew_ns)
    arrivals: dict[int, float] = defaultdict(lambda: launch_ns)
    delays: dict[tuple[str, str], tuple[float, float]] = {}
    for name in _in_order(netlist, cells):
        instance = netlist.instances[name]
        for pin in cells[instance.cell].functions:
            arcs = cells[instance.cell].pins[pin].arcs
            net = _net(instance, pin)
            load = loads.get(net, 0.0) if net is not None else 0.0
            given = [slews[source] for arc in arcs if (source := _net(instance, arc.related_pin)) is not None]
            used = [arc for arc in arcs if _net(instance, arc.related_pin) is not None]
            delays[name, pin] = _delay(used, given, load)
            if net is not None:
                slews[net] = _mean([a.transition.mean_at(s, load) for a, s in zip(used, given, strict=True)])
                arrivals[net] = max(delays[name, pin]) + _last(instance, cells[instance.cell], arrivals)
    return Electrical(
        netlist, cells, loads, dict(slews), delays, slew_ns, launch_ns, max(arrivals.values(), default=launch_ns)
    )


def _net(instance: Instance, pin: str) -> int | None:
    bits = instance.pins.get(pin, ())
    return bits[0] if len(bits) == 1 and isinstance(bits[0], int) else None


def _like_a_register(cells: Mapping[str, StandardCell]) -> tuple[float, float]:
    """Clock-to-output delay and slew of the first flip-flop used, into four of its data pins."""
    for cell in cells.values():
        if cell.register is not None:
            data = min(cell.register.next_state.pins)
            load = _FANOUT * cell.pins[data].capacitance_ff
            arcs = [arc for pin in cell.functions for arc in cell.pins[pin].arcs]
            slew = _mean([arc.transition.mean_at(_START_SLEW_NS, load) for arc in arcs])
            return _mean([arc.delay.mean_at(slew, load) for arc in arcs]), slew
    raise ToolError("the netlist has no flip-flop, so that nothing says when its inputs change")


def _loads(netlist: Netlist, cells: Mapping[str, StandardCell]) -> dict[int, float]:
    loads: dict[int, float] = defaultdict(float)
    for instance in netlist.instances.values():
        cell = cells[instance.cell]
        for pin in cell.inputs:
            net = _net(instance, pin)
            if net is not None:
                loads[net] += cell.pins[pin].capacitance_ff
    return dict(loads)


def _in_order(netlist: Netlist, cells: Mapping[str, StandardCell]) -> list[str]:
    """Instances, each behind those that drive it; a flip-flop waits for nothing but its clock."""
    drivers = {
        net: name
        for name, instance in netlist.instances.items()
        for pin in cells[instance.cell].functions
        if (net := _net(instance, pin)) is not None
    }
    before: dict[str, set[str]] = {}
    for name, instance in netlist.instances.items():
        cell = cells[instance.cell]
        awaited = cell.inputs if cell.clock is None else (cell.clock,)
        before[name] = {drivers[net] for pin in awaited if (net := _net(instance, pin)) in drivers and net is not None}
    return list(TopologicalSorter(before).static_order())


def _last(instance: Instance, cell: StandardCell, arrivals: Mapping[int, float]) -> float:
    """When the last of the inputs changes; a register's output follows its clock."""
    if cell.register is not None:
        return 0.0
    return max((arrivals[net] for pin in cell.inputs if (net := _net(instance, pin)) is not None), default=0.0)


def _delay(arcs: list[Arc], slews: list[float], load: float) -> tuple[float, float]:
    """Rise and fall; tables of fast cells at slow inputs go below zero, which no simulator can do."""
    pairs = list(zip(arcs, slews, strict=True))
    rise = _mean([arc.delay.rise.at(slew, load) for arc, slew in pairs])
    fall = _mean([arc.delay.fall.at(slew, load) for arc, slew in pairs])
    return max(rise, 0.0), max(fall, 0.0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
