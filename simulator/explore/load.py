"""A sweep file read and checked: the one place where all that can be wrong with it comes together.

`load` names every problem at once, each with file, line, path, value and expectation.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError, nearest
from densimeter.reports.quantities import ACCURACY
from densimeter.simulator.explore.axes import Problems
from densimeter.simulator.explore.braces import with_axes_expanded
from densimeter.simulator.explore.build import Builder
from densimeter.simulator.explore.contradictions import never_together
from densimeter.simulator.explore.designs import check_designs
from densimeter.simulator.explore.expressions import Values
from densimeter.simulator.explore.numbering import Codes
from densimeter.simulator.explore.result_names import NOT_JUDGED, TRUTHS, result_kinds
from densimeter.simulator.explore.space import Condition, Space, named
from densimeter.simulator.explore.structure import read_structure
from densimeter.simulator.schema.document import Document
from densimeter.simulator.schema.includes import read_with_includes
from densimeter.simulator.schema.sweep import Sweep

_TRIED = 2**18


@dataclass(frozen=True)
class Exploration:
    """A sweep that makes sense, with the space that it means.

    result_constraints: those that need results. measures: what gives the sweep's own result columns, in their order.
    document: where the sweep is written.
    """

    sweep: Sweep
    space: Space
    result_constraints: tuple[Condition, ...]
    measures: Mapping[str, Condition]
    document: Document

    def measured(self, codes: Codes, columns: Mapping[str, Values]) -> dict[str, Values]:
        """Results with the sweep's measures of them, for designs of which there are some; arguments as of `accepts`."""
        found = dict(columns)
        rows = len(next(iter(columns.values())))
        for name, measure in self.measures.items():
            found[name] = np.broadcast_to(_evaluated(measure, codes, found), rows).astype(np.float64)
        return found

    def accepts(self, codes: Codes, columns: Mapping[str, Values]) -> NDArray[np.bool_]:
        """Which designs meet the constraints on results. codes: of `Space.codes`; columns: results, by name.

        A name with a dot (`areas_mm2.units`) is one column, too.
        """
        rows = len(next(iter(columns.values())))
        holds = np.ones(rows, np.bool_)
        for constraint in self.result_constraints:
            holds &= _evaluated(constraint, codes, columns)
        return holds

    @cached_property
    def result_names(self) -> tuple[str, ...]:
        """The result columns that its constraints on results and its objectives read."""
        names = [name for c in self.result_constraints for name in c.expression.names]
        settings = {name for c in self.result_constraints for name in (*c.columns, *c.constants)}
        return tuple(dict.fromkeys([*self.sweep.objectives, *(name for name in names if name not in settings)]))

    def resolved(self) -> dict[str, Any]:
        """The sweep as plain data, includes and defaults in place: `explore` of it means the same."""
        sweep = self.sweep
        return {
            "name": sweep.name,
            "design": sweep.design,
            "axes": {
                name: {key: getattr(axis, key) for key in axis.model_fields_set} for name, axis in sweep.axes.items()
            },
            "measures": dict(sweep.measures),
            "constraints": list(sweep.constraints),
            "objectives": dict(sweep.objectives),
            "scenarios": list(sweep.scenarios),
            "search": sweep.search.model_dump(),
            "output": sweep.output.model_dump(),
        }


def load(path: Path) -> Exploration:
    """Read and check a sweep file with its includes. Raises ConfigError with every problem, a line each."""
    return explore(read_with_includes(path, whole=[("axes",)]))


def explore(document: Document | Mapping[str, Any]) -> Exploration:
    """Check a sweep that was parsed already, or made in Python. Raises ConfigError with every problem, a line each."""
    if not isinstance(document, Document):
        document = Document("sweep", dict(document), {})
    document = with_axes_expanded(document)
    found = Problems(document)
    sweep, broken = read_structure(found)
    if sweep is None:
        raise found.error()
    builder = Builder(sweep, found, broken)
    space = builder.build()
    check_designs(space, builder, found)
    measures = {name: builder.measure(name, text) for name, text in sweep.measures.items()}
    on_design, on_results = _constraints(builder, found)
    _check_objectives(builder, found)
    _check_scenarios(sweep, builder.columns, found)
    space = replace(space, constraints=tuple(c for _, c in on_design), measures=tuple(measures))
    if not found:
        _check_size(sweep, space, found)
    if not found:
        _check_constraints(space, on_design, on_results, found)
    if found:
        raise found.error()
    sound = {name: measure for name, measure in measures.items() if measure is not None}
    return Exploration(sweep, space, tuple(c for _, c in on_results), sound, document)


_Placed = list[tuple[int, Condition]]


def _constraints(builder: Builder, found: Problems) -> tuple[_Placed, _Placed]:
    """Constraints on settings alone and those on results, each with its number in the file."""
    on_design: _Placed = []
    on_results: _Placed = []
    for i, text in enumerate(builder.sweep.constraints):
        condition = builder.result_condition(text, ("constraints", i))
        if condition is not None:
            results = any(map(builder.is_result, condition.expression.names))
            (on_results if results else on_design).append((i, condition))
    return on_design, on_results


def _check_objectives(builder: Builder, found: Problems) -> None:
    known = [name for name in (*result_kinds(judged=builder.judged), *builder.sweep.measures) if name not in TRUTHS]
    for name in builder.sweep.objectives:
        if name in known:
            continue
        if name in ACCURACY:
            found.add(("objectives", name), NOT_JUDGED)
        else:
            text = f"no column of numbers in the results{nearest(name, known)}"
            found.add(("objectives", name), f"{text}; expected one such as area_mm2, tokens_per_s, energy_per_token_j")


def _check_scenarios(sweep: Sweep, varying: Collection[str], found: Problems) -> None:
    method = sweep.search.method
    if sweep.scenarios and method not in ("grid", "random"):
        found.add(("scenarios",), f"beside {method}, which looks for one front; expected them with grid or random")
    for i, name in enumerate(sweep.scenarios):
        if name not in varying and name not in sweep.axes:
            found.add(("scenarios", i), f"{name!r}: nothing that varies{nearest(name, varying)}; expected an axis")


def _check_size(sweep: Sweep, space: Space, found: Problems) -> None:
    try:
        vast = space.is_vast
    except ConfigError as error:
        found.add(("axes",), error)
        return
    if vast and sweep.search.designs is None:
        text = f"2**{space.size.bit_length() - 1} designs or more, which no grid comes to the end of"
        found.add(("axes",), f"{text}; expected search: {{method: tpe, designs: 200}}, or another limit")


def _check_constraints(space: Space, on_design: _Placed, on_results: _Placed, found: Problems) -> None:
    """What cannot hold whatever the results are; a large space is tried at some of its designs."""
    for i, condition in on_design:
        if condition.table is not None and not condition.table.any():
            found.add(
                ("constraints", i), f"{condition.expression.text!r}: no design meets it, expected one that some do"
            )
    for numbers in never_together([condition.expression for _, condition in on_results]):
        texts = " and ".join(repr(on_results[k][1].expression.text) for k in numbers)
        found.add(("constraints", on_results[numbers[-1]][0]), f"{texts}: no result meets this, expected what one can")
    small = on_design and not found and space.size <= _TRIED
    if small and not space.mask(space.codes(np.arange(space.size))).any():
        found.add(("constraints",), f"none of {space.size} designs meets all that are on settings, expected some to")


def _evaluated(condition: Condition, codes: Codes, columns: Mapping[str, Values]) -> Values:
    known = {name: _column(name, columns) for name in condition.expression.names if name in columns}
    return condition.expression({**known, **condition.constants, **named(condition.columns, codes)})


def _column(name: str, columns: Mapping[str, Values]) -> Values:
    return columns[name] != 0 if name in TRUTHS else columns[name]
