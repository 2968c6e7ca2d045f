"""`densimeter accuracy CONFIG.yaml`: a real language model on a real text, under formats and recipes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from densimeter.simulator.commands.output import JsonOption, console, errors, print_json, shown_path, track

_DEFAULT_OUTPUT = Path("out/accuracy")


def accuracy(
    config_path: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Model, text, and rows of formats.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for finished rows, JSON, CSV and Markdown.")
    ] = _DEFAULT_OUTPUT,
    as_json: JsonOption = False,
) -> None:
    """Measure what formats do to a language model's predictions; interrupted, the same command goes on."""
    from densimeter.formats.files import write_text
    from densimeter.simulator.accuracy.run import run
    from densimeter.simulator.accuracy.table import layers_to_csv, to_csv, to_markdown, to_terminal
    from densimeter.simulator.schema.accuracy import AccuracyConfig
    from densimeter.simulator.schema.document import read, validate

    document = read(config_path)
    config = validate(document, AccuracyConfig)
    found = run(document, config, output, track, lambda said: errors.print(said, highlight=False))
    plain = {"model": config.model, "text": config.text, "remarks": found.remarks, "seconds": found.seconds}
    plain |= {"rows": found.rows}
    write_text(output / "accuracy.json", json.dumps(plain, indent=1, allow_nan=False) + "\n")
    write_text(output / "accuracy.csv", to_csv(found.rows))
    write_text(output / "layers.csv", layers_to_csv(found.rows))
    write_text(output / "accuracy.md", to_markdown(found.rows, found.remarks))
    if as_json:
        print_json(plain)
        return
    title = f"{config.model} on {config.text}: {found.rows[0]['tokens_scored']} tokens; mean ± its error"
    console.print(to_terminal(found.rows, title))
    for remark in found.remarks:
        console.print(remark, highlight=False)
    console.print(f"\nwritten to {shown_path(output)}", highlight=False)
