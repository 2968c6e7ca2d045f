"""Streams: any clocked module's Verilog runs in Icarus; outputs after every edge are compared with what is expected."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ConfigError
from densimeter.rtl.engines.replay import replay
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.ports import Port

Words = dict[str, NDArray[np.unsignedinteger]]


@dataclass(frozen=True)
class StreamMismatch:
    """The first cycle whose outputs were not what was expected; a port of None held unknown bits. Words are whole
    ports."""

    cycle: int
    inputs: dict[str, int]
    expected: dict[str, int]
    got: dict[str, int | None]


@dataclass(frozen=True)
class StreamResult:
    """How many cycles were compared, how many differed, and the first that did."""

    cycles_compared: int
    mismatches: int
    first_mismatch: StreamMismatch | None


def run_stream(
    emitted: EmittedModule, inputs: Words, expected: Words, bits: dict[str, int], *, skip: int = 0
) -> StreamResult:
    """Drive `inputs` and compare every output after each rising edge of `clk` with `expected`, the first `skip` apart.

    Each port's words are [cycles] or [cycles, lanes], one code of ``bits[port]`` bits a lane, lane 0 in the low bits;
    `inputs` holds every input but clk. Raises ToolError where the simulator is missing, fails or compares too little,
    and ConfigError where arrays do not fit one another.
    """
    cycles = {len(words) for words in [*inputs.values(), *expected.values()]}
    if len(cycles) != 1 or not expected or cycles == {0}:
        raise ConfigError(f"a stream needs the same cycles of every port, at least one; got {sorted(cycles)}")
    ports = [_port(name, words, bits[name], "input") for name, words in inputs.items()]
    ports += [_port(name, words, bits[name], "output") for name, words in expected.items()]
    given, wanted = ({name: _join(words, bits[name]) for name, words in side.items()} for side in (inputs, expected))
    shown = replay(emitted, ports, given)
    got = {p.name: [word.field(0, p.bits) for word in shown[p.name]] for p in ports if p.direction == "output"}
    wrong = [
        cycle for cycle in range(skip, cycles.pop()) if any(got[name][cycle] != wanted[name][cycle] for name in got)
    ]
    mismatch = None
    if wrong:
        before, after, found = (
            {name: column[wrong[0]] for name, column in side.items()} for side in (given, wanted, got)
        )
        mismatch = StreamMismatch(wrong[0], before, after, found)  # type: ignore[arg-type]
    return StreamResult(len(next(iter(got.values()))) - skip, len(wrong), mismatch)


def _port(name: str, words: NDArray[np.unsignedinteger], bits: int, direction: Literal["input", "output"]) -> Port:
    lanes = words[0].size
    return Port(name, direction, lanes * bits, "")


def _join(words: NDArray[np.unsignedinteger], bits: int) -> list[int]:
    """Whole words of a port, lane 0 in the low bits."""
    lanes = words.reshape(len(words), -1).tolist()
    if any(code >> bits for row in lanes for code in row):
        raise ConfigError(f"a word of the stream is {words.max()}; its port has {bits} bits a lane")
    return [sum(code << (lane * bits) for lane, code in enumerate(row)) for row in lanes]
