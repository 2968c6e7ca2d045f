"""Energy and leakage of a circuit from its activity and the tables of its cell library; computes, runs nothing.

    internal    what cells use inside when their pins change (Liberty internal_power, clock pins excepted)
    switching   1/2 C V^2 for each change of a net that a cell drives, C being the input pins on it
    input       the same for the nets of the operands, which somebody else drives
    clock       1/2 C V^2 of the clock net, and what flip-flops use inside at each edge of it

An output's change draws the energy of the input that caused it: of each direction, the mean of the groups' energies,
weighted by how often their pin changed in a state in which the output follows it. Where the counts cannot tell (several
inputs changed at once), all groups weigh the same. Wires have no capacitance: there is no layout.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.rtl.cells.activity import Activity, CellActivity
from densimeter.rtl.cells.electrical import Electrical
from densimeter.rtl.cells.liberty_function import states
from densimeter.rtl.cells.standard_cell import Energy, StandardCell


@dataclass(frozen=True)
class EnergyParts:
    """Dynamic energy of a clock cycle, the mean over a stimulus, in fJ."""

    internal_fj: float
    switching_fj: float
    input_fj: float
    clock_fj: float

    @property
    def total_fj(self) -> float:
        return self.internal_fj + self.switching_fj + self.input_fj + self.clock_fj


@dataclass(frozen=True)
class PowerResult:
    """What a unit uses on a stimulus.

    delayed: energy a cycle with the cells' delays, glitches included; settled: the same without delays, none included.
    leakage_nw: the sum of the cells' mean leakage. period_ns: the clock that was simulated; energies depend on it only
    in that glitches meet an open or a closed flip-flop. input_slew_ns: of operands and clock.
    """

    delayed: EnergyParts
    settled: EnergyParts
    leakage_nw: float
    cycles: int
    period_ns: float
    input_slew_ns: float
    voltage_v: float
    temperature_c: float

    @property
    def energy_fj(self) -> float:
        """Dynamic energy of a cycle."""
        return self.delayed.total_fj

    @property
    def glitch_share(self) -> float:
        """The part of the dynamic energy that a circuit without glitches would not use."""
        return 1 - self.settled.total_fj / self.delayed.total_fj


def leakage_nw(circuit: Electrical) -> float:
    """Leakage of all cells, each the mean over its states."""
    return sum(circuit.cell(name).leakage_nw for name in circuit.netlist.instances)


def energy(circuit: Electrical, activity: Activity, voltage_v: float) -> EnergyParts:
    """Mean dynamic energy of the cycles of an activity."""
    tables = {name: _CellEnergies(cell) for name, cell in circuit.cells.items()}
    internal = clock = 0.0
    for name, changes in activity.cells.items():
        cell, table = circuit.cell(name), tables[circuit.netlist.instances[name].cell]
        slews = {pin: _slew(circuit, name, pin) for pin in cell.inputs}
        internal += sum(table.of_output_fj(pin, changes, slews, _load(circuit, name, pin)) for pin in cell.functions)
        inside = {pin: table.of_input_fj(pin, changes.inputs[pin], slews[pin]) for pin in cell.inputs}
        clock += inside.pop(cell.clock, 0.0) if cell.clock else 0.0
        internal += sum(inside.values())
    nets = {
        net: n * circuit.loads_ff.get(net, 0) * voltage_v**2 / 2 for net, n in net_changes(circuit, activity).items()
    }
    input_nets = {bit for port in circuit.netlist.ports.values() if port.direction == "input" for bit in port.bits}
    clock_nets = set(circuit.netlist.ports["clk"].bits)
    totals = {
        "internal_fj": internal,
        "switching_fj": sum(fj for net, fj in nets.items() if net not in input_nets),
        "input_fj": sum(fj for net, fj in nets.items() if net in input_nets - clock_nets),
        "clock_fj": clock + sum(fj for net, fj in nets.items() if net in clock_nets),
    }
    return EnergyParts(**{part: fj / activity.cycles for part, fj in totals.items()})


def net_changes(circuit: Electrical, activity: Activity) -> dict[int, int]:
    """How often each net changed: as its driver says, or for a net from outside, as a pin on it has seen."""
    seen: dict[int, int] = {}
    driven: dict[int, int] = {}
    for name, changes in activity.cells.items():
        for pin, events in changes.inputs.items():
            if (net := circuit.net(name, pin)) is not None:
                seen[net] = int(events.sum())
        for pin, edges in changes.outputs.items():
            if (net := circuit.net(name, pin)) is not None:
                driven[net] = sum(edges)
    return seen | driven


def _load(circuit: Electrical, name: str, pin: str) -> float:
    net = circuit.net(name, pin)
    return 0.0 if net is None else circuit.loads_ff.get(net, 0.0)


def _slew(circuit: Electrical, name: str, pin: str) -> float:
    net = circuit.net(name, pin)
    return circuit.input_slew_ns if net is None else circuit.slews_ns.get(net, circuit.input_slew_ns)


Counted = tuple[NDArray[np.int64], NDArray[np.int64]]
"""For falls and for rises, 1 for each state of a cell in which a change counts."""


class _CellEnergies:
    """The internal power groups of a kind of cell, each with the states in which it counts."""

    def __init__(self, cell: StandardCell) -> None:
        self._states = [cell.completed(state) for state in states(cell.state)]
        self._inputs = {
            pin: [(group, self._own(pin, group)) for group in cell.pins[pin].energies] for pin in cell.inputs
        }
        self._outputs = {
            pin: [(group, self._followed(cell, pin, group)) for group in cell.pins[pin].energies]
            for pin in cell.functions
        }

    def of_input_fj(self, pin: str, changes: NDArray[np.int64], slew_ns: float) -> float:
        """What an input pin's changes draw by themselves."""
        return sum(
            int(changes @ counted) * table.at(slew_ns, 0.0)
            for group, both in self._inputs[pin]
            for counted, table in zip(both, (group.edges.fall, group.edges.rise), strict=True)
        )

    def of_output_fj(self, pin: str, changes: CellActivity, slews_ns: Mapping[str, float], load_ff: float) -> float:
        """What the edges of an output draw."""
        groups = self._outputs[pin]
        total = 0.0
        for rises, count in enumerate(changes.outputs[pin]):
            if not count or not groups:
                continue
            weights = [float(changes.inputs[_cause(group)] @ followed[rises]) for group, followed in groups]
            if not any(weights):
                weights = [1.0] * len(groups)
            tables = [group.edges.rise if rises else group.edges.fall for group, _ in groups]
            slews = [slews_ns[_cause(group)] for group, _ in groups]
            drawn = sum(w * t.at(s, load_ff) for w, t, s in zip(weights, tables, slews, strict=True))
            total += count * drawn / sum(weights)
        return total

    def _own(self, pin: str, group: Energy) -> Counted:
        return self._counted(lambda state: _holds(group, state), lambda state: state[pin])

    def _followed(self, cell: StandardCell, pin: str, group: Energy) -> Counted:
        """The states, after a change of the group's pin, that the output has followed."""

        def counts(state: dict[str, int]) -> bool:
            before = {name: state[name] ^ (name == _cause(group)) for name in cell.state}
            return _holds(group, state) and cell.completed(before)[pin] != state[pin]

        return self._counted(counts, lambda state: state[pin])

    def _counted(self, counts: Callable[[dict[str, int]], bool], value: Callable[[dict[str, int]], int]) -> Counted:
        fall, rise = (
            np.array([counts(state) and value(state) == after for state in self._states], np.int64) for after in (0, 1)
        )
        return fall, rise


def _cause(group: Energy) -> str:
    assert group.related_pin is not None
    return group.related_pin


def _holds(group: Energy, state: Mapping[str, int]) -> bool:
    return group.when is None or group.when.value(state) == 1
