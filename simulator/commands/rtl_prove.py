"""`densimeter rtl prove`: a unit's Verilog proven equal to a second description made from the reference."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from densimeter.simulator.commands.output import JsonOption, console, errors, print_json
from densimeter.simulator.commands.rtl import AccumulatorName, Activation, Lanes, Weight, unit_of


def rtl_prove(
    activation: Activation,
    weight: Weight = None,
    lanes: Lanes = None,
    accumulator: AccumulatorName = "int32",
    dut: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A changed text of the emitted unit, instead.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that the solver may take.")] = 600,
    as_json: JsonOption = False,
) -> None:
    """Prove a small unit right for every operand and every register; integer, fixed and aligned accumulators."""
    from densimeter.rtl.prove import prove

    datapath = unit_of(activation, weight, lanes, accumulator)
    verilog = None if dut is None else dut.read_text(encoding="utf-8")
    with nullcontext() if as_json else errors.status("proving"):
        proof = prove(datapath, verilog=verilog, timeout_s=timeout)
    if as_json:
        print_json(asdict(proof))
    else:
        verdict = "[green]proven[/green]" if proof.proven else "[red]refuted[/red]"
        console.print(f"{proof.module}: {verdict} for all {proof.input_bits} bits of operands, flags and register")
        if not proof.proven:
            console.print(proof.counterexample, markup=False)
    if not proof.proven:
        raise typer.Exit(1)
