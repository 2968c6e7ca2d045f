"""`densimeter init [FILE]`: a commented sweep to start from."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.commands.output import console, shown_path

_CONFIGS = resources.files("densimeter.simulator.configs")
_FIRST = "sweep"


def init(
    path: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path("sweep.yaml"),
    example: Annotated[
        str, typer.Option("--example", "-e", help="Which one: array_shape, kv_cache_format, ...; `list` shows all.")
    ] = _FIRST,
) -> None:
    """Write a commented example of a sweep that runs as it stands; a file that exists is left alone."""
    known = examples()
    if example == "list":
        for name, text in known.items():
            console.print(f"{name:<22} {text.splitlines()[0].removeprefix('# ')}", markup=False, highlight=False)
        return
    if example not in known:
        raise ConfigError(
            f"no example is called {example!r}{nearest(example, known)}; expected one of {', '.join(known)}"
        )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(known[example])
    except FileExistsError as error:
        raise ConfigError(f"{path} exists; expected the name of a new file") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; expected a file in a folder of yours") from error
    console.print(f"written to {shown_path(path)}; next: densimeter check {path}", markup=False, highlight=False)


def examples() -> dict[str, str]:
    """The sweeps that ship with the package, by name, the first one first."""
    texts = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in sorted(_CONFIGS.iterdir(), key=lambda file: (file.name != f"{_FIRST}.yaml", file.name))
        if file.name.endswith(".yaml")
    }
    return {name: text for name, text in texts.items() if "\naxes:" in text}
