"""`densimeter evaluate DESIGN.yaml`: one design point, a unit or a machine with its workload, in full."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densimeter.formats.errors import ConfigError
from densimeter.simulator.commands.output import (
    FigureOption,
    JsonOption,
    check_figure,
    console,
    errors,
    plain_table,
    print_json,
    save_figure,
    shown_path,
)

if TYPE_CHECKING:
    from densimeter.simulator.result_row import ResultRow


def evaluate(
    design_path: Annotated[Path, typer.Argument(metavar="DESIGN.yaml", help="A unit, or a machine with its workload.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for a machine's row as JSON, CSV and Markdown, and for its accuracy."
        ),
    ] = None,
    figure: FigureOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate one design point: its totals, what takes them by component, and every layer of its workload."""
    from densimeter.simulator.evaluation import evaluate_document
    from densimeter.simulator.schema.document import read

    check_figure(figure)
    document = read(design_path)
    with errors.status("evaluating"):
        row = evaluate_document(document, None if output is None else output / "accuracy")
    if output is not None:
        _write(row, output)
    if figure is not None:
        _draw(row, design_path, figure)
    if as_json:
        print_json(row)
        return
    if row.is_machine:
        from densimeter.reports.machine import to_terminal

        console.print(to_terminal(row, console.width), highlight=False)
    else:
        _print_unit(row)
    if output is not None:
        console.print(f"\nwritten to {shown_path(output)}", highlight=False)


def _draw(row: "ResultRow", design_path: Path, figure: Path) -> None:
    from densimeter.reports.machine_bars import machine_figure

    if not row.is_machine:
        raise ConfigError(f"--figure draws a machine, and {design_path} is a unit; give it array, dram and workload")
    save_figure(machine_figure(row), figure)


def _write(row: "ResultRow", folder: Path) -> None:
    import json

    from densimeter.formats.files import write_text
    from densimeter.reports.machine import to_csv, to_markdown

    write_text(folder / "row.json", json.dumps(row, indent=2, allow_nan=False) + "\n")
    if row.is_machine:
        write_text(folder / "machine.md", to_markdown(row))
        for name, text in to_csv(row).items():
            write_text(folder / f"{name}.csv", text)


def _print_unit(row: "ResultRow") -> None:
    from densimeter.reports.unit import entries

    table = plain_table("unit", "figure", "value")
    for entry in entries(row):
        table.add_row(*entry)
    console.print(table)
