"""Pieces of Verilog text: how a vector's range and a module instance are written."""

import textwrap
from collections.abc import Mapping

_LINE = 100


def vector(bits: int) -> str:
    """The range of a wire of that width."""
    return f"[{bits - 1}:0]"


def widened(unsigned: str, bits: int, to: int) -> str:
    """An unsigned expression of `bits` bits with zeros in front."""
    return unsigned if bits == to else f"{{{to - bits}'b0, {unsigned}}}"


def instance(module: str, name: str, parameters: Mapping[str, int | str], connections: Mapping[str, str]) -> str:
    """One module instance."""
    return f"{module} #(\n{associations(parameters)}\n) {name} (\n{associations(connections)}\n);"


def associations(values: Mapping[str, int | str] | Mapping[str, str]) -> str:
    """Ports or parameters by name and what each is connected to, in lines."""
    written = (f".{key}({value})" for key, value in values.items())
    # Blanks within an association must not break, those between them may.
    line = ", ".join(text.replace(" ", "\0") for text in written)
    return textwrap.fill(
        line, _LINE, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    ).replace("\0", " ")
