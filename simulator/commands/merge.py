"""`densimeter merge DIR...`: the runs of shards made one."""

from pathlib import Path
from typing import Annotated

import typer

from densimeter.simulator.commands.output import JsonOption
from densimeter.simulator.commands.run import report


def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of the shards' runs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the whole run.")],
    as_json: JsonOption = False,
) -> None:
    """Join the shards of a run, whose folders stay as they are; the result is that of one run."""
    from densimeter.simulator.explore.merge import merge as merge_runs

    report(merge_runs(paths, output), as_json)
