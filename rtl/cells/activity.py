"""Activity: how often the pins of a netlist's cells change, and in which states.

Counted in simulation it holds glitches; `without_glitches` derives it from where the nets stand between the cycles.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.rtl.cells.electrical import Electrical
from densimeter.rtl.cells.liberty_function import states
from densimeter.rtl.cells.standard_cell import StandardCell


@dataclass(frozen=True)
class CellActivity:
    """Changes at one instance.

    inputs: of each input pin, by the state after the change: its number in `StandardCell.state`, first pin highest.
    outputs: falls and rises of each output pin.
    """

    inputs: Mapping[str, NDArray[np.int64]]
    outputs: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Activity:
    """Changes in `cycles` clock cycles, by instance."""

    cycles: int
    cells: Mapping[str, CellActivity]


@dataclass(frozen=True)
class Settled:
    """Bits [cycles + 1] before each rising clock edge and after the last cycle: of nets, and of what registers hold."""

    nets: Mapping[int, NDArray[np.uint8]]
    registers: Mapping[str, NDArray[np.uint8]]


def without_glitches(circuit: Electrical, settled: Settled) -> Activity:
    """The changes from cycle to cycle, all of them after the rising edge and before the falling one."""
    cycles = len(next(iter(settled.nets.values()))) - 1
    values = {name: _outputs_by_state(cell) for name, cell in circuit.cells.items()}
    cells = {
        name: _changes(circuit, name, settled, values[instance.cell])
        for name, instance in circuit.netlist.instances.items()
    }
    return Activity(cycles, cells)


def _outputs_by_state(cell: StandardCell) -> dict[str, NDArray[np.int64]]:
    completed = [cell.completed(state) for state in states(cell.state)]
    return {pin: np.array([state[pin] for state in completed]) for pin in cell.functions}


def _changes(circuit: Electrical, name: str, settled: Settled, values: Mapping[str, NDArray[np.int64]]) -> CellActivity:
    cell = circuit.cell(name)
    active = 1 if cell.register is None or cell.register.clocked_on.operator == "pin" else 0
    bits = {pin: _bits(circuit, name, pin, settled) for pin in cell.state if pin != cell.clock}
    size = 1 << len(cell.state)

    def numbers(clock: int) -> NDArray[np.int64]:
        number = np.zeros(1, np.int64)
        for pin in cell.state:
            number = number * 2 + (clock if pin == cell.clock else bits[pin])
        return number

    after_edge = numbers(active)
    inputs = {pin: np.zeros(size, np.int64) for pin in cell.inputs}
    for pin in inputs.keys() - {cell.clock}:
        changed = np.flatnonzero(np.diff(bits[pin]))
        inputs[pin] = np.bincount(after_edge[changed + 1], minlength=size) if len(changed) else inputs[pin]
    if cell.clock is not None:
        # The active edge meets what stood before it, the other edge what has come of it.
        edges = np.concatenate([after_edge[:-1], numbers(1 - active)[1:]])
        inputs[cell.clock] = np.bincount(edges, minlength=size)
    steps = {pin: np.diff(value[after_edge]) for pin, value in values.items()}
    outputs = {pin: (int((step < 0).sum()), int((step > 0).sum())) for pin, step in steps.items()}
    return CellActivity(inputs, outputs)


def _bits(circuit: Electrical, name: str, pin: str, settled: Settled) -> NDArray[np.int64]:
    """Bits [cycles + 1] of a pin, or of the register, which is no pin."""
    if pin not in circuit.cell(name).pins:
        return settled.registers[name].astype(np.int64)
    net = circuit.net(name, pin)
    if net is not None:
        return settled.nets[net].astype(np.int64)
    constant = int(circuit.netlist.instances[name].pins[pin] == ("1",))
    return np.full(len(next(iter(settled.nets.values()))), constant, np.int64)
