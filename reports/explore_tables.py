"""The tables of an exploration: its front, what area and energy go to, layers; changes when they should show more."""

from collections.abc import Iterator
from typing import Any

from densimeter.reports.machine import layers
from densimeter.reports.quantities import AREA, ENERGY, Quantity, component, quantity
from densimeter.reports.run_folder import Run
from densimeter.reports.table import Cell, Heading, Table, count, figure, word

_SHOWN = ("tokens_per_s", "energy_per_token_j", "area_mm2", "power_w", "achieved_tops", "utilisation", "dram_bytes")

_MOST_AXES = 12
_DENSITY_COLUMNS = {
    "format": "format",
    "unit": "unit",
    "accumulator": "accumulator",
    "bits_per_value": "bits per value",
    "memory_density": "memory density, × float32",  # noqa: RUF001
    "lut_per_mac": "LUT per MAC",
    "arithmetic_density_lut": "LUT density, × float32",  # noqa: RUF001
    "area_um2_per_mac": "cell area per MAC, µm²",
    "arithmetic_density_area": "area density, × float32",  # noqa: RUF001
    "qsnr_weights_db": "QSNR of weights, dB",
}
_WORDS = ("format", "unit", "accumulator")


def main_columns(run: Run) -> list[str]:
    """What tells designs apart, of many axes the first, what they were chosen by, and a few figures more."""
    return _columns(run, _varying(run)[:_MOST_AXES])


def _varying(run: Run) -> list[str]:
    return [axis for axis in run.axes if len(run.rows[axis].unique()) > 1]


def _columns(run: Run, axes: list[str]) -> list[str]:
    figures = [name for name in _SHOWN if name in run.rows.column_names]
    return list(dict.fromkeys([*axes, *run.objectives, *figures]))


def front_table(run: Run) -> Table:
    """The Pareto front, a line a design, with all that varies."""
    names = ["index", *_columns(run, _varying(run))]
    axes = {*run.axes, "index"}
    headings = tuple(
        Heading(name, "design" if name == "index" else quantity(name).title, right=name not in run.axes)
        for name in names
    )
    rows = tuple(
        tuple(_plain(row[name]) if name in axes else figure(row[name], quantity(name)) for name in names)
        for row in run.front.to_pylist()
    )
    return Table("front", f"Pareto front of {run.name}", headings, rows)


def breakdown_tables(run: Run) -> Iterator[Table]:
    """Area, then energy of the front's designs by component."""
    for prefix, name, title, whole in (
        ("areas_mm2.", "areas", "Area by component", AREA),
        ("energies_j.", "energies", "Energy by component", ENERGY),
    ):
        columns = [column for column in run.rows.column_names if column.startswith(prefix)]
        headings = (
            Heading("index", "design", right=False),
            *(Heading(column, component(column.removeprefix(prefix))) for column in columns),
        )
        rows = tuple(
            (count(row["index"]), *(figure(row[column], whole) for column in columns)) for row in run.front.to_pylist()
        )
        yield Table(name, title, headings, rows)


def layer_tables(run: Run) -> dict[int, Table]:
    """The layers of each design that has details, by index."""
    return {index: layers(row, f"Layers of design {index}") for index, row in run.details.items()}


def density_table(run: Run) -> Table | None:
    """The units of its designs beside float32; None where the run has no such table."""
    if not run.density:
        return None
    keys = [key for key in _DENSITY_COLUMNS if key in run.density[0]]
    headings = tuple(Heading(key, _DENSITY_COLUMNS[key], right=key not in _WORDS) for key in keys)
    rows = tuple(tuple(_density_cell(key, row[key]) for key in keys) for row in run.density)
    return Table("density", "Density of number formats", headings, rows)


def _density_cell(key: str, written: str) -> Cell:
    return (
        word(written) if key in _WORDS else figure(float(written) if written else None, Quantity(key, prefixed=False))
    )


def tables(run: Run) -> list[Table]:
    """All of them, each with a name of its own; the layers of all designs in one."""
    of_designs = layer_tables(run)
    rows = tuple((count(index), *row) for index, table in of_designs.items() for row in table.rows)
    headings = (Heading("index", "design"), *next((table.headings for table in of_designs.values()), ()))
    found = [front_table(run), *breakdown_tables(run), Table("layers", "Layers by design", headings, rows)]
    density = density_table(run)
    return found if density is None else [*found, density]


def _plain(value: Any) -> Cell:
    """The value of an axis as it is written; Parquet may hold whole numbers as others."""
    return Cell(value, "\N{EN DASH}" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value))
