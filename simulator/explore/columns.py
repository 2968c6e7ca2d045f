"""From the codes of designs to their result columns: every distinct part is looked up once, the rest is arithmetic.

A design's settings fall into sections, the keys of its YAML that are read together: the unit, the array, a memory. Each
distinct section is validated once, and each distinct combination of the sections that a piece of a machine depends on
is looked up once, through the functions that `simulator.evaluate` uses too. Designs then gather rows of these pieces.
"""

import math
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import create_model

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.accelerator import lookup
from densimeter.hwmodels.accelerator.cost import BUFFERS, PARTS, Column
from densimeter.hwmodels.accelerator.evaluation import Results, demand_row, results
from densimeter.hwmodels.accelerator.lookup import Gathered, Row
from densimeter.hwmodels.accelerator.machine import Buffers, Machine, Storage
from densimeter.hwmodels.accelerator.performance import MACHINE, total_costs
from densimeter.hwmodels.gemm import Workload
from densimeter.simulator.design import buffers_of, machine_of, storage_of, stored_workload, workload_of
from densimeter.simulator.design_accuracy import FIGURES, Trial, trial_of
from densimeter.simulator.explore.judging import Figures
from densimeter.simulator.explore.memo import Integers, Slots, interned
from densimeter.simulator.explore.stages import Batch, Refusal, Stage
from densimeter.simulator.schema.design import DesignPoint
from densimeter.simulator.schema.document import Document, validate
from densimeter.simulator.schema.fields import StrictModel, UnitField

Columns = dict[str, Column]

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "unit": tuple(UnitField.model_fields),
    **{name: (name,) for name in DesignPoint.model_fields if name not in UnitField.model_fields},
}
"""The keys of a design point that are validated together."""

# Compiled loops that run on several threads must not be entered by several threads.
_TURN = threading.Lock()
_MODELS: Mapping[str, type[StrictModel]] = {
    "unit": UnitField,
    **{
        name: create_model(name, __base__=StrictModel, **{name: (field.annotation, field)})  # type: ignore[call-overload]
        for name, field in DesignPoint.model_fields.items()
        if name not in UnitField.model_fields
    },
}
# The pieces of a machine that depend on whole sections, and on which.
# Buffers and converters are resolved on their own.
_PIECES: Mapping[str, tuple[Callable[[Machine], Row], tuple[str, ...]]] = {
    "array": (lookup.array_piece, ("array",)),
    "vector": (lookup.vector_piece, ("array", "vector_lanes")),
    "capacities": (lookup.capacities_piece, ("buffers",)),
    "overlap": (lookup.overlap_piece, ("overlap",)),
    "dram": (lookup.dram_piece, ("dram",)),
    "unit": (lookup.unit_piece, ("unit", "node_nm", "clock_mhz", "synthesize")),
}


# Settings of a section whose codes a memo packs into one integer; of more it is given one that stands for all of them.
_MOST_PACKED = 12
# What trials depend on; hardware is no part of it.
_OF_TRIALS = ("unit", "storage", "accuracy")
_FIGURES = np.dtype([(name, np.float64) for name in FIGURES])


class Coded(Protocol):
    """Designs by codes, as `explore.space.Space` has them."""

    @property
    def settings(self) -> Sequence[str]:
        """Dotted paths of the settings that vary."""

    @property
    def judged(self) -> bool:
        """Whether designs have the section `accuracy`."""

    @property
    def layered(self) -> bool:
        """Whether some layers of the model have formats of their own."""

    def design_of(self, codes: Mapping[str, int]) -> dict[str, Any]:
        """The design point with these codes."""


@dataclass(frozen=True)
class Evaluated:
    """Result columns of the designs in `rows`, by number; all others are counted in `refusals`, by what cannot be.

    Columns are the totals of `accelerator.evaluation.results`, areas_mm2.* and energies_j.* by component, and the
    figures of `design_accuracy` where designs are judged.
    """

    rows: Slots
    columns: Columns
    refusals: dict[str, Refusal]


class Evaluator:
    """Evaluates designs of one space; what it has looked up it keeps. Threads take turns."""

    def __init__(self, space: Coded, accuracies: Mapping[str, Figures] | None = None) -> None:
        """accuracies: the figures of trials by key; a trial that it lacks as its designs are evaluated has none."""
        self._space = space
        self._accuracies = {} if accuracies is None else accuracies
        self._trials = Stage[Trial]("trial", "accuracy")
        self._figures = Stage[tuple[float, ...]]("figures", "accuracy")
        self._settings = {
            section: [path for path in space.settings if path.split(".")[0] in keys]
            for section, keys in SECTIONS.items()
        }
        self._sections = {name: Stage[StrictModel](f"section {name}", name) for name in SECTIONS}
        self._bytes = Stage[Buffers]("bytes", "buffers")
        self._workloads = Stage[Workload]("workload")
        self._stored = Stage[tuple[Workload, Storage]]("stored", "layers")
        self._pieces = {name: Stage[Row](name) for name in lookup.PIECES}
        self._products = Stage[NDArray[np.void]]("products")
        self._demands = Stage[NDArray[np.void]]("demands")
        self._small: dict[str, dict[Hashable, int]] = {name: {} for name in ("elements", "bytes")}

    def evaluate(self, codes: Mapping[str, Integers], count: int) -> Evaluated:
        """`count` designs, with a column of codes for each setting of the space."""
        with _TURN:
            batch = Batch(codes, np.arange(count))
            self._resolve(batch)
            if not len(batch.rows):
                return Evaluated(batch.rows, {}, batch.refusals)
            machines = lookup.machine_rows(self._gathered(batch, MACHINE))
            costs = self._costs(batch, machines)
            unfit = costs["infeasible_products"] > 0
            batch.refuse("tiling", unfit, lambda _: "half a buffer does not hold one fold of a product on this array")
            if unfit.any():
                machines, costs = (rows.take(np.flatnonzero(~unfit)) for rows in (machines, costs))
            return Evaluated(batch.rows, self._results(batch, machines, costs), batch.refusals)

    def trials(self, codes: Mapping[str, Integers], count: int) -> list[Trial]:
        """The distinct trials of these designs, with codes as in `evaluate`, whether they can be built or not."""
        with _TURN:
            batch = Batch(codes, np.arange(count))
            self._resolve_sections(batch, _OF_TRIALS)
            self._resolve_trials(batch)
            return [self._trials.at(slot) for slot in np.unique(batch.slots["trial"]).tolist()]

    def _resolve_sections(self, batch: Batch, sections: Iterable[str]) -> None:
        for section in sections:
            codes = [batch.codes[path][batch.rows] for path in self._settings[section]]
            if len(codes) > _MOST_PACKED:
                known = self._small.setdefault(f"section {section}", {})
                codes = [interned(map(tuple, np.stack(codes, axis=1).tolist()), known)]
            self._sections[section].resolve(
                batch, codes or [np.zeros(len(batch.rows), np.intp)], partial(self._section, batch, section)
            )

    def _resolve_trials(self, batch: Batch) -> None:
        self._trials.resolve(
            batch, self._keys(batch, *_OF_TRIALS), lambda place: trial_of(self._point(batch, place, _OF_TRIALS))
        )

    def _resolve(self, batch: Batch) -> None:
        self._resolve_sections(batch, self._sections)
        if self._space.judged:
            self._resolve_trials(batch)
            self._figures.resolve(batch, [batch.slots["trial"]], partial(self._judged, batch))
        self._bytes.resolve(
            batch, self._keys(batch, "buffers"), lambda place: buffers_of(self._point(batch, place).buffers)
        )
        self._workloads.resolve(
            batch, self._keys(batch, "workload"), lambda place: workload_of(self._point(batch, place).workload)
        )
        for name, (piece, sections) in _PIECES.items():
            self._resolve_piece(batch, name, piece, self._keys(batch, *sections))
        if not len(batch.rows):
            return
        self._stored.resolve(batch, self._keys(batch, "unit", "storage", "workload"), partial(self._placed, batch))
        stored = [batch.slots["stored"]] if self._space.layered else self._keys(batch, "unit", "storage")
        self._pieces["converters"].resolve(
            batch, [*stored, *self._keys(batch, "node_nm")], partial(self._converters, batch)
        )
        for name in BUFFERS:
            keys = [*self._port_and_bytes(batch, name), batch.slots["unit"], *self._keys(batch, "sram_cells")]
            self._resolve_piece(batch, f"{name}_buffer", partial(lookup.buffer_piece, name=name), keys)
        self._products.resolve(batch, [batch.slots["stored"]], partial(self._product, batch))
        self._demands.resolve(batch, [batch.slots["stored"], *self._keys(batch, "dram")], partial(self._demand, batch))

    def _keys(self, batch: Batch, *sections: str) -> list[Slots]:
        return [batch.slots[f"section {section}"] for section in sections]

    def _resolve_piece(self, batch: Batch, name: str, piece: Callable[[Machine], Row], keys: Sequence[Slots]) -> None:
        self._pieces[name].resolve(batch, keys, lambda place: piece(machine_of(self._point(batch, place))))

    def _section(self, batch: Batch, section: str, place: int) -> StrictModel:
        """Validate a section as it stands in one of the designs that have it."""
        row = batch.rows[place]
        design = self._space.design_of({path: int(codes[row]) for path, codes in batch.codes.items()})
        written = {key: design[key] for key in SECTIONS[section] if key in design}
        return validate(Document("design point", written, {}), _MODELS[section])

    def _point(self, batch: Batch, place: int, sections: Iterable[str] = SECTIONS) -> DesignPoint:
        """A design put together from sections, each of which is valid."""
        found = [self._sections[section].of(batch, place) for section in sections]
        return DesignPoint.model_construct(**{key: value for section in found for key, value in section})

    def _judged(self, batch: Batch, place: int) -> tuple[float, ...]:
        found = self._accuracies.get(self._trials.of(batch, place).key, (math.nan,) * len(FIGURES))
        if isinstance(found, str):
            raise ConfigError(found)
        return found

    def _placed(self, batch: Batch, place: int) -> tuple[Workload, Storage]:
        return stored_workload(self._point(batch, place), self._workloads.of(batch, place))

    def _converters(self, batch: Batch, place: int) -> Row:
        point = self._point(batch, place)
        storage = self._stored.of(batch, place)[1] if self._space.layered else storage_of(point)
        return lookup.converters_piece(machine_of(point), storage)

    def _product(self, batch: Batch, place: int) -> NDArray[np.void]:
        return lookup.product_rows(*self._stored.of(batch, place), self._point(batch, place).datapath())

    def _demand(self, batch: Batch, place: int) -> NDArray[np.void]:
        return demand_row(machine_of(self._point(batch, place)), *self._stored.of(batch, place))

    def _port_and_bytes(self, batch: Batch, name: str) -> tuple[Slots, Slots]:
        """Of a buffer, small integers that stand for the elements at its port and for its size."""

        def elements(arrays: Sequence[Row]) -> Slots:
            return interned((lookup.port_elements(array, name) for array in arrays), self._small["elements"])

        def sizes(capacities: Sequence[Row]) -> Slots:
            return interned((row[f"{name}_capacity_bits"] for row in capacities), self._small["bytes"])

        return (
            self._pieces["array"].table(f"{name} port", elements)[batch.slots["array"]],
            self._pieces["capacities"].table(f"{name} bytes", sizes)[batch.slots["capacities"]],
        )

    def _costs(self, batch: Batch, machines: NDArray[np.void]) -> NDArray[np.void]:
        counts = self._products.table("counts", lambda found: np.array([len(products) for products in found], np.int64))
        slots = batch.slots["products"]
        first = np.cumsum(counts) - counts
        return total_costs(machines, np.concatenate(self._products.accepted), first[slots], counts[slots])

    def _results(self, batch: Batch, machines: NDArray[np.void], costs: NDArray[np.void]) -> Columns:
        parts = lookup.parts_rows(self._gathered(batch, PARTS))
        demands = self._demands.table("rows", np.concatenate)[batch.slots["demands"]]
        found = dict(_named(results(machines, parts, costs, demands)))
        if self._space.judged:
            rows = self._figures.table("rows", lambda figures: np.array(figures, _FIGURES))[batch.slots["figures"]]
            found |= {name: rows[name] for name in FIGURES}
        return found

    def _gathered(self, batch: Batch, row: np.dtype[np.void]) -> dict[str, Gathered]:
        """The pieces that have fields of such a row."""
        return {
            name: (stage.table("rows", partial(lookup.table, name)), batch.slots[name])
            for name, stage in self._pieces.items()
            if set(lookup.PIECES[name].names or ()) & {*(row.names or ()), "dram_bits_per_us"}
        }


def _named(found: Results) -> Iterator[tuple[str, Column]]:
    yield from found.totals.items()
    yield from ((f"areas_mm2.{name}", column) for name, column in found.areas_mm2.items())
    yield from ((f"energies_j.{name}", column * 1e-12) for name, column in found.energies_pj.items())
