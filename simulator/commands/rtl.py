"""`densimeter rtl test|synth`: a unit's Verilog held to the kernels, and its cost; the options that name a unit."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from densimeter.formats import ConfigError, Datapath, default_lanes, derive, resolve
from densimeter.simulator.commands.completion import accumulator_names, format_names
from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json, track

if TYPE_CHECKING:
    from densimeter.hwmodels.characterization.record import Record
    from densimeter.simulator.rtl_regression import Regression

app = typer.Typer(
    no_args_is_help=True, help="Verilog of units, arrays and converters: emit, test, prove, synthesise, measure."
)

_FORMAT_HELP = "a catalog name or a declaration such as '{element: e3m2, block: 24, scale: e8m0}'"
Activation = Annotated[
    str, typer.Option("--activation", "-a", help=f"Activation format: {_FORMAT_HELP}.", autocompletion=format_names)
]
Weight = Annotated[
    str | None,
    typer.Option("--weight", "-w", help="Weight format; default: the activation's.", autocompletion=format_names),
]
Lanes = Annotated[int | None, typer.Option("--lanes", "-l", help="Products per clock; default: one block, or 1.")]
AccumulatorName = Annotated[
    str,
    typer.Option(
        "--accumulator",
        "-c",
        help="int32, int32_saturate, fixed48:-24, aligned24, fp32 or fp32_ftz.",
        autocompletion=accumulator_names,
    ),
]
Pipeline = Annotated[
    int, typer.Option(min=0, help="Stages of registers ahead of the accumulator; each is a cycle of latency.")
]
Rows = Annotated[int | None, typer.Option(help="Rows of a systolic array of units.")]
Cols = Annotated[int | None, typer.Option(help="Columns of a systolic array of units.")]
DataflowName = Annotated[str, typer.Option(help="Of the array: output_stationary or weight_stationary.")]
DoubleBuffered = Annotated[
    bool, typer.Option("--double-buffered", help="A second register an element: folds follow without a gap.")
]


def unit_of(activation: str, weight: str | None, lanes: int | None, accumulator: str) -> Datapath:
    """The unit that the options name."""
    a, w = resolve(activation), resolve(weight or activation)
    return derive(a, w, default_lanes(a, w) if lanes is None else lanes, accumulator)


class EngineName(StrEnum):
    """The simulators of `rtl test`."""

    COCOTB = "cocotb"
    ICARUS = "icarus"
    VERILATOR = "verilator"


@app.command("test")
def run_test(
    activation: Activation,
    weight: Weight = None,
    lanes: Lanes = None,
    accumulator: AccumulatorName = "fp32",
    pipeline: Pipeline = 0,
    vectors: Annotated[int, typer.Option(min=1, help="Random groups, besides corners and exhaustive pairs.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the stimulus.")] = 0,
    engine: Annotated[
        EngineName, typer.Option(help="cocotb: a bench in Python; icarus, verilator: one in Verilog, for long streams.")
    ] = EngineName.COCOTB,
    dut: Annotated[Path | None, typer.Option(help="Your own Verilog instead of the generated unit.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further files of --dut.")] = None,
    top: Annotated[str | None, typer.Option(help="The module of --dut to test.")] = None,
    ports: Annotated[Path | None, typer.Option(help="YAML that maps our port names to those of --top.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate the unit, or your own Verilog, and compare its register with the emulator after every clock edge."""
    from densimeter.simulator.own_unit import own_unit
    from densimeter.simulator.rtl_regression import compare

    datapath = unit_of(activation, weight, lanes, accumulator)
    if (dut is None) != (top is None) or (dut is None and (more or ports)):
        raise ConfigError("further files, --top and --ports go with --dut; expected --dut FILE --top NAME")
    if pipeline and dut is not None:
        raise ConfigError("--pipeline says how to generate a unit; of --dut, the port map says its latency")
    own = None if dut is None or top is None else (top, own_unit(datapath, [dut, *(more or [])], top, ports))
    regression = compare(
        datapath,
        random_vectors=vectors,
        seed=seed,
        engine=engine.value,
        pipeline=pipeline,
        own=own,
        watch=lambda parts, count: track(parts, "simulating", count),
    )
    if as_json:
        print_json({**regression.to_json(), "seed": seed})
    else:
        _show_regression(regression)
    if not regression.passed:
        raise typer.Exit(1)


def _show_regression(regression: "Regression") -> None:
    result = regression.result
    pairs = "every pair of element codes, " if regression.exhaustive_pairs else ""
    verdict = "[green]equal[/green]" if regression.passed else f"[red]{result.mismatches} differ[/red]"
    compared = f"{result.vectors_compared} vectors compared ({pairs}corners and random groups)"
    console.print(f"{regression.name}: {compared}, {verdict}")
    if result.first_mismatch:
        console.print(f"first difference: {result.first_mismatch}", markup=False)
    table = plain_table(
        f"corners hit: {len(regression.coverage) - len(regression.missed)} of {len(regression.coverage)}",
        "corner",
        ">vectors",
    )
    for corner, hits in regression.coverage.items():
        table.add_row(corner, str(hits) if hits else "[yellow]missed[/yellow]")
    console.print(table)


@app.command("synth")
def run_synth(
    activation: Activation,
    weight: Weight = None,
    lanes: Lanes = None,
    accumulator: AccumulatorName = "fp32",
    pipeline: Pipeline = 0,
    liberty: Annotated[
        list[str] | None, typer.Option("--liberty", help="A Liberty file, or nangate45 or osu018; may be repeated.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Synthesise again what is on record.")] = False,
    breakdown: Annotated[
        bool, typer.Option("--breakdown", help="Also show what the unit's parts take, and the model's answer.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Synthesise the unit: 7-series LUTs in every flow, and cell area and period in the libraries found."""
    from densimeter.hwmodels.mac import CELL_FLOW, Job, describe, run_jobs, unit_cost
    from densimeter.rtl.cells.liberty import find_library, known_libraries
    from densimeter.rtl.emit import emit
    from densimeter.rtl.synthesize import LUT_FLOWS
    from densimeter.simulator.unit_parts import unit_parts

    datapath = unit_of(activation, weight, lanes, accumulator)
    chosen = [find_library(name) for name in liberty] if liberty else list(known_libraries())
    module = emit(datapath, pipeline)
    planned = [Job(datapath, module, flow, "xc7") for flow in LUT_FLOWS]
    planned += [Job(datapath, module, CELL_FLOW, library) for library in chosen]
    found = {job: record for job, record in track(run_jobs(planned, fresh=fresh), "synthesis", len(planned)) if record}
    records = [found[job] for job in planned if job in found]
    if breakdown and pipeline:
        raise ConfigError("--breakdown is of the unit without a pipeline; leave out --pipeline")
    parts = unit_parts(datapath, chosen) if breakdown else []
    if as_json:
        figures = unit_cost(datapath.lanes, records).figures() | ({"parts": parts} if breakdown else {})
        print_json({**describe(datapath), **figures, "records": [asdict(record) for record in records]})
        return
    headings = ">LUT/MAC", ">carry4", ">flip-flops", ">area um2/MAC", ">GE/MAC", ">min period ns"
    table = plain_table(f"{module.name}, per MAC of {datapath.lanes}", "target", "flow", *headings, "tool")
    for record in records:
        table.add_row(
            record.identity.target, record.identity.flow, *_figures(record, datapath.lanes), record.identity.tool
        )
    console.print(table)
    _show_parts(parts, datapath.lanes)


def _show_parts(breakdowns: "list[dict[str, Any]]", lanes: int) -> None:
    """What each part takes, per MAC, and what the cost model says of the whole."""
    for breakdown in breakdowns:
        measured, modelled = breakdown["measured"], breakdown["modelled"]
        target, flow = breakdown["target"], breakdown["flow"]
        table = plain_table(f"parts per MAC, {target}, flow {flow}", "part", ">measured", ">share")
        total = sum(measured.values())
        for part, cost in sorted(measured.items(), key=lambda item: -item[1]):
            table.add_row(part, f"{cost / lanes:.2f}", f"{cost / total:.0%}")
        console.print(table)
        if modelled:
            console.print(
                f"the model, whole: {modelled['value'] / lanes:.1f} within {modelled['relative_band']:.0%}",
                highlight=False,
            )
        else:
            console.print(f"no model: {breakdown['refusal']}", highlight=False)


def _figures(record: "Record", lanes: int) -> list[str]:
    """LUTs, carry chains, flip-flops, area, gate equivalents and period; what a target lacks stays blank."""
    from densimeter.rtl.synthesize import LutResult

    result = record.result
    if isinstance(result, LutResult):
        luts = (result.luts + result.shift_register_luts) / lanes
        return [f"{luts:.1f}", str(result.carry4), str(result.flip_flops), "", "", ""]
    gates = f"{result.gate_equivalents / lanes:.1f}" if result.gate_equivalents else ""
    return ["", "", str(result.flip_flops), f"{result.area_um2 / lanes:.1f}", gates, f"{result.min_period_ns:.2f}"]
