"""`densimeter rtl emit`: the Verilog of a unit, of a systolic array of units, or of a converter on their way."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densimeter.formats import ConfigError, resolve
from densimeter.simulator.commands.output import console, shown_path
from densimeter.simulator.commands.rtl import (
    AccumulatorName,
    Activation,
    Cols,
    DataflowName,
    DoubleBuffered,
    Lanes,
    Pipeline,
    Rows,
    Weight,
    unit_of,
)

if TYPE_CHECKING:
    from densimeter.rtl.module import EmittedModule


class Part(StrEnum):
    """What can be emitted."""

    UNIT = "unit"
    ARRAY = "array"
    CONVERTER = "converter"
    DEQUANTIZER = "dequantizer"
    OUTPUT_CONVERTER = "output_converter"


def rtl_emit(
    activation: Activation,
    weight: Weight = None,
    lanes: Lanes = None,
    accumulator: AccumulatorName = "fp32",
    pipeline: Pipeline = 0,
    part: Annotated[
        Part,
        typer.Option(
            help="unit; array of units; converter: floats to the activation's codes; dequantizer: the weight's to "
            "floats; output_converter: the accumulator to float32."
        ),
    ] = Part.UNIT,
    floats: Annotated[
        str | None, typer.Option(help="What converters take and dequantizers give: float32, bfloat16 or float16.")
    ] = None,
    rows: Rows = None,
    cols: Cols = None,
    dataflow: DataflowName = "output_stationary",
    double_buffered: DoubleBuffered = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for MODULE.v; default: print.")] = None,
) -> None:
    """Write a unit, an array or a converter as one self-contained Verilog file."""
    from densimeter.formats.files import write_text
    from densimeter.rtl.emit import emit

    if (part is Part.ARRAY) != (rows is not None and cols is not None):
        raise ConfigError("--rows and --cols go with --part array, which needs both")
    if double_buffered and part is not Part.ARRAY:
        raise ConfigError("--double-buffered goes with --part array")
    if pipeline and part is not Part.UNIT:
        raise ConfigError("--pipeline goes with --part unit; arrays are made of single-cycle units")
    if floats is not None and part not in (Part.CONVERTER, Part.DEQUANTIZER):
        raise ConfigError("--floats goes with --part converter or --part dequantizer")
    if part is Part.UNIT:
        module = emit(unit_of(activation, weight, lanes, accumulator), pipeline)
    else:
        shape = (rows, cols, dataflow, double_buffered)
        module = _emit(part, activation, weight, lanes, accumulator, floats or "float32", shape)
    if output is None:
        typer.echo(module.text)
        return
    path = output / f"{module.name}.v"
    write_text(path, module.text)
    console.print(f"wrote {shown_path(path)}")


def _emit(
    part: Part,
    activation: str,
    weight: str | None,
    lanes: int | None,
    accumulator: str,
    floats: str,
    shape: tuple[int | None, int | None, str, bool],
) -> "EmittedModule":
    from densimeter.rtl.conversion.dequantizer import emit_dequantizer, emit_output_converter
    from densimeter.rtl.conversion.quantizer import emit_converter

    if part is Part.CONVERTER:
        return emit_converter(resolve(floats), resolve(activation), lanes)
    if part is Part.DEQUANTIZER:
        return emit_dequantizer(resolve(weight or activation), floats, lanes)  # type: ignore[arg-type]
    datapath = unit_of(activation, weight, lanes, accumulator)
    if part is Part.OUTPUT_CONVERTER:
        return emit_output_converter(datapath)
    from densimeter.rtl.array import SystolicArray, emit_array

    rows, cols, dataflow, double_buffered = shape
    return emit_array(SystolicArray(datapath, rows or 0, cols or 0, dataflow, double_buffered))  # type: ignore[arg-type]
