"""`densimeter evaluate DESIGN.yaml`: one design point, a unit or a machine with its workload, in full."""

from pathlib import Path
from typing import Annotated, Any

import typer

from densimeter.simulator.commands.output import JsonOption, console, errors, plain_table, print_json, shown_path


def evaluate(
    design_path: Annotated[Path, typer.Argument(metavar="DESIGN.yaml", help="A unit, or a machine with its workload.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for a machine's row as JSON, CSV and Markdown, and for its accuracy."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate one design point: its totals, what takes them by component, and every layer of its workload."""
    from densimeter.simulator.evaluation import evaluate_document
    from densimeter.simulator.schema.document import read

    document = read(design_path)
    with errors.status("evaluating"):
        row = evaluate_document(document, None if output is None else output / "accuracy")
    if output is not None:
        _write(row, output)
    if as_json:
        print_json(row)
        return
    if _is_machine(row):
        from densimeter.reports.machine import to_terminal

        console.print(to_terminal(row, console.width), highlight=False)
    else:
        _print_unit(row)
    if output is not None:
        console.print(f"\nwritten to {shown_path(output)}", highlight=False)


def _is_machine(row: dict[str, Any]) -> bool:
    return "products" in row


def _write(row: dict[str, Any], folder: Path) -> None:
    import json

    from densimeter.formats.files import write_text
    from densimeter.reports.machine import to_csv, to_markdown

    write_text(folder / "row.json", json.dumps(row, indent=2, allow_nan=False) + "\n")
    if _is_machine(row):
        write_text(folder / "machine.md", to_markdown(row))
        for name, text in to_csv(row).items():
            write_text(folder / f"{name}.csv", text)


def _print_unit(row: dict[str, Any]) -> None:
    table = plain_table("unit", "figure", "value")
    for key, value in row.items():
        entries = {f"{key}, {name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
        for name, one in entries.items():
            table.add_row(name, f"{one:.4g}" if isinstance(one, float) else str(one))
    console.print(table)
