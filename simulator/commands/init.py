"""`densimeter init [FILE]`: a commented example to start from."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.commands.completion import example_names
from densimeter.simulator.commands.output import console, shown_path

_CONFIGS = resources.files("densimeter.simulator.configs")
_FIRST = "sweep"


def init(
    path: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path("sweep.yaml"),
    example: Annotated[
        str,
        typer.Option(
            "--example",
            "-e",
            help="Which one: array_shape, kv_cache_format, ...; `list` shows all.",
            autocompletion=example_names,
        ),
    ] = _FIRST,
) -> None:
    """Write a commented example that runs as it stands, a sweep or a table; a file that exists is left alone."""
    known = examples()
    if example == "list":
        for name, text in known.items():
            console.print(
                f"{name:<34} {text.splitlines()[0].removeprefix('# ')}", markup=False, highlight=False, soft_wrap=True
            )
        return
    if example not in known:
        raise ConfigError(
            f"no example is called {example!r}{nearest(example, known)}; expected one of {', '.join(known)}"
        )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(known[example])
    except FileExistsError as error:
        raise ConfigError(f"{path} exists; expected the name of a new file: give another, or remove it") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; expected a file in a folder of yours") from error
    command = _command(known[example])
    console.print(
        f"written to {shown_path(path)}; next: densimeter {command} {path}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def examples() -> dict[str, str]:
    """The text of everything runnable that ships with the package, by name: sweeps, then tables."""
    texts = {
        f"{prefix}{file.name.removesuffix('.yaml')}": file.read_text(encoding="utf-8")
        for prefix, folder in (("", _CONFIGS), ("studies/", _CONFIGS / "studies"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    }
    return dict(sorted(texts.items(), key=lambda item: (item[0] != _FIRST, _command(item[1]) != "check")))


def sweeps() -> dict[str, str]:
    """Those of them that are sweeps."""
    return {name: text for name, text in examples().items() if _command(text) == "check"}


def _command(text: str) -> str:
    """The command that takes such a file first."""
    if "\naxes:" in text:
        return "check"
    return "accuracy" if "\nrows:" in text else "density"
