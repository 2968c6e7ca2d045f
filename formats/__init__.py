"""Floor 0: what a number format is. Elements, scales, blocks, accumulators, the catalog, and the exact reference."""

from densimeter.formats.accumulator import (
    Accumulator,
    AlignedAccumulator,
    FixedAccumulator,
    Fp32Accumulator,
    IntAccumulator,
    parse_accumulator,
)
from densimeter.formats.block import BlockFormat, Quirks
from densimeter.formats.catalog import get, names, parse, resolve
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.datapath import Datapath, default_lanes, derive
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.errors import (
    ConfigError,
    DensimeterError,
    FormatError,
    ModelRangeError,
    ToolError,
)
from densimeter.formats.notation import declaration
from densimeter.formats.rounding import Rounding
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale, Scale

__all__ = [
    "Accumulator",
    "AffineScale",
    "AlignedAccumulator",
    "BlockFormat",
    "CodebookElement",
    "ConfigError",
    "Datapath",
    "DensimeterError",
    "DoubleScale",
    "Element",
    "FixedAccumulator",
    "FloatElement",
    "FloatScale",
    "FormatError",
    "Fp32Accumulator",
    "IntAccumulator",
    "IntElement",
    "LogElement",
    "ModelRangeError",
    "PowerOfTwoScale",
    "Quirks",
    "Rounding",
    "Scale",
    "ToolError",
    "declaration",
    "default_lanes",
    "derive",
    "get",
    "names",
    "parse",
    "parse_accumulator",
    "resolve",
]
