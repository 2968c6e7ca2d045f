"""The density table that the tool computes, as the start page shows it: one figure, one table."""

import os
from functools import cache
from html import escape

from densimeter.reports import QUANTITIES, DensityRow, DensityTable, density_figure
from densimeter.simulator.density import density_table
from densimeter.simulator.schema.density import DensityConfig, default_document
from densimeter.simulator.schema.document import validate
from generated.scatter_svg import scatter_svg
from generated.tables import table as markdown_table

_WIDTHS_PX = (340, 640, 1000)
"""Labels are placed for each of these widths; the widest that fits is seen."""


@cache
def made() -> DensityTable:
    """The table of `densimeter density`, from records and from the packaged model's numbers.

    DENSIMETER_DOCS_TENSORS names a file of weights in their place: tests have no minute for all of the model's.
    """
    config = validate(default_document(), DensityConfig)
    if tensors := os.environ.get("DENSIMETER_DOCS_TENSORS"):
        config = config.model_copy(update={"workload": tensors})
    return density_table(config, fresh=False, track=lambda items, label, total: iter(items))


def figure() -> str:
    """Arithmetic density against memory density, as SVG."""
    drawings = "".join(
        f'<div class="dm-figure dm-figure-{width}">{scatter_svg(density_figure(made(), width), width)}</div>'
        for width in _WIDTHS_PX
    )
    return f'<div class="dm-figures">{drawings}</div>'


def table(folder: str) -> str:
    """All rows, each format with a link to its page in `folder`, and what the figures rest on."""
    density = made()
    library = density.default_library or ""
    headings = (
        "format",
        "unit",
        "accumulator",
        ">bits per value",
        f">{QUANTITIES['memory_density']}",
        f">{QUANTITIES['lut_per_mac']}",
        f">{QUANTITIES['arithmetic_density_lut']}",
        f">{QUANTITIES['area_um2_per_mac']}",
        f">{QUANTITIES['arithmetic_density_area']}",
        ">energy per MAC, fJ",
        ">QSNR on weights, dB",
    )
    cells = density.libraries.get(library, "no cell library")
    notes = (
        f"LUT: {density.flows[density.default_flow]} (flow `{density.default_flow}`); area and energy: {cells}; "
        f"synthesised by {density.tool}. QSNR: {density.workload}. {density.baseline}"
    )
    rows = markdown_table(headings, (_row(row, density, library, folder) for row in density.rows))
    return f'<div class="dm-wide" markdown>\n\n{rows}\n</div>\n\n{escape(notes)}\n'


def _row(row: DensityRow, density: DensityTable, library: str, folder: str) -> tuple[str, ...]:
    lut, area, energy = row.lut.get(density.default_flow), row.area_um2.get(library), row.energy_fj.get(library)
    return (
        f"[`{row.format.name}`]({folder}/{row.format.name}.md)",
        row.unit,
        f"`{row.accumulator}`",
        f"{float(row.format.bits_per_value):.4g}",
        f"{float(row.format.memory_density):.3g}",
        _figure(lut.per_mac if lut else None),
        _figure(lut.vs_float32 if lut else None),
        _figure(area.per_mac if area else None),
        _figure(area.vs_float32 if area else None),
        _figure(energy.per_mac if energy else None),
        "exact" if row.qsnr_weights_db == float("inf") else _figure(row.qsnr_weights_db),
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
