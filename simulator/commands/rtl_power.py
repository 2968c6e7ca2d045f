"""`densimeter rtl power`: what a unit uses on a real model's numbers, by simulation of its gates."""

from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from densimeter.simulator.commands.output import JsonOption, console, errors, plain_table, print_json
from densimeter.simulator.commands.rtl import AccumulatorName, Activation, Lanes, Weight, unit_of

if TYPE_CHECKING:
    from densimeter.hwmodels.characterization.record import EnergyRecord
    from densimeter.rtl.cells.power import EnergyParts


def rtl_power(
    activation: Activation,
    weight: Weight = None,
    lanes: Lanes = None,
    accumulator: AccumulatorName = "fp32",
    liberty: Annotated[str, typer.Option("--liberty", help="A Liberty file, or nangate45 or osu018.")] = "nangate45",
    flow: Annotated[str, typer.Option("--flow", help="star or booth.")] = "star",
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is on record.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the unit's energy per MAC in standard cells, on MiniLM's weights and activations; no wires, no layout."""
    from typing import cast

    from densimeter.hwmodels.energy import unit_energy
    from densimeter.rtl.cells.liberty import find_library
    from densimeter.rtl.synthesize import Flow
    from densimeter.simulator.activity import recipe

    datapath = unit_of(activation, weight, lanes, accumulator)
    library = find_library(liberty)
    with nullcontext() if as_json else errors.status("simulating gates"):
        record = unit_energy(datapath, library, recipe(datapath), flow=cast(Flow, flow), fresh=fresh)
    result = record.result
    if as_json:
        figures = {"energy_fj_per_mac": result.energy_fj / datapath.lanes, "glitch_share": result.glitch_share}
        print_json({**record.unit, **figures, "record": asdict(record)})
        return
    _show(record, datapath.lanes)


def _show(record: "EnergyRecord", lanes: int) -> None:
    result, identity = record.result, record.identity
    columns = ">internal", ">switching", ">input", ">clock", ">total fJ/MAC"
    table = plain_table(f"{identity.top}, {identity.target}, flow {identity.flow}, {identity.tool}", "delays", *columns)
    table.add_row("of the cells", *_per_mac(result.delayed, lanes))
    table.add_row("none", *_per_mac(result.settled, lanes))
    console.print(table)
    console.print(
        f"{result.glitch_share:.0%} of the energy is glitches; leakage {result.leakage_nw / lanes:.0f} nW a lane; "
        f"{result.voltage_v:g} V, {result.temperature_c:g} C, clock period {result.period_ns:g} ns, "
        f"{result.cycles} cycles of {record.unit['stimulus']}; no wires",
        highlight=False,
        soft_wrap=True,
    )


def _per_mac(parts: "EnergyParts", lanes: int) -> list[str]:
    values = parts.internal_fj, parts.switching_fj, parts.input_fj, parts.clock_fj, parts.total_fj
    return [f"{value / lanes:.1f}" for value in values]
