"""`densimeter rtl equal-clock [CONFIG.yaml]`: the density table's units pipelined to one clock period."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densimeter.formats import ConfigError
from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json, track

if TYPE_CHECKING:
    from densimeter.rtl.cells.liberty import Library
    from densimeter.simulator.equal_clock import Comparison


def rtl_equal_clock(
    config_path: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="A density table's units; default: the built-in one.")
    ] = None,
    period_ns: Annotated[
        float | None, typer.Option(help="Clock period; default: 4, what the float32 accumulator allows at 45 nm.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Synthesise again what is on record.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Keep the results in the package (for developers).")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give each unit the fewest pipeline stages that meet one clock period, and compare their areas there.

    Results are kept as they come: interrupted, the same command goes on where it stopped.
    """
    from densimeter.hwmodels.equal_clock import DEFAULT_PERIOD_NS
    from densimeter.simulator import equal_clock
    from densimeter.simulator.schema.density import DensityConfig, default_document
    from densimeter.simulator.schema.document import read, validate

    config = validate(default_document() if config_path is None else read(config_path), DensityConfig)
    period = DEFAULT_PERIOD_NS if period_ns is None else period_ns
    if not 0 < period < 1000:
        raise ConfigError(f"--period-ns is {period:g}, expected more than 0 and less than 1000")
    library, units = equal_clock.headline_library(config), equal_clock.units_of(config)
    running = equal_clock.run_units(units, period, library, fresh=fresh)
    found = {unit.datapath: unit for unit in track(running, "units at one clock", len(units))}
    if record:
        equal_clock.keep(found)
    rows = equal_clock.comparisons(config, found)
    if as_json:
        print_json({"period_ns": period, "library": library.name, "rows": [row.to_json() for row in rows]})
    else:
        _show(rows, period, library)


def _show(rows: "list[Comparison]", period_ns: float, library: "Library") -> None:
    ratios = ">x float32", ">x int8 MAC", ">x int8 lane"
    others = ">single-cycle x", ">ns", ">floor ns", ">fastest ns", ">GMAC/s/mm2", ">peak x"
    table = plain_table(f"at {period_ns:g} ns in {library.name}", "unit", ">stages", ">um2/MAC", *ratios, *others)
    for row in rows:
        unit, chosen = row.unit, row.unit.chosen
        area = unit.area_um2_per_mac
        densities = [row.density_at_period(name) for name in row.baselines]
        table.add_row(
            _name(row),
            "none" if chosen is None else str(chosen.pipeline),
            "" if area is None else f"{area:.1f}",
            *("" if density is None else f"{density:.3g}" for density in densities),
            f"{row.plain_density('float32'):.3g}",
            f"{unit.plain.result.min_period_ns:.2f}",
            f"{unit.floor_ns:.2f}",
            f"{unit.fastest.result.min_period_ns:.2f}",
            f"{unit.peak_gmac_per_s_mm2:.0f}",
            f"{row.peak_density('float32'):.3g}",
        )
    console.print(table)
    console.print(
        "stages: fewest ahead of the accumulator that meet the period; floor: the accumulator's own step, which none "
        "shortens.\nsingle-cycle: ratio to float32 and period without stages, as the density table has them. fastest, "
        "peak: every stage, gates sized\nfor speed, products a second and mm2 at that period. No wires, no clock tree.",
        highlight=False,
    )


def _name(row: "Comparison") -> str:
    datapath = row.unit.datapath
    formats = dict.fromkeys((datapath.activation.name, datapath.weight.name))
    return f"{' x '.join(formats)} x{datapath.lanes} {datapath.accumulator}"
