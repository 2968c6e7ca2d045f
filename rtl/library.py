"""The Verilog library: which modules a text uses, and their sources in dependency order."""

import re
from functools import cache
from importlib import resources

_REFERENCE = re.compile(r"\bdm_\w+\b")
_NET_TYPE = re.compile(r"^`default_nettype .*\n", re.MULTILINE)
_COMMENT = re.compile(r"//.*")


def sources_for(text: str) -> list[str]:
    """Sources of every library module that `text` instantiates, directly or not, dependencies first."""
    ordered: dict[str, str] = {}
    _collect(text, ordered)
    return list(ordered.values())


def _collect(text: str, ordered: dict[str, str]) -> None:
    for name in sorted(set(_REFERENCE.findall(_COMMENT.sub("", text)))):
        if name not in ordered:
            source = _source(name)
            # The module is not among its own dependencies, though a tree of adders instantiates itself.
            _collect(re.sub(rf"\b{name}\b", "", source), ordered)
            ordered[name] = source


@cache
def _source(name: str) -> str:
    path = resources.files("densimeter.rtl").joinpath("verilog", f"{name}.v")
    return _NET_TYPE.sub("", path.read_text(encoding="utf-8"))
