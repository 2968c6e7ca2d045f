"""A format's values on a line, evenly spaced and by octaves; changes when a reader should see another side of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from densimeter.formats.block import BlockFormat
from densimeter.formats.display import palette
from densimeter.formats.display.svg import WIDTH, drawing, legend, line, rectangle, text, text_width, ticks
from densimeter.formats.element import Element, FloatElement, LogElement
from densimeter.formats.number import Kind, floor_log2, power_of_two

_MOST_BITS = 8
"""Elements up to this width are drawn value by value; wider ones as ranges."""
_NORMAL, _SUBNORMAL = palette.GREEN, palette.VERMILLION
_MARGIN = 24
_TALL, _ROW = 26, 62
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MOST_LABELS = 8


@dataclass(frozen=True)
class _Span:
    """Magnitudes above zero, both ends included."""

    smallest: Fraction
    smallest_normal: Fraction
    largest: Fraction


def number_line(fmt: BlockFormat) -> str:
    """SVG of the values of the format's element, for a scale of one; what a scale does is move the octaves.

    Up to 8 bits every value is a stroke: above on an even scale, below by octaves, powers of two equally far apart.
    Wider elements are ranges of octaves. Subnormal values have a colour of their own.
    """
    element = fmt.element
    span = _span(element)
    values = _values(element) if element.bits <= _MOST_BITS else []
    parts = [text(0, 14, _summary(fmt, span, values), muted=True)]
    top = 30.0
    if values:
        parts += _even(values, span, top)
        top += _ROW
    if floor_log2(span.largest) > floor_log2(span.smallest):
        parts += _octaves(values, span, top)
        top += _ROW
    if span.smallest < span.smallest_normal:
        parts.append(legend(top + 6, [(_NORMAL, "normal"), (_SUBNORMAL, "subnormal")]))
        top += 18
    return drawing(top, f"{fmt.name}: its values on a number line", parts)


def _values(element: Element) -> list[Fraction]:
    """Every finite value in ascending order, each once."""
    decoded = (element.decode(code) for code in range(1 << element.bits))
    return sorted({number.value for number in decoded if number.kind is Kind.FINITE})


def _span(element: Element) -> _Span:
    """From properties where codes are too many to look at."""
    if element.bits <= _MOST_BITS:
        magnitudes = sorted({abs(value) for value in _values(element) if value})
        smallest, largest = magnitudes[0], magnitudes[-1]
    else:
        largest = element.largest
        field = element.smallest_field - element.bias if isinstance(element, LogElement) else element.lsb_exponent
        smallest = power_of_two(field)
    if isinstance(element, FloatElement) and element.hidden_bit:
        normal = power_of_two(1 - element.bias)
        return _Span(smallest if element.subnormals else normal, normal, largest)
    return _Span(smallest, smallest, largest)


def _summary(fmt: BlockFormat, span: _Span, values: list[Fraction]) -> str:
    count = f"{len(values)} values" if values else f"{1 << fmt.element.bits:,} codes".replace(",", " ")
    scaled = ", times the scale" if fmt.scale is not None else ""
    return f"{count}; magnitudes {_plain(span.smallest)} to {_plain(span.largest)}{scaled}"


def _even(values: list[Fraction], span: _Span, top: float) -> Iterator[str]:
    low, high = min(values[0], Fraction(0)), values[-1]
    place = _Scale(float(low), float(high))
    yield line(_MARGIN, top + _TALL, WIDTH - _MARGIN, top + _TALL)
    for color, chosen in _by_color(values, span).items():
        yield ticks([place(float(value)) for value in chosen], top, top + _TALL, color, _stroke(len(values)))
    quarters = [low + (high - low) * Fraction(i, 4) for i in range(5)]
    for value in map(float, quarters if low in (-high, 0) else (low, 0, high)):
        words = _number(value)
        ends = {float(low): ("start", 0.0), float(high): ("end", float(WIDTH))}
        beside = text_width(words) > 2 * _MARGIN and value in ends
        anchor, x = ends[value] if beside else ("middle", place(value))
        yield text(x, top + _TALL + 15, words, anchor=anchor)


def _octaves(values: list[Fraction], span: _Span, top: float) -> Iterator[str]:
    lowest, highest = floor_log2(span.smallest), floor_log2(span.largest) + 1
    place = _Scale(lowest, highest)
    yield line(_MARGIN, top + _TALL, WIDTH - _MARGIN, top + _TALL)
    magnitudes = sorted({abs(value) for value in values if value})
    for color, chosen in _by_color(magnitudes, span).items():
        yield ticks([place(math.log2(value)) for value in chosen], top, top + _TALL, color, _stroke(len(magnitudes)))
    if not values:
        normal = floor_log2(span.smallest_normal)
        for low, high, color in ((lowest, normal, _SUBNORMAL), (normal, math.log2(span.largest), _NORMAL)):
            yield rectangle(place(low), top + 4, place(high) - place(low), _TALL - 4, color, outlined=False)
    step = max(1, -(-(highest - lowest) // _MOST_LABELS))
    for exponent in range(lowest, highest + 1, step):
        yield text(place(exponent), top + _TALL + 15, _power(exponent), anchor="middle")


def _by_color(values: list[Fraction], span: _Span) -> dict[str, list[Fraction]]:
    """Zero in ink; else by whether the magnitude is below the smallest normal one."""
    found: dict[str, list[Fraction]] = {"currentColor": [], _SUBNORMAL: [], _NORMAL: []}
    for value in values:
        color = "currentColor" if value == 0 else _SUBNORMAL if abs(value) < span.smallest_normal else _NORMAL
        found[color].append(value)
    return found


@dataclass(frozen=True)
class _Scale:
    """From `low` and `high` to the ends of the line."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        return _MARGIN + (WIDTH - 2 * _MARGIN) * (value - self.low) / (self.high - self.low)


def _stroke(count: int) -> float:
    """Thinner where many stand beside each other."""
    return 1.6 if count <= 64 else 0.8


def _power(exponent: int) -> str:
    return "2" + str(exponent).translate(_SUPERSCRIPTS)


def _plain(value: Fraction) -> str:
    """A power of two as such where that is shorter, else five significant digits."""
    exponent = floor_log2(value)
    if value == power_of_two(exponent) and abs(exponent) > 10:
        return _power(exponent)
    return _number(float(value))


def _number(value: float) -> str:
    """Five significant digits and a true minus sign; whole numbers of up to seven digits in full."""
    digits = f"{value:.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.5g}"
    return digits.replace("-", "\N{MINUS SIGN}")
