"""Quantisers in Verilog: floats to the codes and the scale code of a block format.

The circuit of `formats.reference.quantize_block`, for formats whose scale is a power of two or a float, or which have
none: a block a cycle, or where a block is a whole row, in two passes over it.
"""

from densimeter.formats import (
    AffineScale,
    BlockFormat,
    CodebookElement,
    DoubleScale,
    FloatElement,
    FloatScale,
    FormatError,
    PowerOfTwoScale,
    Quirks,
)
from densimeter.formats.element import FLOAT32
from densimeter.rtl.conversion.division import Division
from densimeter.rtl.conversion.floats import ROUNDINGS, check_lanes, convert_module, describe, identifier
from densimeter.rtl.conversion.shared_exponent import SharedExponent
from densimeter.rtl.module import EmittedModule

_LANES_OF_A_ROW = 16


def emit_converter(source: BlockFormat, target: BlockFormat, lanes: int | None = None) -> EmittedModule:
    """The Verilog that quantises `source` values (float32, bfloat16, float16: a float element alone) to `target`.

    One block a cycle: `lanes` is its count of values, the default. Where a block is a whole row or tensor, it comes
    `lanes` values (default 16) a cycle and twice: with `measure`, the first of them with `clear`, and then to be
    converted. Without a block scale, `lanes` values (default 1), each by itself.

    Ports: clk, en, value, tensor_scale (where the format has one), code, scale (where there is one), invalid (where the
    format refuses NaN: one was among the values, and was taken for zero). Raises FormatError for what has no such
    circuit, with the reason.
    """
    element = _source_element(source)
    _check_target(target)
    count = quantizer_lanes(target, lanes)
    body = Division if isinstance(target.scale, FloatScale) else SharedExponent
    converter = body(element, target, count)
    name = identifier("convert", source.name, target.name, f"x{count}")
    rounding = target.rounding.replace("_", " ")
    declared = [
        f"values:      {describe(source)}",
        f"codes:       {describe(target)}",
        f"lanes:       {count}",
        f"rounding:    {rounding}; what is too large {'overflows' if target.overflows_to_special else 'saturates'}",
        f"widths:      {converter.describe_widths()}",
    ]
    return convert_module(name, "Converter", declared, converter.ports(source), converter.steps())


def _source_element(source: BlockFormat) -> FloatElement:
    element = source.element
    if not (
        isinstance(element, FloatElement)
        and source.scale is None
        and element.hidden_bit
        and element.mantissa_bits
        and element.specials != "fnuz"
        and element.emax <= FLOAT32.emax
        and element.lsb_exponent >= FLOAT32.lsb_exponent
    ):
        raise FormatError(f"{source.name} cannot be converted from; expected floats alone: float32, bfloat16, float16")
    return element


def _check_target(target: BlockFormat) -> None:
    scale = target.scale
    if isinstance(scale, DoubleScale):
        what = f"needs the scales of {scale.block} blocks at once ({scale.notation})"
    elif isinstance(scale, AffineScale):
        what = f"finds the smallest and the largest value of a block ({scale.notation}), and there is no such search"
    elif isinstance(target.element, CodebookElement):
        what = f"searches the nearest of {len(target.element.levels)} levels, and there is no search"
    elif isinstance(scale, PowerOfTwoScale) and scale.microexponents:
        what = "finds an exponent of each part of a block, and there are no microexponents in the circuit"
    elif isinstance(scale, FloatScale) and scale.anchor == "signed":
        what = (
            f"divides by the value of largest magnitude with its sign ({scale.notation}), and there is no such search"
        )
    elif isinstance(scale, FloatScale) and not (scale.element.hidden_bit and scale.element.specials != "fnuz"):
        what = f"has scales ({scale.element.notation}) of which there is no encoder"
    elif target.rounding not in ROUNDINGS:
        what = "rounds at random, and there is no source of random numbers"
    elif target.quirks != Quirks():
        what = "follows the quirks of published code, of which there is no circuit"
    else:
        return
    raise FormatError(f"{target.name} has no converter: it {what}")


def quantizer_lanes(target: BlockFormat, lanes: int | None) -> int:
    """Values that a converter to `target` takes in a cycle; FormatError for a count that it cannot."""
    whole = target.block_values or (_LANES_OF_A_ROW if target.scale else 1)
    count = whole if lanes is None else lanes
    check_lanes(count)
    if target.scale is not None and target.block_values not in (None, count):
        raise FormatError(
            f"{target.name}: lanes is {count}, expected {target.block_values}: a converter takes a block in at once"
        )
    return count
