"""The structure of a sweep: what is wrong with it, and as much of the sweep as can be checked further all the same."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from densimeter.simulator.explore.axes import Problems
from densimeter.simulator.schema.document import KeyPath, problems
from densimeter.simulator.schema.sweep import Sweep

_HARMLESS: Mapping[str, Any] = {"name": "unnamed", "objectives": {"area_mm2": "min"}}


def read_structure(found: Problems) -> tuple[Sweep | None, frozenset[str]]:
    """The sweep, and the names of axes of which nothing is known but that they are there.

    Whatever is wrong is added to `found`, and left out or replaced by something harmless; None where no design is left.
    """
    data = found.document.data
    try:
        return Sweep.model_validate(data), frozenset()
    except ValidationError as error:
        found += problems(found.document, Sweep, error)
        paths = [tuple(detail["loc"]) for detail in error.errors(include_url=False)]
    if not isinstance(data, dict):
        return None, frozenset()
    broken: set[str] = set()
    mended = {**_HARMLESS, **data}
    for path in filter(None, paths):
        _mend(mended, path, broken)
    try:
        return Sweep.model_validate(mended), frozenset(broken)
    except ValidationError:
        return None, frozenset()


def _mend(data: dict[str, Any], path: KeyPath, broken: set[str]) -> None:
    """Leave out what is wrong at a path, so that the rest has a structure."""
    key, *inner = path
    whole = data.get(str(key))
    if key == "axes" and inner and isinstance(whole, dict) and isinstance(inner[0], str):
        broken.add(inner[0])
        data["axes"] = {**whole, inner[0]: [None]}
    elif key == "constraints" and inner and isinstance(whole, list):
        data["constraints"] = ["true" if i == inner[0] else text for i, text in enumerate(whole)]
    elif key == "objectives" and inner and isinstance(whole, dict):
        data["objectives"] = {**whole, inner[0]: "min"}
    elif key in _HARMLESS:
        data[str(key)] = _HARMLESS[str(key)]
    else:
        data.pop(key, None)  # type: ignore[arg-type]
