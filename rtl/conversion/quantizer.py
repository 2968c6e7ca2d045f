"""Quantisers in Verilog: floats to the codes and the scale code of a block format.

The circuit of `formats.reference.quantize_block`: shared exponents with or without microexponents, float scales with or
without a zero point, and codebooks; a block a cycle, or in two passes over a longer one.
"""

import math

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
from densimeter.rtl.conversion.affine import Affine
from densimeter.rtl.conversion.division import Division
from densimeter.rtl.conversion.floats import LARGEST_LANES, ROUNDINGS, check_lanes, convert_module, describe, identifier
from densimeter.rtl.conversion.lanes import Lanes
from densimeter.rtl.conversion.levels import Levels
from densimeter.rtl.conversion.shared_exponent import SharedExponent
from densimeter.rtl.module import EmittedModule

_LANES_OF_A_ROW = 16
_LARGEST_AFFINE_BITS = 15


def emit_converter(source: BlockFormat, target: BlockFormat, lanes: int | None = None) -> EmittedModule:
    """The Verilog that quantises `source` values (float32, bfloat16, float16: a float element alone) to `target`.

    One block a cycle where `lanes` is its count of values, the default up to 256. A longer one, a whole row or tensor
    comes `lanes` values (default 16) a cycle and twice: with `measure`, the first of them with `clear`, and then to be
    converted. Without a block scale, `lanes` values (default 1), each by itself.

    Ports: clk, en, value, tensor_scale (where the format has one), code, scale (where there is one), invalid (where the
    format refuses NaN: one was among the values, and was taken for zero). Raises FormatError for what has no such
    circuit, with the reason.
    """
    element = _source_element(source)
    _check_target(target)
    if isinstance(target.scale, AffineScale):
        _check_affine(target, target.scale, element)
    count = quantizer_lanes(target, lanes)
    converter = _body(target)(element, target, count)
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


def _body(target: BlockFormat) -> type[Lanes]:
    """The kind of circuit."""
    if isinstance(target.element, CodebookElement):
        return Levels
    if isinstance(target.scale, AffineScale):
        return Affine
    return Division if isinstance(target.scale, FloatScale) else SharedExponent


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
        what = (
            f"needs the scales of {scale.block} blocks at once ({scale.notation}); convert to the format with float32 "
            "scales, and quantise those later"
        )
    elif isinstance(scale, AffineScale) and scale.has_minimum:
        what = (
            f"subtracts the minimum of a block from every value in float32 ({scale.notation}), of which there is no "
            "circuit; take an integer as zero point"
        )
    elif isinstance(target.element, CodebookElement) and isinstance(scale, PowerOfTwoScale):
        what = (
            f"has levels under a shared exponent ({scale.notation}), of which there is no circuit; take a float scale"
        )
    elif isinstance(scale, FloatScale) and scale.anchor == "signed":
        what = (
            f"divides by the value of largest magnitude with its sign ({scale.notation}), and there is no such search"
        )
    elif isinstance(scale, FloatScale | AffineScale) and not _is_encoded(scale.element):
        what = f"has scales ({scale.element.notation}) of which there is no encoder"
    elif target.rounding not in ROUNDINGS:
        what = "rounds at random, and there is no source of random numbers"
    elif target.quirks != Quirks():
        what = "follows the quirks of published code, of which there is no circuit"
    else:
        return
    raise FormatError(f"{target.name} has no converter: it {what}")


def _is_encoded(element: FloatElement | PowerOfTwoScale) -> bool:
    """Whether a scale can be rounded to that."""
    return isinstance(element, PowerOfTwoScale) or (element.hidden_bit and element.specials != "fnuz")


def _check_affine(target: BlockFormat, scale: AffineScale, source: FloatElement) -> None:
    bits, most = max(target.element.bits, scale.zero.bits), _LARGEST_AFFINE_BITS
    if bits > most:
        raise FormatError(f"{target.name} has no converter: it has {bits} bits, expected {most} or less")
    if source.has_infinity and not target.nan_block:
        raise FormatError(
            f"{target.name} has no converter from floats with an Inf: it takes that for the largest float32 number; "
            "let it make its block NaN (specials block, and a scale with a NaN)"
        )


def quantizer_lanes(target: BlockFormat, lanes: int | None) -> int:
    """Values that a converter to `target` takes in a cycle; FormatError for a count that it cannot."""
    values = target.block_values if target.scale else 1
    if lanes is not None:
        count = lanes
    elif values is None:
        count = _LANES_OF_A_ROW
    else:
        count = values if values <= LARGEST_LANES else math.gcd(values, _LANES_OF_A_ROW)
    check_lanes(count)
    whole = isinstance(target.scale, PowerOfTwoScale) and target.scale.microexponents > 0
    if target.scale is not None and values is not None and (values % count or (whole and count != values)):
        expected = f"{values}, for its microexponents" if whole else f"a divisor of the block, {values}"
        raise FormatError(f"{target.name}: lanes is {count}, expected {expected}")
    return count
