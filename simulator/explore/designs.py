"""Whether the values of a sweep make design points: the design as a whole, and each value somewhere in the space."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from densimeter.formats.errors import DensimeterError
from densimeter.simulator.design import workload_of
from densimeter.simulator.explore.axes import Problems
from densimeter.simulator.explore.build import Builder
from densimeter.simulator.explore.numbering import combinations
from densimeter.simulator.explore.paths import put, steps
from densimeter.simulator.explore.settings import settings
from densimeter.simulator.explore.space import Column, Space
from densimeter.simulator.schema.design import DesignPoint, WorkloadField
from densimeter.simulator.schema.document import KeyPath, dotted, expectation, problems, shown
from densimeter.simulator.schema.fields import UnitField

_MOST_TRIED = 4096
_UNIT = tuple(UnitField.model_fields)
_SECTIONS = (_UNIT, *((name,) for name in DesignPoint.model_fields if name not in _UNIT))


def check_designs(space: Space, builder: Builder, found: Problems) -> None:
    """Add what is wrong with the design, and values that make no design point whatever the others are."""
    first = copy.deepcopy(dict(space.base))
    for name in space.settings:
        put(first, name, space.values[name][0])
    wrong: set[KeyPath] = set()

    def is_own(path: KeyPath) -> bool:
        """Whether a problem is the design's, not that of a setting that varies or of several together."""
        keys = path[:1] or _UNIT
        own = not any(_overlap(path, steps(name)) if path else name in keys for name in builder.varying)
        if own:
            wrong.add(path)
        return own

    try:
        DesignPoint.model_validate(first)
    except ValidationError as error:
        found += problems(found.document, DesignPoint, error, ("design",), is_own)
    for keys in _SECTIONS:
        if not any(path[:1] in {(key,) for key in keys} or (not path and keys is _UNIT) for path in wrong):
            _check_section(keys, space, builder, found)


def _overlap(path: KeyPath, other: KeyPath) -> bool:
    """Whether one is the other, or a part of it."""
    depth = min(len(path), len(other))
    return path[:depth] == other[:depth]


def _check_section(keys: Sequence[str], space: Space, builder: Builder, found: Problems) -> None:
    """Keys that are validated together, in all combinations of what varies among them; too many are left to the run."""
    paths = [path for path in builder.varying if path.split(".")[0] in keys]
    if not space.columns.keys() >= set(paths):
        return  # One of them has a problem of its own.
    varying = [space.columns[path] for path in space.settings if path in paths]
    if not varying:
        if "workload" in keys and not any(steps(name)[0] == "workload" for name in builder.varying):
            _report(found, ("design", "workload"), _reason(keys, space.base))
        return
    sources = {name: count for column in varying for name, count in column.sources.items()}
    if math.prod(sources.values()) > _MOST_TRIED:
        return
    codes = combinations(sources)
    reasons = _reasons(keys, varying, codes, space.base)
    if all(reasons):
        _report(found, ("axes", next(iter(sources), varying[0].name)), f"no value makes a valid design: {reasons[0]}")
        return
    failed = np.array([reason is not None for reason in reasons])
    for axis in sources:
        for code, place in enumerate(builder.places[axis]):
            rows = np.flatnonzero(codes[axis] == code)
            if failed[rows].all():
                _report(found, place, f"{shown(space.values[axis][code])}: makes no valid design: {reasons[rows[0]]}")


def _report(found: Problems, place: KeyPath, text: str | None) -> None:
    if text is not None:
        found.add(place, text)


def _reasons(
    keys: Sequence[str], varying: Sequence[Column], codes: dict[str, NDArray[np.int64]], base: Any
) -> list[str | None]:
    """For each combination of codes, why its values make no valid section, or None where they do."""
    rows = len(next(iter(codes.values()))) if codes else 1
    columns = [np.broadcast_to(column.codes(codes), rows).tolist() for column in varying]
    known: dict[tuple[int, ...], str | None] = {}
    found = []
    for row in zip(*columns, strict=True):
        if row not in known:
            section = copy.deepcopy({key: base[key] for key in keys if key in base})
            for column, code in zip(varying, row, strict=True):
                put(section, column.name, column.values[code])
            known[row] = _reason(keys, section)
        found.append(known[row])
    return found


def _reason(keys: Sequence[str], section: Any) -> str | None:
    try:
        if tuple(keys) == _UNIT:
            UnitField.model_validate({key: value for key, value in section.items() if key in keys})
        elif keys[0] in section:
            validated = settings()[keys[0]].adapter.validate_python(section[keys[0]])
            if isinstance(validated, WorkloadField):
                workload_of(validated)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        return f"{dotted(detail['loc'])}: {expectation(detail)}" if detail["loc"] else expectation(detail)
    except DensimeterError as error:
        return str(error)
    return None
