"""From the axes of a sweep to its space: what each axis runs through, what follows from it, what switches it off."""

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import Any

import numpy as np

from densimeter.formats.errors import ConfigError
from densimeter.reports.quantities import ACCURACY
from densimeter.simulator.explore.axes import Problems, axis_values, choices, known_setting
from densimeter.simulator.explore.expressions import Kind, Values, compile_expression
from densimeter.simulator.explore.numbering import NumberedAxis, Numbering, combinations
from densimeter.simulator.explore.paths import get, outer_paths, steps
from densimeter.simulator.explore.result_names import NOT_JUDGED, result_kinds
from densimeter.simulator.explore.settings import Setting, settings
from densimeter.simulator.explore.space import Column, Condition, Space, named
from densimeter.simulator.schema.document import KeyPath, shown
from densimeter.simulator.schema.sweep import AxisField, Sweep

_NONE: Mapping[str, Kind] = {}


class _ConsequenceError(ConfigError):
    """Something depends on what has a problem that is reported already."""


@dataclass(frozen=True)
class _Own:
    """What a design says itself of a setting, as written and as `Setting.meaning` has it."""

    value: Any
    meaning: str


@dataclass
class Builder:
    """Builds the columns of a sweep, each after those that it depends on; what is wrong is added to `problems`.

    broken: axes of which nothing is known but their names. places: of each axis, where its values are written.
    """

    sweep: Sweep
    problems: Problems
    broken: frozenset[str] = frozenset()
    columns: dict[str, Column] = field(default_factory=dict)
    places: dict[str, list[KeyPath]] = field(default_factory=dict)
    _numbered: list[NumberedAxis] = field(default_factory=list)
    _providers: dict[str, str] = field(default_factory=dict)
    _choices: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _building: list[str] = field(default_factory=list)
    _failed: set[str] = field(default_factory=set)
    _measures: dict[str, Kind] = field(default_factory=dict)
    _controls: set[str] = field(default_factory=set)

    def build(self) -> Space:
        """The space without constraints; where there are problems, of what makes sense."""
        for name, axis in self.sweep.axes.items():
            self._find_settings(name, axis)
        self._refuse_overlaps()
        for name in self.sweep.axes:
            if name in self._providers:
                with suppress(_ConsequenceError):
                    self.column(name)
        axes = (replace(axis, controls=axis.name in self._controls) for axis in self._numbered)
        order = {name: i for i, name in enumerate(self.sweep.axes)}
        numbering = Numbering(tuple(axes))
        columns = dict(sorted(self.columns.items(), key=lambda item: order.get(self._providers.get(item[0], ""), 0)))
        return Space(self.sweep.design, numbering, columns)

    @property
    def varying(self) -> set[str]:
        """Paths that axes replace or make, those with problems included."""
        return {name for name in self._providers if name in settings()}

    @property
    def judged(self) -> bool:
        """Whether designs have the section `accuracy`."""
        varies = any(steps(path)[0] == "accuracy" for path in self.varying)
        return varies or self.sweep.design.get("accuracy") is not None

    @property
    def _results(self) -> Mapping[str, Kind]:
        return {**result_kinds(judged=self.judged), **self._measures}

    @property
    def kinds(self) -> dict[str, Kind]:
        """The names that conditions on a design may use."""
        found = {path: setting.kind for path, setting in settings().items() if setting.kind is not None}
        return found | dict.fromkeys(self._choices, "text")

    def is_result(self, name: str) -> bool:
        """Whether a name in a constraint means a result; one that the design itself sets (the clock) does not."""
        return name in self._results and name not in self._providers and get(self.sweep.design, name, None) is None

    def condition(self, text: str, place: KeyPath) -> Condition | None:
        """A condition on settings; None and a problem where it makes no sense."""
        return self._read(text, place, self.kinds, "truth")

    def result_condition(self, text: str, place: KeyPath) -> Condition | None:
        """A constraint, which may name results too: those are neither among its columns nor its constants."""
        return self._of_results(text, place, "truth")

    def measure(self, name: str, text: str) -> Condition | None:
        """An expression that gives a result column of its own, which conditions and measures after it may name."""
        place = ("measures", name)
        if not _is_free(name):
            self.problems.add(place, "expected a name of one word, which no setting or result has")
            return None
        found = self._of_results(text, place, "number")
        self._measures[name] = "number"
        return found

    def _of_results(self, text: str, place: KeyPath, expected: Kind) -> Condition | None:
        if not self.judged and any(re.search(rf"\b{name}\b", text) for name in ACCURACY):
            self.problems.add(place, f"{shown(text)}: {NOT_JUDGED}")
            return None
        results = {name: kind for name, kind in self._results.items() if self.is_result(name)}
        return self._read(text, place, self.kinds, expected, results)

    def column(self, name: str) -> Column | None:
        """The column of an axis, a setting that varies, or a part of such a one; None for what is constant.

        Raises ConfigError for a name with problems of its own, or one that depends on itself.
        """
        if name in self.columns:
            return self.columns[name]
        provider = self._providers.get(name)
        if provider is None:
            return self._part(name)
        if provider in self._building:
            circle = " -> ".join((*self._building[self._building.index(provider) :], provider))
            raise ConfigError(f"depends on itself ({circle}), expected no circle")
        if provider not in self._failed:
            self._building.append(provider)
            try:
                self._build(provider, self.sweep.axes[provider])
            except _ConsequenceError:
                pass
            except ConfigError as error:
                self.problems.add(("axes", provider), error)
            finally:
                self._building.pop()
        if name not in self.columns:
            self._failed.add(provider)
            raise _ConsequenceError
        return self.columns[name]

    def _find_settings(self, name: str, axis: AxisField) -> None:
        """Note which axis a path is varied by; two axes for one path are a problem."""
        if name in self.broken:
            self._find_broken(name)
            return
        if axis.choices is None:
            if known_setting(name, ("axes", name), self.problems) is not None:
                self._provide(name, name, ("axes", name))
            return
        if not _is_free(name) or name in self.sweep.measures:
            self.problems.add(("axes", name), "expected a name of one word for choices, which no setting or result has")
            return
        self._choices[name] = choices(name, axis, self.problems)
        self._provide(name, name, ("axes", name))
        for choice, made in self._choices[name].items():
            for path in made:
                if self._providers.get(path) != name:
                    self._provide(path, name, ("axes", name, "choices", choice, path))

    def _find_broken(self, name: str) -> None:
        """Note what an axis varies whose values are not known, so that nobody misses it."""
        written = self.problems.document.data["axes"][name]
        made = written.get("choices") if isinstance(written, dict) else None
        if isinstance(made, dict) or name not in settings():
            self._choices[name] = {}
        self._providers.setdefault(name, name)
        for choice in made.values() if isinstance(made, dict) else ():
            for path in choice if isinstance(choice, dict) else ():
                self._providers.setdefault(path, name)

    def _provide(self, path: str, axis: str, place: KeyPath) -> None:
        if path in self._providers:
            self.problems.add(place, f"also varied by axis {self._providers[path]}, expected one axis for it")
        else:
            self._providers[path] = axis

    def _refuse_overlaps(self) -> None:
        for path, axis in self._providers.items():
            for outer in outer_paths(path):
                if outer in self._providers:
                    self.problems.add(
                        ("axes", axis), f"{path} is a part of {outer}, which varies too; expected one of both"
                    )

    def _build(self, name: str, axis: AxisField) -> None:
        if name in self.broken:
            raise _ConsequenceError
        if axis.same_as is not None:
            self._follow(name, axis.same_as)
        elif axis.value is not None:
            self._compute(name, axis.value)
        elif axis.choices is not None:
            self._choose(name, axis)
        else:
            setting = settings()[name]
            found = axis_values(name, axis, setting, self.problems)
            self.places[name] = [place for _, place in found]
            if found:
                self._number(name, axis, [value for value, _ in found], setting)

    def _number(self, name: str, axis: AxisField, values: list[Any], setting: Setting) -> None:
        """An axis of its own codes; where it has a condition, the design's own value is one of them."""
        count, rest, applies = len(values), 0, None
        if axis.when is not None:
            applies = self._switch(name, axis.when)
            own = self._own(name, setting)
            meanings = [setting.meaning(value) for value in values]
            if own.meaning in meanings:
                rest = meanings.index(own.meaning)
            else:
                rest, values = count, [*values, own.value]
        self._numbered.append(NumberedAxis(name, count, applies, rest))
        self.columns[name] = Column(name, tuple(values), _labels(setting, values), {name: len(values)})

    def _choose(self, name: str, axis: AxisField) -> None:
        """An axis of names, and a column for each setting that they make; without a name nothing is made."""
        made, names = self._choices[name], list(axis.choices or {})
        self.places[name] = [("axes", name, "choices", choice) for choice in names]
        applies = None if axis.when is None else self._switch(name, axis.when)
        labels = names if applies is None else [*names, "none"]
        self._numbered.append(NumberedAxis(name, len(names), applies, 0 if applies is None else len(names)))
        sources = {name: len(labels)}
        self.columns[name] = Column(name, tuple(labels), np.array(labels), sources, is_setting=False)
        for path in dict.fromkeys(path for values in made.values() for path in values):
            if self._providers[path] != name:
                continue
            setting = settings()[path]
            own = self._own(path, setting).value if any(path not in made.get(label, {}) for label in labels) else None
            values = [made.get(label, {}).get(path, own) for label in labels]
            self.columns[path] = Column(
                path, tuple(values), _labels(setting, values), sources, np.arange(len(labels), dtype=np.int32)
            )

    def _switch(self, name: str, text: str) -> Condition | None:
        condition = self.condition(text, ("axes", name, "when"))
        if condition is None:
            raise _ConsequenceError
        self._controls |= condition.sources.keys()
        return condition

    def _own(self, path: str, setting: Setting) -> "_Own":
        """What the design says without axes; ConfigError where nothing can stand there."""
        value = get(self.sweep.design, path, setting.default)
        try:
            return _Own(value, setting.meaning(value))
        except ValueError as error:
            raise ConfigError(f"the design's own {path} is needed where this does not apply: {error}") from error

    def _follow(self, name: str, other: str) -> None:
        """A setting that is whatever another one is."""
        setting = settings()[name]
        known = self.kinds | dict.fromkeys(self._providers, "text")
        if other not in known:
            self._read(other, ("axes", name, "same_as"), self.kinds, "text")  # says which name is nearest
            return
        column = self.column(other)
        if column is None:
            values: tuple[Any, ...] = (get(self.sweep.design, other, settings()[other].default),)
            column = Column(other, values, np.zeros(1), {}, np.zeros(1, np.int32))
        table = np.arange(len(column.values), dtype=np.int32) if column.table is None else column.table
        read = [_fitting(value, setting, f"what {other} is") for value in column.values]
        self.columns[name] = Column(name, tuple(read), _labels(setting, read), column.sources, table)

    def _compute(self, name: str, text: str) -> None:
        """A setting that an expression of others gives, for all combinations of the axes that these depend on."""
        setting = settings()[name]
        if setting.kind is None:
            raise ConfigError(f"{name} is a mapping, expected the path of one of its settings")
        condition = self._read(text, ("axes", name, "value"), self.kinds, setting.kind)
        if condition is None:
            return
        found = combinations(condition.sources)
        total = math.prod(condition.sources.values())
        env = {**condition.constants, **named(condition.columns, found)}
        results = np.broadcast_to(condition.expression(env), total)
        labels, first, table = np.unique(results, return_index=True, return_inverse=True)
        written = dict(_written(condition.columns.values()))
        values = []
        for label, row in zip(labels.tolist(), first, strict=True):
            used = ", ".join(f"{source} {shown(column[row].item())}" for source, column in env.items() if column.ndim)
            value = _whole(label) if setting.kind == "number" else written.get(label, label)
            values.append(_fitting(value, setting, f"{text}, with {used}" if used else text))
        self.columns[name] = Column(
            name, tuple(values), _labels(setting, values), condition.sources, table.reshape(total).astype(np.int32)
        )

    def _part(self, name: str) -> Column | None:
        """A setting inside a mapping that varies as a whole."""
        for outer in outer_paths(name):
            if outer in self._providers and (whole := self.column(outer)) is not None:
                setting, inner = settings()[name], name.removeprefix(f"{outer}.")
                values = [get(value or {}, inner, setting.default) for value in whole.values]
                table = np.arange(len(values), dtype=np.int32) if whole.table is None else whole.table
                return Column(name, tuple(values), _labels(setting, values), whole.sources, table, is_setting=False)
        return None

    def _read(
        self, text: str, place: KeyPath, kinds: Mapping[str, Kind], expected: Kind, results: Mapping[str, Kind] = _NONE
    ) -> Condition | None:
        try:
            expression = compile_expression(text, {**kinds, **results}, expected)
            found = {name: self.column(name) for name in expression.names if name not in results}
        except _ConsequenceError:
            return None
        except ConfigError as error:
            self.problems.add(place, f"{shown(text)}: {error}")
            return None
        columns = {name: column for name, column in found.items() if column is not None}
        constants = {name: self._constant(name) for name, column in found.items() if column is None}
        return Condition(expression, columns, constants)

    def _constant(self, name: str) -> Values:
        setting = settings()[name]
        try:
            return np.asarray(setting.label(setting.read(get(self.sweep.design, name, setting.default))))
        except ValueError:  # Nothing said, or a mistake that is reported where it stands.
            return np.asarray({"number": math.nan, "text": "none", "truth": False}[setting.kind or "text"])


def _is_free(name: str) -> bool:
    """Whether it is one word and means nothing yet."""
    taken = settings().keys() | result_kinds(judged=True).keys() | {"true", "false"}
    return name.isidentifier() and not iskeyword(name) and name not in taken


def _labels(setting: Setting, values: Iterable[Any]) -> Values:
    kinds = {"number": np.float64, "truth": np.bool_}
    return np.array([setting.label(value) for value in values], kinds.get(setting.kind or "text", np.str_))


def _fitting(value: Any, setting: Setting, origin: str) -> Any:
    """A value that follows from others; ConfigError where it cannot stand here."""
    try:
        return setting.read(value)
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}") from error


def _written(columns: Iterable[Column]) -> Iterable[tuple[str, Any]]:
    """Texts of expressions with what the YAML says for them: the name of a composed format with its declaration."""
    for column in columns:
        if column.labels.dtype.kind == "U":
            yield from zip(column.labels.tolist(), column.values, strict=True)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number
