"""The values of an axis, from the way in which the YAML gives them, each with the place where it is written."""

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.explore.settings import Setting, settings
from densimeter.simulator.schema.document import Document, KeyPath, shown
from densimeter.simulator.schema.sweep import AxisField

MOST_VALUES = 100_000
_MOST_BITS = 63
_PLACE = re.compile(r"(.*?):(\d+): ")
Placed = list[tuple[Any, KeyPath]]


class Problems(list[str]):
    """What is wrong with a document, a line for each."""

    def __init__(self, document: Document) -> None:
        super().__init__()
        self.document = document

    def add(self, path: KeyPath, text: object) -> None:
        line = self.document.problem(path, str(text))
        if line not in self:
            self.append(line)

    def error(self) -> ConfigError:
        """All of them as one error, in the order of the file."""
        return ConfigError("\n".join(sorted(self, key=_place)))


def _place(problem: str) -> tuple[str, int]:
    found = _PLACE.match(problem)
    return (found[1], int(found[2])) if found else ("", 0)


def axis_values(name: str, field: AxisField, setting: Setting, problems: Problems) -> Placed:
    """The values that an axis of one setting lists or spans; those that cannot stand there are problems."""
    if field.values is None:
        return _spanned(name, field, setting, problems)
    place: KeyPath = ("axes", name) if isinstance(_written(problems.document, name), list) else ("axes", name, "values")
    found: Placed = []
    first: dict[str, int] = {}
    for i, written in enumerate(field.values):
        try:
            value, meaning = setting.read(written), setting.meaning(written)
        except ValueError as error:
            problems.add((*place, i), error)
            continue
        if meaning in first:
            problems.add((*place, i), f"{shown(written)}: the same as value {first[meaning]}, expected it once")
        else:
            first[meaning] = i
            found.append((value, (*place, i)))
    return found


def choices(name: str, field: AxisField, problems: Problems) -> dict[str, dict[str, Any]]:
    """For each choice the values of the settings that it makes, by path."""
    found: dict[str, dict[str, Any]] = {}
    first: dict[tuple[str, ...], str] = {}
    for choice, made in (field.choices or {}).items():
        place: KeyPath = ("axes", name, "choices", choice)
        meanings, values = [], {}
        if not made:
            problems.add(place, "{}: expected at least one setting and its value")
        for path, written in made.items():
            if (setting := known_setting(path, (*place, path), problems)) is None:
                continue
            try:
                values[path] = setting.read(written)
                meanings.append(f"{path}={setting.meaning(written)}")
            except ValueError as error:
                problems.add((*place, path), error)
        key = tuple(sorted(meanings))
        if len(key) == len(made) and key in first:
            problems.add(place, f"the same as {first[key]}, expected it once")
        first.setdefault(key, choice)
        found[choice] = values
    return found


def known_setting(path: str, place: KeyPath, problems: Problems) -> Setting | None:
    """The setting of a path; a problem where there is none."""
    if path in settings():
        return settings()[path]
    problems.add(place, f"no setting of a design{nearest(path, settings())}; expected a path such as array.rows")
    return None


def _written(document: Document, name: str) -> Any:
    axes = document.data.get("axes") if isinstance(document.data, Mapping) else None
    return axes.get(name) if isinstance(axes, Mapping) else None


def _spanned(name: str, field: AxisField, setting: Setting, problems: Problems) -> Placed:
    way = "range" if field.range is not None else "powers_of_two"
    place: KeyPath = ("axes", name, way)
    if setting.kind != "number":
        problems.add(place, f"{setting.path} is no number, expected a list of values")
        return []
    try:
        numbers = _range(field.range, field.step) if field.range is not None else _powers(field.powers_of_two or [])
        found = [(setting.read(number), place) for number in numbers]
    except ValueError as error:
        problems.add(place, error)
        return []
    if not found:
        problems.add(
            place, f"{shown(field.range or field.powers_of_two)}: empty, expected a first number up to the last"
        )
    return found


def _range(ends: list[Any], step: Any) -> Iterable[int | float]:
    """In exact arithmetic of the decimal digits, so that 0.1 + 0.2 is 0.3."""
    first, last, each = (Fraction(str(number)) for number in (*ends, 1 if step is None else step))
    if each <= 0:
        raise ValueError(f"step is {step}, expected a number above 0")
    count = math.floor((last - first) / each) + 1
    if count > MOST_VALUES:
        raise ValueError(f"{shown(count)} values, expected at most {MOST_VALUES}")
    numbers = (first + i * each for i in range(count))
    return [number.numerator if number.denominator == 1 else float(number) for number in numbers]


def _powers(ends: list[int]) -> Iterable[int]:
    first, last = ends
    if last.bit_length() > _MOST_BITS:
        raise ValueError(f"a number of {last.bit_length()} bits, expected at most {_MOST_BITS}")
    return [2**i for i in range(last.bit_length()) if first <= 2**i]
