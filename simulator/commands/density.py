"""`densimeter density [CONFIG.yaml]`: the density table, in the terminal, as files and as a page."""

from pathlib import Path
from typing import Annotated

import typer

from densimeter.simulator.commands.output import (
    FigureOption,
    JsonOption,
    check_figure,
    console,
    print_json,
    save_figure,
    shown_path,
    track,
)

_DEFAULT_OUTPUT = Path("out")


def density(
    config_path: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG.yaml]", help="Which units, flows, libraries, tensors; default: built in."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for page, CSV and Markdown.")
    ] = _DEFAULT_OUTPUT,
    tensors: Annotated[
        str | None, typer.Option(help="A .npy or .safetensors file of weights in place of the configured workload.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Synthesise everything again instead of using records.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option(
            "--record", help="Keep this table's synthesis results, and the grid's, in the package (for developers)."
        ),
    ] = False,
    figure: FigureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the density table: what each format's arithmetic costs, what it stores, what it does to real numbers."""
    from densimeter.formats.files import write_text
    from densimeter.reports import density_figure, to_csv, to_markdown, to_terminal
    from densimeter.reports.page import density_page
    from densimeter.simulator.characterization import keep_records
    from densimeter.simulator.density import density_table
    from densimeter.simulator.schema.density import DensityConfig, default_document
    from densimeter.simulator.schema.document import read, validate

    check_figure(figure)
    config = validate(default_document() if config_path is None else read(config_path), DensityConfig)
    if tensors is not None:
        config = config.model_copy(update={"workload": tensors})
    table = density_table(config, fresh=fresh, track=track)
    if record:
        keep_records(config)
    if figure is not None:
        save_figure(density_figure(table), figure)
    if as_json:
        print_json(table.to_json())
        return
    console.print(to_terminal(table, console.width))
    write_text(output / "density.csv", to_csv(table))
    write_text(output / "density.md", to_markdown(table))
    write_text(output / "density.html", density_page(table))
    console.print(
        f"\npage: {shown_path(output / 'density.html')}   (also density.csv and density.md there)", highlight=False
    )
