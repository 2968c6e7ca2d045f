"""Tables as Markdown; changes when tables of pages should be written another way."""

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a heading that starts with ">" is right-aligned. Cells are Markdown themselves."""
    lines = [
        "| " + " | ".join(heading.removeprefix(">") for heading in headings) + " |",
        "|" + "|".join("--:" if heading.startswith(">") else ":--" for heading in headings) + "|",
    ]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    """A pipe would end the cell, a line break the row."""
    return words.replace("|", "\\|").replace("\n", " ")
