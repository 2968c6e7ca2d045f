"""Pieces of Verilog text: how a vector's range and a module instance are written."""

import textwrap
from collections.abc import Mapping

_LINE = 100


def vector(bits: int) -> str:
    """The range of a wire of that width."""
    return f"[{bits - 1}:0]"


def instance(module: str, name: str, parameters: Mapping[str, int], connections: Mapping[str, str]) -> str:
    """One module instance; a port connected to "" stays open."""
    return f"{module} #(\n{_associations(parameters)}\n) {name} (\n{_associations(connections)}\n);"


def _associations(values: Mapping[str, int] | Mapping[str, str]) -> str:
    written = (f".{key}({value})" for key, value in values.items())
    # Blanks within an association must not break, those between them may.
    line = ", ".join(text.replace(" ", "\0") for text in written)
    return textwrap.fill(
        line, _LINE, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    ).replace("\0", " ")
