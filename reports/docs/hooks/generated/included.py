"""Sections of the README files, shown here and written there; changes when a page includes another kind of text."""

import re
from pathlib import Path

from mkdocs.exceptions import PluginError

_ROOT = Path(__file__).parents[4]


def section(argument: str) -> str:
    """`formats/README.md` without its title, or `formats/README.md#Rounding`: what stands under that heading alone.

    Links to files of the repository, which the site does not hold, become their words.
    """
    file, _, heading = argument.partition("#")
    text = (_ROOT / file).read_text(encoding="utf-8")
    if heading:
        found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        if found is None:
            raise PluginError(f"{file} has no heading {heading!r}")
        text = found[1]
    else:
        text = re.sub(r"\A# .*\n", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)
