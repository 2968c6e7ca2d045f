"""`densimeter density [CONFIG.yaml]`: the density table, in the terminal, as files and as a page."""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densimeter.simulator.commands.output import JsonOption, console, print_json, shown_path, track

if TYPE_CHECKING:
    from densimeter.simulator.schema.document import Document

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
    as_json: JsonOption = False,
) -> None:
    """Print the density table: what each format's arithmetic costs, what it stores, what it does to real numbers."""
    from densimeter.formats.files import write_text
    from densimeter.reports import to_csv, to_markdown, to_terminal
    from densimeter.reports.page import density_page
    from densimeter.simulator.characterization import keep_records
    from densimeter.simulator.density import density_table
    from densimeter.simulator.schema.density import DensityConfig
    from densimeter.simulator.schema.document import read, validate

    config = validate(default_document() if config_path is None else read(config_path), DensityConfig)
    if tensors is not None:
        config = config.model_copy(update={"workload": tensors})
    table = density_table(config, fresh=fresh, track=track)
    if record:
        keep_records(config)
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


def default_document() -> "Document":
    """The built-in configuration."""
    from densimeter.simulator.schema.document import parse

    text = resources.files("densimeter.simulator.configs").joinpath("density.yaml").read_text(encoding="utf-8")
    return parse(text, "density.yaml")
