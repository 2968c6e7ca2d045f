"""`densimeter rtl characterize`: the grid synthesised, energies measured, the cost model fitted."""

from dataclasses import asdict
from typing import Annotated

import typer

from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json, track


def rtl_characterize(
    fresh: Annotated[bool, typer.Option("--fresh", help="Synthesise again what is on record.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the results and the model in the package (for developers).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Synthesise the grid of units behind the cost model, measure energies, and say how well the model does.

    Results are kept as they come: interrupted, the same command goes on where it stopped.
    """
    from densimeter.hwmodels.characterization.grid import grid
    from densimeter.hwmodels.mac import run_jobs
    from densimeter.simulator import characterization
    from densimeter.simulator.commands.density import default_document
    from densimeter.simulator.schema.density import DensityConfig
    from densimeter.simulator.schema.document import validate

    planned = characterization.grid_jobs(grid())
    found = dict(track(run_jobs(planned, fresh=fresh), "synthesis", len(planned)))
    energies = list(track(characterization.measure_energy(grid(), fresh=fresh), "energy", len(grid().energy_units)))
    models = characterization.fit_models({job: found[job] for job in planned})
    if record:
        characterization.keep_records(validate(default_document(), DensityConfig))
        characterization.keep_energy(energies)
        characterization.keep_models(models)
    if as_json:
        told = {"models": [asdict(model) for model in models], "energies": [asdict(energy) for energy in energies]}
        print_json({"units": len(grid().units), **told})
        return
    columns = ">fitted to", ">held out", ">median error", ">95 % within", ">largest"
    table = plain_table(f"cost model on {len(grid().units)} units", "target", "flow", *columns)
    for model in models:
        held = model.held_out
        errors = [f"{value:.1%}" for value in (held.median, held.percentile_95, held.largest)]
        table.add_row(model.target, model.flow, str(model.fitted.units), str(held.units), *errors)
    console.print(table)
    table = plain_table("energy on real numbers", "unit", "library", ">fJ/MAC", ">of it glitches", ">leakage nW/MAC")
    for energy in energies:
        result, lanes = energy.result, int(energy.unit["lanes"])
        figures = f"{result.energy_fj / lanes:.0f}", f"{result.glitch_share:.0%}", f"{result.leakage_nw / lanes:.0f}"
        table.add_row(energy.identity.top, energy.identity.target, *figures)
    console.print(table)
