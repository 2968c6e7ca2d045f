"""What stands around a dot-product unit and what it costs: circuits that convert between two formats.

No model is fitted to converters: they are on record, or they are synthesised (seconds each).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, ModelRangeError
from densimeter.hwmodels.characterization.characterize import characterize, identify
from densimeter.hwmodels.characterization.pool import DRAWING
from densimeter.hwmodels.characterization.record import EnergyRecord, Record
from densimeter.hwmodels.characterization.store import EnergyStore, Store, user_cache
from densimeter.hwmodels.energy import (
    OUTPUTS,
    PRODUCTS,
    TOKENS,
    energy_identity,
    energy_record,
    measure_words,
)
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.mac import CELL_FLOW
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.cells.power import PowerResult
from densimeter.rtl.conversion.dequantizer import Target, emit_dequantizer
from densimeter.rtl.conversion.quantizer import emit_converter, quantizer_lanes
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.synthesize import CellResult


@dataclass(frozen=True)
class Conversion:
    """A circuit that takes in `lanes` values of `source` a cycle and holds them as `target` in a register.

    From a narrow format to float32, bfloat16 or float16 it is a dequantiser, else a quantiser of floats. `lanes` of
    None is one block; of rows, 16 values to quantise and one to dequantise; to quantise blocks of more than 256, 16;
    one value where there is no scale.
    """

    source: BlockFormat
    target: BlockFormat
    lanes: int | None = None

    @property
    def dequantizes(self) -> bool:
        wide = get_args(Target)
        return self.target.name in wide and self.source.name not in wide

    @cached_property
    def module(self) -> EmittedModule:
        """Its Verilog; FormatError, with the reason, where there is no such circuit."""
        if self.dequantizes:
            return emit_dequantizer(self.source, cast(Target, self.target.name), self.lanes)
        return emit_converter(self.source, self.target, self.lanes)

    @property
    def values(self) -> int:
        """Values taken in a cycle."""
        if self.dequantizes:
            return self.lanes or self.source.block_values or 1
        return quantizer_lanes(self.target, self.lanes)

    @property
    def passes(self) -> int:
        """How often each value is taken in: twice to quantise blocks longer than `values`, whose last value may decide
        their scale."""
        one = self.dequantizes or self.target.scale is None or self.target.block_values == self.values
        return 1 if one else 2

    def key(self, library: Library) -> str:
        """The address of its record."""
        return identify(self.module.text, self.module.name, CELL_FLOW, library).key

    def record(self, library: Library, *, fresh: bool = False) -> Record:
        """Its synthesis result, on record or made now; ToolError where a synthesis is needed and cannot be had."""
        return characterize(self.module.text, self.module.name, CELL_FLOW, library, unit=self.told, fresh=fresh)

    @property
    def told(self) -> Mapping[str, str | int]:
        """It in a reader's words, as records keep it."""
        return {"source": self.source.name, "target": self.target.name, "lanes": self.values}


@dataclass(frozen=True)
class ConversionFigures:
    """A converter in a cell library, before layout; its registers hold the result.

    values: converted in a cycle, on average over the passes that they take. energy_fj: dynamic energy of a cycle on a
    real model's numbers; it and leakage are None where nobody measured them.
    """

    values: float
    area_um2: Figure
    min_period_ns: Figure
    energy_fj: Figure | None
    leakage_nw: Figure | None
    flip_flops: int


@dataclass(frozen=True)
class Stream:
    """What a converter is given and must answer: words [cycles, bytes] of its input ports but clk, and of its outputs
    after each cycle."""

    words: Mapping[str, NDArray[np.uint8]]
    expected: Mapping[str, Sequence[int]]


CONVERSION_STIMULUS = f"minilm-l6-v2, {TOKENS} tokens, {OUTPUTS} rows of {PRODUCTS} values, seed 0, drawing 1"
"""The description of the stream behind a converter's energy: activations for quantisers, weights for dequantisers."""


def conversion_energy(
    conversion: Conversion, library: Library, draw: Callable[[], Stream], *, fresh: bool = False
) -> EnergyRecord:
    """The energy of a converter on `CONVERSION_STIMULUS`, which `draw` draws, looked up unless `fresh`, else measured.

    Raises ToolError where there is no record and a tool, the library or the stimulus is missing, or where the netlist
    answers otherwise than expected.
    """
    module = conversion.module

    def measured() -> PowerResult:
        with DRAWING:
            stream = draw()
        return measure_words(module.text, module.name, CELL_FLOW, library, stream.words, stream.expected)

    told = {**conversion.told, "stimulus": CONVERSION_STIMULUS}
    return energy_record(module, CELL_FLOW, library, told, measured, fresh=fresh)


def recorded_conversion_energy(conversion: Conversion, library: Library) -> EnergyRecord | None:
    """The converter's energy, where it is on record."""
    identity = energy_identity(conversion.module, CELL_FLOW, library, CONVERSION_STIMULUS)
    return EnergyStore().lookup(identity.key)


def conversion_figures(
    source: BlockFormat,
    target: BlockFormat,
    lanes: int | None = None,
    library: str = "nangate45",
    *,
    synthesize: bool = False,
) -> ConversionFigures:
    """The cost of converting `lanes` values a cycle (default: one block) in a library, by name or path.

    From the records, or with `synthesize` from a synthesis, which is then recorded. Answers are remembered by the
    process. Raises FormatError for a pair without such a circuit, with the reason; ModelRangeError where there is no
    record; ConfigError for an unknown library; ToolError where a synthesis cannot be had.
    """
    return _figures(Conversion(source, target, lanes), library, synthesize, user_cache())


@lru_cache(maxsize=1024)
def _figures(conversion: Conversion, library_name: str, synthesize: bool, cache: Path) -> ConversionFigures:
    """`cache` decides, with what is shipped, which records there are."""
    library = find_library(library_name)
    record = conversion.record(library) if synthesize else Store().lookup(conversion.key(library))
    if record is None:
        raise ModelRangeError(
            f"no record of {conversion.module.name} in {library.name}, and no model of converters; synthesise it"
        )
    cells = cast(CellResult, record.result)
    power = recorded_conversion_energy(conversion, library)
    return ConversionFigures(
        values=conversion.values / conversion.passes,
        area_um2=Figure(cells.area_um2, 0.0, "synthesis"),
        min_period_ns=Figure(cells.min_period_ns, 0.0, "synthesis"),
        energy_fj=None if power is None else Figure(power.result.energy_fj, 0.0, "simulation"),
        leakage_nw=None if power is None else Figure(power.result.leakage_nw, 0.0, "simulation"),
        flip_flops=cells.flip_flops,
    )
