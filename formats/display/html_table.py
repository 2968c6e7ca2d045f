"""A table as HTML for a notebook, escaped; changes when such tables should look different."""

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "padding:.15rem .6rem;white-space:nowrap"


def html_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[bool] = ()) -> str:
    """A table that scrolls where a page is too narrow. No headings, no head; `right` says which columns hold figures,
    a flag a column, none where it is left out."""
    head = f"<thead>{_line('th', headings, right)}</thead>" if headings else ""
    body = "".join(_line("td", row, right) for row in rows)
    return (
        '<div class="densimeter" style="overflow-x:auto"><table style="border-collapse:collapse">'
        f"{head}<tbody>{body}</tbody></table></div>"
    )


def _line(tag: str, cells: Sequence[str], right: Sequence[bool]) -> str:
    written = (
        f'<{tag} style="text-align:{"right" if right and right[i] else "left"};{_CELL}">{escape(cell)}</{tag}>'
        for i, cell in enumerate(cells)
    )
    return f"<tr>{''.join(written)}</tr>"
