"""`densimeter report DIR`: a run's page, tables and figures."""

from pathlib import Path
from typing import Annotated

import typer

from densimeter.simulator.commands.output import FigureOption, check_figure, console, errors, save_figure, shown_path


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The page; default: DIR/report.html.")
    ] = None,
    layers: Annotated[int, typer.Option(min=0, help="How many designs of the front are shown layer by layer.")] = 8,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="PNG and SVG of the figures, drawn by Chromium.")
    ] = True,
    figure: FigureOption = None,
    x: Annotated[str | None, typer.Option(help="Column across in --figure; default: the first objective.")] = None,
    y: Annotated[str | None, typer.Option(help="Column up in --figure; default: the second objective.")] = None,
    color: Annotated[
        str | None, typer.Option(help="Axis that --figure colours by; default: the first scenario.")
    ] = None,
) -> None:
    """Write one page that opens offline; beside it, in a folder of its name, the tables and figures in it."""
    from densimeter.formats.errors import ConfigError
    from densimeter.formats.files import write_bytes, write_text
    from densimeter.reports.browser import find_browser, images
    from densimeter.reports.explore_page import explore_page
    from densimeter.reports.explore_tables import tables
    from densimeter.reports.front import front_figure
    from densimeter.reports.run_folder import read_run
    from densimeter.reports.table import to_csv, to_latex, to_markdown
    from densimeter.simulator.explore.densities import add_densities
    from densimeter.simulator.explore.details import add_details, chosen_designs

    check_figure(figure)
    page_path = folder / "report.html" if output is None else output
    if page_path.suffix != ".html":
        raise ConfigError(f"-o is {page_path}, expected a name ending in .html")
    beside = page_path.with_suffix("")
    if not (folder / "run.yaml").is_file():
        raise ConfigError(f"{folder}: has no run.yaml; expected the folder of a run, which `densimeter run` makes")
    with errors.status("evaluating layers"):
        chosen = chosen_designs(folder, layers)
        add_details(folder, chosen)
        add_densities(folder, chosen)
    run = read_run(folder)
    page = explore_page(run)
    write_text(page_path, page)
    for table in tables(run):
        for suffix, written in ((".csv", to_csv), (".md", to_markdown), (".tex", to_latex)):
            write_text(beside / f"{table.name}{suffix}", written(table))
    console.print(f"page: {shown_path(page_path)}   tables: {shown_path(beside)}", highlight=False)
    if figure is not None:
        save_figure(front_figure(run, x, y, color), figure)
    if not figures:
        return
    if find_browser() is None:
        console.print("no figures as PNG and SVG: they need Chromium or Chrome on the PATH; the page has them all")
        return
    with errors.status("drawing figures"):
        drawn = images(page)
    for name, data in drawn.items():
        write_bytes(beside / name, data)
    console.print(f"figures: {', '.join(sorted(drawn))} there", highlight=False)
