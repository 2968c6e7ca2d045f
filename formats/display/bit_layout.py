"""What the bits of one code and of one block are; changes when a reader should see another part of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from densimeter.formats.block import BlockFormat
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.display import palette
from densimeter.formats.display.svg import WIDTH, drawing, legend, rectangle, text
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.scale import AffineScale, DoubleScale, PowerOfTwoScale, Scale

_BIT_WIDTH, _BIT_HEIGHT = 30, 26
_BLOCK_TOP, _BLOCK_HEIGHT = 92, 26
_MOST_CELLS = 64
"""Values of a block that are drawn one by one; of more, the first ones and a rest."""
_LEGEND = 64
_SIGN, _EXPONENT, _MANTISSA, _WHOLE = palette.ORANGE, palette.SKY_BLUE, palette.GREEN, palette.GREEN
_SCALE, _SECOND = palette.PURPLE, palette.VERMILLION


@dataclass(frozen=True)
class _Field:
    """Neighbouring bits that belong together; `letter` stands in each."""

    words: str
    letter: str
    bits: int
    color: str


def bit_layout(fmt: BlockFormat) -> str:
    """SVG of the bits of one code, the highest first, and, where values share a scale, of one block to scale."""
    element_fields = [field for field in _element_fields(fmt.element) if field.bits]
    parts = [text(0, 14, f"one code: {fmt.element.bits} bits, {fmt.element.notation}", muted=True)]
    parts += _code(element_fields)
    parts.append(legend(_LEGEND, [(field.color, f"{field.words} {field.bits}") for field in element_fields]))
    if fmt.scale is None:
        return drawing(_LEGEND + 8, f"{fmt.name}: the bits of a code", parts)
    shared = _shared_fields(fmt.scale)
    parts += [text(0, _BLOCK_TOP, _block_words(fmt), muted=True), *_block(fmt, shared)]
    bottom = _BLOCK_TOP + _BLOCK_HEIGHT + 28
    entries = [(field.color, field.words) for field in shared]
    parts.append(legend(bottom, [*entries, (palette.GREEN, f"values x {fmt.element.bits}")]))
    height = bottom + 8
    if extra := _beyond_block(fmt):
        parts.append(text(0, bottom + 20, extra, muted=True))
        height += 20
    return drawing(height, f"{fmt.name}: the bits of a code and of a block", parts)


def _element_fields(element: Element) -> list[_Field]:
    match element:
        case IntElement(encoding="sign_magnitude"):
            return [_Field("sign", "S", 1, _SIGN), _Field("magnitude", "M", element.bits - 1, _MANTISSA)]
        case IntElement(encoding="twos_complement"):
            return [_Field("two's complement", "I", element.bits, _WHOLE)]
        case IntElement(encoding="offset"):
            return [_Field(f"integer + {element.code_offset}", "I", element.bits, _WHOLE)]
        case IntElement():
            return [_Field("unsigned integer", "I", element.bits, _WHOLE)]
        case FloatElement():
            signed, exponent = _Field("sign", "S", 1, _SIGN), _Field("exponent", "E", element.exponent_bits, _EXPONENT)
            return [signed, exponent, _Field("mantissa", "M", element.mantissa_bits, _MANTISSA)]
        case LogElement():
            return [_Field("sign", "S", 1, _SIGN), _Field("exponent", "E", element.exponent_bits, _EXPONENT)]
        case CodebookElement():
            return [_Field("place in the codebook", "C", element.bits, _WHOLE)]


def _code(fields: list[_Field]) -> Iterator[str]:
    """A box a bit."""
    wide = min(_BIT_WIDTH, WIDTH / sum(field.bits for field in fields))
    x = 0.0
    for field in fields:
        for _ in range(field.bits):
            yield rectangle(x, 22, wide, _BIT_HEIGHT, field.color)
            yield text(x + wide / 2, 39, field.letter, anchor="middle", fill=palette.ON_COLOR)
            x += wide


def _shared_fields(scale: Scale) -> list[_Field]:
    """What a block shares, in the order of its bits in memory: the lowest first."""
    match scale:
        case PowerOfTwoScale(microexponents=count) if count:
            micro = f"{count} microexponents x {scale.microexponent_bits}"
            first = _Field(f"shared exponent {scale.bits}", "", scale.bits, _SCALE)
            return [first, _Field(micro, "", count * scale.microexponent_bits, _SECOND)]
        case PowerOfTwoScale():
            return [_Field(f"shared exponent {scale.bits}", "", scale.bits, _SCALE)]
        case AffineScale():
            bits = scale.element.bits
            zero = f"{'minimum' if scale.has_minimum else 'zero point'} {scale.zero.symbol}: {scale.zero.bits}"
            stored = _Field(f"scale {scale.element.symbol}: {bits}", "", bits, _SCALE)
            return [stored, _Field(zero, "", scale.zero.bits, _SECOND)]
        case DoubleScale():
            return [_Field(f"scale, a place in a codebook: {scale.code_bits}", "", scale.code_bits, _SCALE)]
        case _:
            return [_Field(f"scale {scale.symbol}: {scale.code_bits}", "", scale.code_bits, _SCALE)]


def _block(fmt: BlockFormat, shared: list[_Field]) -> Iterator[str]:
    """Scale and values of a block as wide as their bits; the end fades where not every value is drawn."""
    count = min(fmt.block_values or _MOST_CELLS, _MOST_CELLS)
    whole = fmt.block_values == count
    per_bit = WIDTH / (sum(field.bits for field in shared) + (count + (not whole) * 4) * fmt.element.bits)
    x, y = 0.0, _BLOCK_TOP + 10
    for field in shared:
        yield rectangle(x, y, field.bits * per_bit, _BLOCK_HEIGHT, field.color)
        x += field.bits * per_bit
    for _ in range(count):
        yield rectangle(x, y, fmt.element.bits * per_bit, _BLOCK_HEIGHT, palette.GREEN)
        x += fmt.element.bits * per_bit
    if not whole:
        yield text(x + 4, y + _BLOCK_HEIGHT / 2 + 4, "…")


def _block_words(fmt: BlockFormat) -> str:
    """What one block takes, its arithmetic shown."""
    assert fmt.scale is not None
    shared, bits = fmt.scale.code_bits, fmt.element.bits
    if fmt.block_values is None:
        return f"one scale a {fmt.block}: {bits} bits a value, and {shared} bits a {fmt.block}"
    shape = f"{fmt.block_rows} x {fmt.block_columns}" if fmt.block_rows > 1 else f"{fmt.block_values}"
    total = shared + fmt.block_values * bits
    return (
        f"a block of {shape} values: {shared} + {fmt.block_values} x {bits} = {total} bits, "
        f"{float(fmt.bits_per_value):.5g} a value"
    )


def _beyond_block(fmt: BlockFormat) -> str:
    """What stands in memory besides whole blocks."""
    if fmt.has_tensor_scale:
        return "and one float32 scale a tensor"
    if isinstance(fmt.scale, DoubleScale):
        mean = ", and their float32 mean" if fmt.scale.centred else ""
        return f"and one float32 for every {fmt.scale.block} scales{mean}"
    return ""
