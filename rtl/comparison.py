"""What a simulation compares: a design, the stimulus it gets, the registers expected of it, and what came of it.

Every engine takes `Vectors` and gives a `Report`; what they share stands here, so that they cannot differ in it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ConfigError, Datapath, ToolError
from densimeter.rtl.ports import ports

_LOG_TAIL = 2000


@dataclass(frozen=True)
class Delay:
    """How many clock edges a unit's register lags behind the reference's, which takes a group in at its own edge.

    `stalls`: an edge with `en` low holds the whole pipeline; else its pipeline goes on and the edge is a bubble in it.
    """

    cycles: int = 0
    stalls: bool = False


@dataclass(frozen=True)
class Design:
    """Verilog to simulate: generated text, further files that it needs, and the top module, with our port names."""

    text: str
    top: str
    files: tuple[Path, ...] = ()
    delay: Delay = field(default_factory=Delay)

    @property
    def include_folders(self) -> list[Path]:
        """Where `include finds what stands beside the files."""
        return sorted({path.parent for path in self.files})


@dataclass(frozen=True)
class Stimulus:
    """What a unit is given, one row a clock cycle: codes [cycles, lanes], scale codes [cycles], flags [cycles].

    Scales stay None where the unit has no such port; `clear` None clears at the first cycle only, `enable` None always
    enables. The first cycle must clear, for the unit has no reset.
    """

    activation: NDArray[np.unsignedinteger]
    weight: NDArray[np.unsignedinteger]
    activation_scale: NDArray[np.unsignedinteger] | None = None
    weight_scale: NDArray[np.unsignedinteger] | None = None
    clear: NDArray[np.bool_] | None = None
    enable: NDArray[np.bool_] | None = None

    @property
    def cycles(self) -> int:
        return len(self.activation)

    @property
    def clears(self) -> NDArray[np.bool_]:
        """`clear` at every cycle."""
        return np.arange(self.cycles) == 0 if self.clear is None else self.clear

    @property
    def enables(self) -> NDArray[np.bool_]:
        """`enable` at every cycle."""
        return np.ones(self.cycles, dtype=bool) if self.enable is None else self.enable


@dataclass(frozen=True)
class Mismatch:
    """The first cycle whose outputs were not what was expected; a register of None held unknown bits."""

    cycle: int
    operands: dict[str, list[int]]
    expected: int
    got: int | None
    expected_invalid: bool | None
    got_invalid: bool | None


@dataclass(frozen=True)
class SimulationResult:
    vectors_compared: int
    mismatches: int
    first_mismatch: Mismatch | None


@dataclass(frozen=True)
class Vectors:
    """A stimulus as engines take it, one row a clock edge.

    words: of each input port but clk, little-endian bytes [edges, bytes], stable at the edge.
    expected, expected_invalid: [edges], what must stand after the edge; the flag None where the unit has none.
    source: [edges], the stimulus cycle whose outcome that is, or -1 where nothing is to be compared yet.
    """

    words: dict[str, NDArray[np.uint8]]
    expected: NDArray[np.uint64]
    expected_invalid: NDArray[np.bool_] | None
    source: NDArray[np.int64]

    @property
    def compared(self) -> NDArray[np.bool_]:
        return self.source >= 0


@dataclass(frozen=True)
class Difference:
    """The first edge with a mismatch, and what the outputs showed; None where a bit was unknown."""

    edge: int
    register: int | None
    invalid: int | None


@dataclass(frozen=True)
class Report:
    """What an engine has counted."""

    compared: int
    mismatches: int
    first: Difference | None


def vectors(
    datapath: Datapath,
    stimulus: Stimulus,
    expected: NDArray[Any],
    expected_invalid: NDArray[np.bool_] | None,
    delay: Delay,
) -> Vectors:
    """Check that the arrays fit the unit (ConfigError, or ToolError for no cycles at all), and pack them."""
    _check_expected(datapath, stimulus, expected, expected_invalid)
    words = _port_words(datapath, stimulus)
    if delay.cycles:
        # At the edges that bring the last outcomes out, nothing is taken in, unless the pipeline moves only then.
        moving = np.uint8(delay.stalls)
        words = {name: _lengthened(rows, delay.cycles, moving if name == "en" else 0) for name, rows in words.items()}
    source = _sources(stimulus.enables, delay)
    row = np.maximum(source, 0)
    registers = np.asarray(expected, dtype=np.uint64)[row]
    return Vectors(words, registers, None if expected_invalid is None else expected_invalid[row], source)


def result(
    report: Report, given: Vectors, stimulus: Stimulus, expected: NDArray[Any], expected_invalid: NDArray[Any] | None
) -> SimulationResult:
    """What a report says of the stimulus; ToolError unless every vector was compared."""
    wanted = int(np.count_nonzero(given.compared))
    if report.compared != wanted:
        raise ToolError(f"the simulation compared {report.compared} vectors instead of {wanted}")
    if report.first is None:
        return SimulationResult(report.compared, report.mismatches, None)
    cycle, invalid = int(given.source[report.first.edge]), report.first.invalid
    rows = {"activation": stimulus.activation, "weight": stimulus.weight}
    scales = {"activation_scale": stimulus.activation_scale, "weight_scale": stimulus.weight_scale}
    rows |= {name: codes for name, codes in scales.items() if codes is not None}
    mismatch = Mismatch(
        cycle=cycle,
        operands={name: np.atleast_1d(codes[cycle]).tolist() for name, codes in rows.items()},
        expected=int(expected[cycle]),
        got=report.first.register,
        expected_invalid=None if expected_invalid is None else bool(expected_invalid[cycle]),
        got_invalid=None if expected_invalid is None or invalid is None else bool(invalid),
    )
    return SimulationResult(report.compared, report.mismatches, mismatch)


def tail(log: Path) -> str:
    """The end of a tool's log, for an error message."""
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:] if log.exists() else "(no log was written)"


def _check_expected(
    datapath: Datapath, stimulus: Stimulus, expected: NDArray[Any], expected_invalid: NDArray[np.bool_] | None
) -> None:
    if not stimulus.cycles:
        raise ToolError("a simulation that compared no vectors would prove nothing; give at least one stimulus cycle")
    if len(expected) != stimulus.cycles:
        raise ConfigError(f"{len(expected)} expected registers for {stimulus.cycles} stimulus cycles; give one a cycle")
    if (expected_invalid is not None) != datapath.has_invalid_flag:
        given, wanted = ("missing", "give") if expected_invalid is None else ("given", "leave out")
        raise ConfigError(
            f"expected_invalid is {given}, but the unit says otherwise; {wanted} it for this pair of formats"
        )


def _port_words(datapath: Datapath, stimulus: Stimulus) -> dict[str, NDArray[np.uint8]]:
    """Each input port's words as little-endian bytes, [cycles, bytes]."""
    clear, enable = stimulus.clears, stimulus.enables
    if not (clear[0] and enable[0]):
        raise ConfigError("the first stimulus cycle must have clear and enable set, for the unit has no reset")
    given = {
        "en": enable,
        "clear": clear,
        "activation": stimulus.activation,
        "weight": stimulus.weight,
        "activation_scale": stimulus.activation_scale,
        "weight_scale": stimulus.weight_scale,
    }
    inputs = {port.name: port.bits for port in ports(datapath) if port.direction == "input" and port.name != "clk"}
    return {name: _pack(name, given[name], bits, stimulus.cycles) for name, bits in inputs.items()}


def _pack(name: str, codes: NDArray[Any] | None, bits: int, cycles: int) -> NDArray[np.uint8]:
    if codes is None or len(codes) != cycles:
        raise ConfigError(f"stimulus {name} has {0 if codes is None else len(codes)} cycles, expected {cycles}")
    columns = codes.reshape(cycles, -1).astype("<u8")
    code_bits, rest = divmod(bits, columns.shape[1])
    if rest or (columns >> np.uint64(code_bits)).any():
        raise ConfigError(
            f"stimulus {name} has {columns.shape[1]} codes a cycle up to {columns.max()}; the port has {bits} bits"
        )
    code_bytes = columns.view(np.uint8).reshape(cycles, columns.shape[1], 8)
    each = np.unpackbits(code_bytes, axis=2, count=code_bits, bitorder="little")
    return np.packbits(each.reshape(cycles, bits), axis=1, bitorder="little")


def _lengthened(rows: NDArray[np.uint8], by: int, value: np.uint8 | int) -> NDArray[np.uint8]:
    return np.concatenate([rows, np.full((by, rows.shape[1]), value, np.uint8)])


def _sources(enable: NDArray[np.bool_], delay: Delay) -> NDArray[np.int64]:
    """The stimulus cycle whose outcome stands after each edge of the lengthened stream, -1 before the first."""
    if not delay.stalls:
        return np.maximum(np.arange(-delay.cycles, len(enable)), -1)
    taken = np.flatnonzero(enable)
    moves = np.cumsum(np.append(enable, np.ones(delay.cycles, dtype=bool)))
    latest = moves - 1 - delay.cycles
    return np.where(latest >= 0, taken[np.maximum(latest, 0)], -1)
