"""The YAML of a design-space exploration: a design point, axes that vary it, constraints, objectives, how to search."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from densimeter.simulator.schema.fields import StrictModel

Method = Literal["grid", "random", "nsga2", "tpe"]
WAYS = ("values", "range", "powers_of_two", "choices", "same_as", "value")
FOLLOWING = ("same_as", "value")


def _number(written: Any) -> int | float:
    """An integer stays one. YAML 1.1 reads 1e3 as a text, which is a number all the same."""
    try:
        number = float(written) if isinstance(written, str) else written
        if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number):
            return number
    except (ValueError, OverflowError):
        pass
    raise ValueError("expected a finite number, without a unit")


def _axis(written: Any) -> Any:
    """A plain list is short for `values`."""
    if isinstance(written, list):
        return {"values": written}
    if not isinstance(written, dict | AxisField):
        raise ValueError("expected a list of values, or a mapping such as {range: [1, 8]}")
    return written


def _keep(written: Any) -> Any:
    if written in ("all", "front") or (isinstance(written, int) and not isinstance(written, bool) and written >= 1):
        return written
    raise ValueError("expected all, front, or a number of rows")


Number = Annotated[Any, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
Count = Annotated[int, Field(ge=1, strict=True)]


class AxisField(StrictModel):
    """What one axis runs through, in exactly one of six ways; a plain list is short for `values`.

    values: as listed. range: from the first number up to the last, in steps of `step` (1). powers_of_two: those from
    the first number up to the last. choices: settings that change together, a name for each combination of them.
    same_as: whatever another setting is. value: an expression of other settings. These two follow, multiplying nothing.
    when: a condition on other settings; where it is false the design's own value stays, and nothing is multiplied.
    """

    values: Annotated[list[Any], Field(min_length=1)] | None = None
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    step: Number | None = None
    powers_of_two: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None
    choices: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] | None = None
    same_as: str | None = None
    value: str | None = None
    when: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "AxisField":
        given = [way for way in WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"{' and '.join(given) or 'nothing'} given, expected exactly one of {', '.join(WAYS)}")
        if self.step is not None and self.range is None:
            raise ValueError(f"step beside {given[0]}, expected it beside a range only")
        if self.when is not None and given[0] in FOLLOWING:
            raise ValueError(
                f"when beside {given[0]}, expected no condition: it follows, write 'a if condition else b'"
            )
        return self


class SearchField(StrictModel):
    """How designs are picked. designs: at most so many; only a grid needs no number and then takes all."""

    method: Method = "grid"
    designs: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0

    @model_validator(mode="after")
    def _ends(self) -> "SearchField":
        if self.method != "grid" and self.designs is None:
            raise ValueError(f"{self.method} without designs, expected how many of them to evaluate")
        return self


class OutputField(StrictModel):
    """What is kept. keep: all rows, the Pareto front only, or the front and up to so many rows besides."""

    keep: Annotated[
        Any,
        BeforeValidator(_keep),
        WithJsonSchema({"anyOf": [{"enum": ["all", "front"]}, {"type": "integer", "minimum": 1}]}),
    ] = "all"


class Sweep(StrictModel):
    """A design-space exploration.

    include: files, from this one's folder, whose keys hold where this file does not say otherwise; the later of two
    wins. design: a design point, in which each axis replaces one value. axes: by the dotted path of what they vary, or
    a name of one's own for choices. measures: result columns of one's own, each an expression of settings, results, and
    measures before it. constraints: conditions on settings, which cost nothing, or on result columns.
    objectives: result columns, and whether less of them is better. scenarios: axes that are given, not chosen, such
    as a context: designs are compared within each of their combinations only.
    """

    name: Annotated[str, Field(min_length=1)]
    include: tuple[str, ...] = ()
    design: dict[str, Any]
    axes: dict[str, Annotated[AxisField, BeforeValidator(_axis)]] = Field(default_factory=dict)
    measures: dict[str, str] = Field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    objectives: Annotated[dict[str, Literal["min", "max"]], Field(min_length=1)]
    scenarios: tuple[str, ...] = ()
    search: SearchField = SearchField()
    output: OutputField = OutputField()
