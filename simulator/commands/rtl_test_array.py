"""`densimeter rtl test-array`: a systolic array's Verilog held to the kernels, and its cycles to the closed form."""

from contextlib import nullcontext
from typing import Annotated

import typer

from densimeter.simulator.commands.output import JsonOption, console, errors, print_json
from densimeter.simulator.commands.rtl import AccumulatorName, Activation, DoubleBuffered, Lanes, Weight, unit_of


def rtl_test_array(
    activation: Activation,
    weight: Weight = None,
    lanes: Lanes = None,
    accumulator: AccumulatorName = "fp32",
    rows: Annotated[int, typer.Option(help="Rows of the array.")] = 4,
    cols: Annotated[int, typer.Option(help="Columns of the array.")] = 4,
    dataflow: Annotated[
        str,
        typer.Option(
            help="output_stationary, weight_stationary, or input_stationary: the second with exchanged operands."
        ),
    ] = "output_stationary",
    double_buffered: DoubleBuffered = False,
    m: Annotated[int, typer.Option("-m", min=1, help="Rows of the activations.")] = 8,
    n: Annotated[int, typer.Option("-n", min=1, help="Rows of the weights.")] = 8,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the dot products.")] = 64,
    stalls: Annotated[float, typer.Option(min=0, max=0.9, help="Share of edges with en low.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of operands and stalls.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Simulate a matrix product of random numbers on an array; compare every result and count the cycles."""
    import numpy as np

    from densimeter.kernels import quantize
    from densimeter.simulator.array_regression import compare_product

    datapath = unit_of(activation, weight, lanes, accumulator)
    rng = np.random.default_rng(seed)
    operands = [
        quantize(rng.standard_normal((count, k), dtype=np.float32), fmt)
        for count, fmt in ((m, datapath.activation), (n, datapath.weight))
    ]
    with nullcontext() if as_json else errors.status("simulating"):
        found = compare_product(
            datapath,
            rows,
            cols,
            dataflow,  # type: ignore[arg-type]
            operands[0],
            operands[1],
            double_buffered=double_buffered,
            stall_share=stalls,
            seed=seed,
        )
    if as_json:
        names = "cycles", "closed_form_cycles", "results_compared", "mismatches"
        print_json({"module": found.array.name, **{name: getattr(found, name) for name in names}, "seed": seed})
    else:
        verdict = "[green]equal[/green]" if found.mismatches == 0 else f"[red]{found.mismatches} differ[/red]"
        console.print(f"{found.array.name}: {found.results_compared} results compared, {verdict}")
        console.print(f"{found.cycles} cycles, closed form {found.closed_form_cycles}")
    if not found.passed:
        raise typer.Exit(1)
