"""`densimeter accumulators`: how wide the accumulator of an integer array must be on real operands."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densimeter.formats import ConfigError, resolve
from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json, track
from densimeter.simulator.commands.rtl import Activation, Lanes, Weight

if TYPE_CHECKING:  # numba takes a second to load, which `densimeter --help` need not wait for
    from densimeter.simulator.accumulators import AccumulatorStudy, Operands

_NARROWEST, _WIDEST = 2, 60
_MODEL = "the projections of MiniLM-L6-v2 that take its hidden state"


def accumulators(
    activation: Activation,
    weight: Weight = None,
    operands: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[ACTIVATIONS WEIGHTS]", help=".npy files [M, K] and [N, K]; default: a small encoder's."
        ),
    ] = None,
    lanes: Lanes = None,
    narrowest: Annotated[int, typer.Option("--from", min=_NARROWEST, max=_WIDEST, help="The narrowest register.")] = 12,
    widest: Annotated[int, typer.Option("--to", min=_NARROWEST, max=_WIDEST, help="The widest register.")] = 32,
    as_json: JsonOption = False,
) -> None:
    """Outputs that overflow and their errors for every accumulator width, and the widths that are safe.

    Of formats with blocks, a register adds up one block.
    """
    from densimeter.simulator.accumulators import study_accumulators

    left, right = resolve(activation), resolve(weight or activation)
    if widest < narrowest:
        raise ConfigError(f"--to is {widest}, expected at least --from, {narrowest}")
    files = operands or []
    if len(files) not in (0, 2):
        raise ConfigError(f"{len(files)} file of operands, expected two, ACTIVATIONS and WEIGHTS, or none")
    products = [_read(files)] if files else _products_of_the_model()
    study = study_accumulators(
        track(products, "multiplying", len(products)), left, right, lanes, range(narrowest, widest + 1)
    )
    source = f"{files[0].name} x {files[1].name}" if files else _MODEL
    if as_json:
        widths = [width.to_json() for width in study.widths]
        print_json(
            {"activation": left.name, "weight": right.name, "operands": source, **asdict(study), "widths": widths}
        )
        return
    _show(study, f"{left.name} x {right.name}: {source}")


def _read(files: list[Path]) -> "Operands":
    from densimeter.simulator.workloads.tensors import load

    found = [load(path).tensors for path in files]
    for path, tensors in zip(files, found, strict=True):
        if len(tensors) != 1:
            raise ConfigError(f"{path}: {len(tensors)} tensors, expected one, as numpy.save writes it")
    (activations,), (weights,) = found
    return activations.values, weights.values


def _products_of_the_model() -> "list[Operands]":
    from densimeter.simulator.activity import operand_pairs

    return operand_pairs()


def _show(study: "AccumulatorStudy", title: str) -> None:
    table = plain_table(title, ">bits", ">outputs overflowed %", ">wrap QSNR dB", ">saturate QSNR dB")
    for width in study.widths:
        ratios = (
            f"{ratio:.2f}" if ratio < float("inf") else "exact"
            for ratio in (width.wrap_qsnr_db, width.saturate_qsnr_db)
        )
        table.add_row(str(width.bits), f"{100 * width.overflowed_share:.4f}", *ratios)
    console.print(table)
    console.print(
        f"no overflow from {study.smallest_bits} bits on these operands, from {study.weight_bound_bits} with these "
        f"weights and any activations, from {study.worst_case_bits} with any operands"
    )
