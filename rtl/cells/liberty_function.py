"""Liberty's Boolean expressions: the functions of pins and the conditions of power and timing groups.

!a  a'    not, first of all        a ^ b          exclusive or, before and, as Liberty orders them
a & b     and; also a * b, a b     a | b, a + b   or
0  1      constants, also quoted as in Verilog (1'b0)
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

_TOKEN = re.compile(r"\s*(1'b[01]|[A-Za-z_]\w*(?:\[\d+\])?|[01]|[!'&*|+^()])")
_LEVELS = (("|", "|+"), ("&", "&*"), ("^", "^"))  # from the loosest to the tightest


@dataclass(frozen=True)
class Expression:
    """`operator` is one of | & ^ !, "pin" (of that `name`), or "constant" (named 0 or 1)."""

    operator: str
    operands: tuple["Expression", ...] = ()
    name: str = ""

    @cached_property
    def pins(self) -> frozenset[str]:
        own = frozenset({self.name} if self.operator == "pin" else ())
        return own.union(*(operand.pins for operand in self.operands))

    def value(self, pins: Mapping[str, int]) -> int:
        """0 or 1 where the pins hold these bits."""
        if self.operator == "constant":
            return int(self.name)
        if self.operator == "pin":
            return pins[self.name]
        bits = [operand.value(pins) for operand in self.operands]
        if self.operator == "!":
            return 1 - bits[0]
        return {"|": max(bits), "&": min(bits), "^": sum(bits) % 2}[self.operator]

    def verilog(self, names: Mapping[str, str]) -> str:
        """The expression in Verilog, every pin under its name there."""
        if self.operator == "constant":
            return f"1'b{self.name}"
        if self.operator == "pin":
            return names[self.name]
        parts = [operand.verilog(names) for operand in self.operands]
        return f"~{parts[0]}" if self.operator == "!" else f"({f' {self.operator} '.join(parts)})"


def parse(text: str) -> Expression:
    """The expression in `text`. Raises ValueError, with the text, where it is none."""
    tokens = _tokens(text)
    expression, rest = _chain(tokens, 0, text)
    if rest:
        raise ValueError(f"{text!r}: {rest[0]!r} where the expression should end")
    return expression


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    while match := _TOKEN.match(text, position):
        found.append(match[1].removeprefix("1'b"))
        position = match.end()
    if text[position:].strip():
        raise ValueError(f"{text!r}: cannot read {text[position:].strip()!r}")
    return found


def _chain(tokens: list[str], level: int, text: str) -> tuple[Expression, list[str]]:
    """The longest chain of one level's operator that starts `tokens`, and the tokens behind it."""
    if level == len(_LEVELS):
        return _term(tokens, text)
    operator, spellings = _LEVELS[level]
    first, rest = _chain(tokens, level + 1, text)
    operands = [first]
    while rest and (rest[0] in spellings or (operator == "&" and _starts_term(rest[0]))):
        operand, rest = _chain(rest[rest[0] in spellings :], level + 1, text)
        operands.append(operand)
    return (Expression(operator, tuple(operands)) if len(operands) > 1 else first), rest


def _starts_term(token: str) -> bool:
    return token in "!(" or token[0].isalnum() or token[0] == "_"


def _term(tokens: list[str], text: str) -> tuple[Expression, list[str]]:
    if not tokens or not _starts_term(tokens[0]):
        raise ValueError(f"{text!r}: expected a pin, a constant, ! or (")
    head, rest = tokens[0], tokens[1:]
    if head == "!":
        operand, rest = _term(rest, text)
        return Expression("!", (operand,)), rest
    if head == "(":
        term, rest = _chain(rest, 0, text)
        if not rest or rest[0] != ")":
            raise ValueError(f"{text!r}: a ( is not closed")
        rest = rest[1:]
    else:
        term = Expression("constant" if head in "01" else "pin", name=head)
    while rest and rest[0] == "'":
        term, rest = Expression("!", (term,)), rest[1:]
    return term, rest


def states(pins: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Every state of the pins, in the order of the number that their bits make, the first pin's being the highest."""
    for number in range(1 << len(pins)):
        yield {pin: number >> len(pins) - 1 - place & 1 for place, pin in enumerate(pins)}
