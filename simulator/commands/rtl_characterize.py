"""`densimeter rtl characterize`: the grid synthesised, energies measured, the cost models fitted."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json, track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from densimeter.hwmodels.characterization.record import EnergyRecord, Record
    from densimeter.hwmodels.fitted_model import FittedModel


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
    from densimeter.simulator.schema.density import DensityConfig, default_document
    from densimeter.simulator.schema.document import validate

    planned = characterization.grid_jobs(grid())
    found = dict(track(run_jobs(planned, fresh=fresh), "synthesis", len(planned)))
    energies = list(track(characterization.measure_energy(grid(), fresh=fresh), "energy", len(grid().energy_units)))
    made = characterization.synthesize_conversions(grid(), fresh=fresh)
    converters = list(track(made, "converters", len(grid().conversions)))
    measured = characterization.measure_conversions(grid(), fresh=fresh)
    conversions = list(track(measured, "energy of converters", len(grid().energy_conversions)))
    models = characterization.fit_models({job: found[job] for job in planned}, energies)
    if record:
        characterization.keep_records(validate(default_document(), DensityConfig))
        characterization.keep_energy([*energies, *conversions])
        characterization.keep_models(models)
    if as_json:
        told = {"models": [asdict(model) for model in models], "energies": [asdict(energy) for energy in energies]}
        told["converters"] = [asdict(one) for one in converters] + [asdict(one) for one in conversions]
        print_json({"units": len(grid().units), **told})
        return
    _show_models(models, len(grid().units))
    _show_energies(energies)
    _show_converters(converters, conversions)


def _show_models(models: "Sequence[FittedModel]", units: int) -> None:
    columns = ">fitted to", ">held out", ">median error", ">95 % within", ">largest"
    table = plain_table(f"cost models on a grid of {units} units", "model of", "target", "flow", *columns)
    for model in models:
        held = model.held_out
        errors = [f"{value:.1%}" for value in (held.median, held.percentile_95, held.largest)]
        table.add_row(model.quantity, model.target, model.flow, str(model.fitted.units), str(held.units), *errors)
    console.print(table)


def _show_energies(energies: "Sequence[EnergyRecord]") -> None:
    table = plain_table("energy on real numbers", "unit", "library", ">fJ/MAC", ">of it glitches", ">leakage nW/MAC")
    for energy in energies:
        result, lanes = energy.result, int(energy.unit["lanes"])
        figures = f"{result.energy_fj / lanes:.0f}", f"{result.glitch_share:.0%}", f"{result.leakage_nw / lanes:.0f}"
        table.add_row(energy.identity.top, energy.identity.target, *figures)
    console.print(table)


def _show_converters(syntheses: "Sequence[Record]", energies: "Sequence[EnergyRecord]") -> None:
    from densimeter.rtl.synthesize import CellResult

    measured = {(energy.identity.top, energy.identity.target): energy.result for energy in energies}
    columns = ">um2/value", ">min period ns", ">fJ/value", ">leakage nW/value"
    table = plain_table("converters", "circuit", "library", *columns)
    for synthesis in syntheses:
        cells, values = cast(CellResult, synthesis.result), int(synthesis.unit["lanes"])
        place = synthesis.identity.top, synthesis.identity.target
        power = measured.get(place)
        figures = (power.energy_fj, power.leakage_nw) if power else ()
        per_value = [f"{figure / values:.0f}" for figure in (cells.area_um2, *figures)]
        table.add_row(*place, per_value[0], f"{cells.min_period_ns:.2f}", *per_value[1:])
    console.print(table)
