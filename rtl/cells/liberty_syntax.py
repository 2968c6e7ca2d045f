"""Liberty as a language: cells as pieces of text, and a cell's text as nested groups."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

_CELL = re.compile(r'\bcell\s*\(\s*"?([^"\s)]+)"?\s*\)\s*\{')


@dataclass(frozen=True)
class Group:
    """`name (arguments) { attributes and groups }`; an attribute is the list of its values."""

    name: str
    arguments: tuple[str, ...] = ()
    attributes: dict[str, list[str]] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def all(self, *names: str) -> list["Group"]:
        return [group for group in self.groups if group.name in names]

    def value(self, attribute: str) -> str | None:
        """The attribute's text, its words joined by spaces; None where it is not given."""
        return " ".join(self.attributes[attribute]) if attribute in self.attributes else None


def without_comments(text: str) -> str:
    """The text with comments and the breaks of continued lines taken out: what the functions below expect."""
    return re.sub(r"/\*.*?\*/|\\\s*\n", "", text, flags=re.DOTALL)


def header(text: str) -> Group:
    """The library without its cells: units, operating conditions, templates of tables."""
    first_cell = _CELL.search(text)
    return parse(text[: first_cell.start()] + "}" if first_cell else text)


def cell_texts(text: str) -> dict[str, str]:
    """The text of every cell, unparsed: a library holds millions of numbers, of which few are ever asked for."""
    starts = list(_CELL.finditer(text))
    bounds = pairwise([*(start.start() for start in starts), len(text)])
    return {start[1]: text[begin:end] for start, (begin, end) in zip(starts, bounds, strict=True)}


def parse(text: str) -> Group:
    """The first group in `text`. Raises EOFError where the text ends inside it."""
    tokens = re.finditer(r'"(?P<quoted>[^"]*)"|[{}();:]|[^\s{}();:,"]+', text)
    words = (token[0] if token["quoted"] is None else token["quoted"] for token in tokens)
    outside = Group("")
    _parse_statement(_next(words), words, outside)
    return outside.groups[0]


def _parse_statement(name: str, words: Iterator[str], parent: Group) -> None:
    """Add to `parent` the statement that starts with `name`: `name : value ;`, `name (values) ;` or a group."""
    if _next(words) == ":":
        parent.attributes[name] = list(_until(";", words))
        return
    values = list(_until(")", words))
    if _next(words) != "{":
        parent.attributes[name] = values
        return
    group = Group(name, tuple(values))
    parent.groups.append(group)
    for word in _until("}", words):
        if word != ";":
            _parse_statement(word, words, group)


def _next(words: Iterator[str]) -> str:
    for word in words:
        return word
    raise EOFError


def _until(end: str, words: Iterator[str]) -> Iterator[str]:
    while (word := _next(words)) != end:
        yield word
