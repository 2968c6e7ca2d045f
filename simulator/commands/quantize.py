"""`densimeter quantize IN --format NAME -o OUT`: a checkpoint in another number format, and what that did to it."""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from densimeter.formats import BlockFormat, ConfigError, resolve
from densimeter.simulator.commands.completion import format_names
from densimeter.simulator.commands.output import (
    JsonOption,
    byte_progress,
    console,
    errors,
    plain_table,
    print_json,
    shown_path,
    sparkline,
)

if TYPE_CHECKING:  # numba and SciPy take a second to load, which `densimeter --help` need not wait for
    from densimeter.simulator.checkpoint.quantize import Outcome
    from densimeter.simulator.numerics import ErrorStatistics

_BAR_WIDTH = 50
_NAME_WIDTH = 20  # at least; where the terminal has no room for more, names go over several lines
_WIDE = 120  # columns; narrower terminals show the first figures of each tensor only
_FEW = 1 / 1000


def quantize(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A .safetensors (or its .index.json), .gguf, .npy or .npz file."),
    ],
    format_name: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="A catalog name or a declaration in YAML flow style.", autocompletion=format_names
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Quantise only tensors named so ('*.weight'); repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="Do not quantise tensors named so; repeatable.")
    ] = None,
    only_quantized: Annotated[
        bool, typer.Option("--only-quantized", help="Leave all other tensors out instead of copying them.")
    ] = False,
    axis: Annotated[int, typer.Option(help="The axis along which values share a block.")] = -1,
    seed: Annotated[int, typer.Option(help="Of stochastic rounding.")] = 0,
    histogram: Annotated[
        bool, typer.Option("--histogram", help="Print how the relative errors of all values are distributed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Quantise a checkpoint tensor by tensor, and report the error of each; interrupted, the same command goes on.

    Floating-point tensors of two or more axes are quantised, all others copied as they are. Quantised tensors of a GGUF
    file count with the values that they stand for.
    """
    from densimeter.simulator.checkpoint.quantize import Job, quantize_checkpoint
    from densimeter.simulator.checkpoint.source import open_checkpoint

    fmt = resolve(format_name)
    if output.suffix != ".safetensors" or not output.parent.is_dir() or output.is_dir():
        raise ConfigError(f"{output}: expected a name ending in .safetensors in a folder that exists")
    checkpoint = open_checkpoint(source)
    if any(output.resolve() == file.resolve() for file in checkpoint.files):
        raise ConfigError(f"{output} is the file to read, expected another name for the one to write")
    job = Job(checkpoint, fmt, axis, seed, tuple(include or ()), tuple(exclude or ()), only_quantized)
    outcomes: list[Outcome] = []
    with byte_progress("quantising", sum(tensor.nbytes for tensor in checkpoint.tensors)) as advance:
        try:
            for outcome in quantize_checkpoint(job, output, tell=lambda said: errors.print(said, highlight=False)):
                outcomes.append(outcome)
                advance(outcome.tensor.nbytes)
        except KeyboardInterrupt:
            errors.print(f"{len(outcomes)} of {len(checkpoint.tensors)} tensors are done; the same command goes on")
            raise
    _report(outcomes, len(checkpoint.tensors), fmt, output, histogram, as_json)


def _report(
    outcomes: "list[Outcome]", tensors: int, fmt: BlockFormat, output: Path, histogram: bool, as_json: bool
) -> None:
    from densimeter.simulator.numerics import NOTHING

    quantized = [(outcome, outcome.statistics) for outcome in outcomes if outcome.statistics is not None]
    total = sum((statistics for _, statistics in quantized), NOTHING)
    packed_bytes = sum(outcome.written_bytes for outcome, _ in quantized)
    copied, left_out = len(outcomes) - len(quantized), tensors - len(outcomes)
    if as_json:
        print_json(
            {
                "format": fmt.name,
                "output": str(output),
                "skipped": copied + left_out,
                "copied": copied,
                "tensors": [_row(outcome) | s.to_json() for outcome, s in quantized],
                "total": {"packed_bytes": packed_bytes, "written_bytes": output.stat().st_size, **total.to_json()},
            }
        )
        return
    rows = [(outcome.tensor.name, outcome.written_bytes, s) for outcome, s in quantized]
    console.print(_table(rows, (f"{len(rows)} tensors", packed_bytes, total), fmt))
    if histogram:
        console.print(_histogram(total))
    if total.not_finite:
        console.print(f"{total.not_finite:,} values are NaN or infinite, before or after; the figures leave them out")
    for count, fate in ((copied, "copied as they are"), (left_out, "left out")):
        if count:
            console.print(f"{count} tensors {fate}: not chosen, of one axis, empty, or not floats of 16 bits or more")
    console.print(f"wrote {shown_path(output)}: {output.stat().st_size:,} bytes", highlight=False)


def _row(outcome: "Outcome") -> dict[str, Any]:
    tensor = outcome.tensor
    shape, size = list(tensor.shape), outcome.written_bytes
    return {"tensor": tensor.name, "shape": shape, "source_type": tensor.stored, "packed_bytes": size}


def _table(
    rows: "list[tuple[str, int, ErrorStatistics]]", total: "tuple[str, int, ErrorStatistics]", fmt: BlockFormat
) -> Table:
    from densimeter.simulator.numerics import OCTAVES

    first, wide = _first_octave(total[2]), console.width >= _WIDE
    title = f"{fmt.name}: {float(fmt.bits_per_value):g} bits per value"
    headings = [">bytes", ">QSNR dB", ">saturated %", ">flushed %"]
    if wide:
        headings = [">values", *headings, ">max |error|", f"|error/x| from 2^{OCTAVES[first]}"]
    table = plain_table(title, "tensor", *headings)
    table.columns[0].overflow, table.columns[0].min_width = "fold", _NAME_WIDTH
    for position, (name, size, s) in enumerate([*rows, total]):
        shares = f"{100 * s.saturated_share:.3f}", f"{100 * s.flushed_share:.3f}"
        cells = [f"{size:,}", _decibels(s.qsnr_db), *shares]
        if wide:
            cells = [f"{s.values:,}", *cells, f"{s.max_abs_error:.3g}", sparkline(_octaves(s, first))]
        table.add_row(escape(name), *cells, end_section=position == len(rows) - 1)
    return table


def _histogram(s: "ErrorStatistics") -> Table:
    """Shares of values by their relative error, and of those with at most that error."""
    from densimeter.simulator.numerics import OCTAVES

    first = _first_octave(s)
    table = plain_table("relative error |error/x|, all tensors", "error", ">share %", ">running %", "")
    counts = [s.exact, *_octaves(s, first)]
    between = [f"2^{k} to 2^{k + 1}" for k in OCTAVES[first + 1 : -1]]
    labels = ["none", f"below 2^{OCTAVES[first] + 1}", *between, f"2^{OCTAVES[-1]} and more"]
    compared, running = max(sum(counts), 1), 0
    for label, count in zip(labels, counts, strict=False):
        running += count
        bar = "█" * round(_BAR_WIDTH * count / max(*counts, 1)) or ("▏" if count else "")
        table.add_row(label, f"{100 * count / compared:.3f}", f"{100 * running / compared:.3f}", bar)
    return table


def _octaves(s: "ErrorStatistics", first: int) -> list[int]:
    """Counts of the octaves from position `first` to the last one that is not empty; the first holds all below it."""
    last = max((position for position, count in enumerate(s.octaves) if count), default=first)
    return [sum(s.octaves[: first + 1]), *s.octaves[first + 1 : last + 1]]


def _first_octave(s: "ErrorStatistics") -> int:
    """Position of the first octave worth a line of its own: all below it are few."""
    few = _FEW * sum(s.octaves)
    sums = itertools.accumulate(s.octaves)
    return next((position for position, below in enumerate(sums) if below > few), 0)


def _decibels(qsnr_db: float) -> str:
    return "exact" if qsnr_db == math.inf else f"{qsnr_db:.2f}"
