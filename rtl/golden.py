"""A second description of a unit, to prove the first by: tables from the reference, and arithmetic written as defined.

Every code's value is looked up in a table that `formats` fills; products, sums and shifts are plain signed arithmetic
on words wide enough that nothing is lost. Nothing here is meant to be built, and nothing is shared with `unit`.
"""

from collections.abc import Iterator

from densimeter.formats import (
    AlignedAccumulator,
    BlockFormat,
    Datapath,
    FixedAccumulator,
    FormatError,
    IntAccumulator,
    PowerOfTwoScale,
)
from densimeter.formats.datapath import largest_shift, part_width
from densimeter.formats.number import Kind
from densimeter.rtl.module import module
from densimeter.rtl.ports import ports
from densimeter.rtl.syntax import vector


def golden(datapath: Datapath, name: str) -> str:
    """Module `name` with the unit's ports and one more output, `defined`: 0 while a code stands for NaN or Inf.

    FormatError for units without such a description: binary32 registers, windowed alignment and float scales.
    """
    _check(datapath)
    lanes = datapath.lanes
    sides = (("activation", datapath.activation), ("weight", datapath.weight))
    products = " + ".join(
        f"{_value('activation', datapath.activation, lane)} * {_value('weight', datapath.weight, lane)}"
        for lane in range(lanes)
    )
    finite = [f"{side}_finite({_code(side, fmt, lane)})" for side, fmt in sides for lane in range(lanes)]
    finite += [f"({side}_scale != {_nan_scale(fmt)})" for side, fmt in sides if fmt.has_unit_scale and fmt.nan_block]
    codes = [f"{side}_scale{_shared_exponent(fmt)}" for side, fmt in sides if fmt.has_unit_scale]
    text = [
        *(_tables(side, fmt, _word(datapath)) for side, fmt in sides),
        f"wire signed {_word(datapath)} sum = {products};",
        f"wire signed [15:0] code = {' + '.join(f'$signed({{8{chr(39)}b0, {c}}})' for c in codes) or '0'};",
        f"assign defined = {' & '.join(finite)};",
        _register(datapath),
    ]
    return _with_defined(module(name, ports(datapath), "\n".join(text) + "\n"))


def _with_defined(text: str) -> str:
    return text.replace("\n);\n", ",\n    output wire          defined\n);\n", 1)


def _check(datapath: Datapath) -> None:
    if not isinstance(datapath.accumulator, IntAccumulator | FixedAccumulator | AlignedAccumulator):
        raise FormatError(
            f"accumulator {datapath.accumulator}: a proof needs an integer, fixed or aligned register; use int32, "
            "fixed48:-24 or aligned24"
        )
    if datapath.windowed:
        raise FormatError("logarithmic operands: their sums are cut to a window, for which there is no proof")
    if any(not isinstance(f.scale, PowerOfTwoScale) for f in datapath.scaled):
        raise FormatError("a block scale with a significand: there is no proof of units that multiply by one")


def _code(side: str, fmt: BlockFormat, lane: int) -> str:
    bits = fmt.element.bits
    return f"{side}[{lane * bits + bits - 1}:{lane * bits}]"


def _value(side: str, fmt: BlockFormat, lane: int) -> str:
    """A lane's value in units of the lowest bit that any microexponent leaves."""
    value = f"{side}_value({_code(side, fmt, lane)})"
    if not part_width(fmt):
        return value
    assert isinstance(fmt.scale, PowerOfTwoScale)
    bits = fmt.scale.microexponent_bits
    low = fmt.scale.bits + lane // part_width(fmt) * bits
    return f"({value} <<< ({largest_shift(fmt)} - {side}_scale[{low + bits - 1}:{low}]))"


def _shared_exponent(fmt: BlockFormat) -> str:
    """The part of a scale code in which the exponent stands."""
    assert isinstance(fmt.scale, PowerOfTwoScale)
    return f"[{fmt.scale.bits - 1}:0]" if part_width(fmt) else ""


def _nan_scale(fmt: BlockFormat) -> str:
    assert fmt.scale is not None
    return f"{fmt.scale.code_bits}'d{fmt.scale.nan_code}"


def _tables(side: str, fmt: BlockFormat, word: str) -> str:
    """Functions `<side>_value`, in units of the element's lowest bit, and `<side>_finite`."""
    bits = fmt.element.bits
    values, finite = [], []
    for code, value in _values(fmt):
        values.append(f"        {bits}'d{code}: {side}_value = {value or 0};")
        finite.append(f"        {bits}'d{code}: {side}_finite = 1'b{int(value is not None)};")
    lines = "\n".join
    return (
        f"function signed {word} {side}_value(input {vector(bits)} code);\n    case (code)\n{lines(values)}\n"
        f"    endcase\nendfunction\n"
        f"function {side}_finite(input {vector(bits)} code);\n    case (code)\n{lines(finite)}\n"
        f"    endcase\nendfunction"
    )


def _values(fmt: BlockFormat) -> Iterator[tuple[int, int | None]]:
    """Every code and its value in units of the element's lowest bit; None for NaN and Inf."""
    element = fmt.element
    for code in range(1 << element.bits):
        number = element.decode(code)
        if number.kind is not Kind.FINITE:
            yield code, None
            continue
        magnitude = number.significand << (number.exponent - element.lsb_exponent) if number.significand else 0
        yield code, -magnitude if number.negative else magnitude


def _register(datapath: Datapath) -> str:
    accumulator, word = datapath.accumulator, _word(datapath)
    if isinstance(accumulator, AlignedAccumulator):
        return _aligned(datapath, accumulator.bits) + _invalid(datapath)
    declared, term = "", "sum"
    if isinstance(accumulator, FixedAccumulator):
        offset = datapath.exponent_offset - accumulator.lsb_exponent
        declared, term = _shifted(datapath, accumulator.bits, offset), "term"
    assert isinstance(accumulator, IntAccumulator | FixedAccumulator)
    bits = accumulator.bits
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    wraps = isinstance(accumulator, IntAccumulator) and accumulator.overflow == "wrap"
    clamped = "total" if wraps else f"total > {highest} ? {highest} : total < {lowest} ? {lowest} : total"
    return f"""{declared}reg {vector(bits)} register;
wire signed {word} kept = clear ? 0 : $signed(register);
wire signed {word} total = {term} + kept;
wire signed {word} next = {clamped};
always @(posedge clk) if (en) register <= next{vector(bits)};
assign accumulator = register;""" + _invalid(datapath)


def _shifted(datapath: Datapath, bits: int, offset: int) -> str:
    """`term`, the sum in units of the register's lowest bit, rounded down."""
    word, right = _word(datapath), datapath.sum_bits
    return f"""// Further than this, a right shift leaves the sign alone and a left shift overflows any register.
wire signed [15:0] asked = code + ({offset});
wire signed [15:0] places = asked > {bits} ? {bits} : asked < -{right} ? -{right} : asked;
wire signed {word} term = places >= 0 ? sum <<< places : sum >>> -places;
"""


def _aligned(datapath: Datapath, bits: int) -> str:
    word = _word(datapath)
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return f"""reg {vector(datapath.accumulator_exponent_bits)} exponent;
reg {vector(bits)} significand;
wire signed [15:0] old = clear ? 0 : $signed({{1'b0, exponent}});
wire signed {word} kept = clear ? 0 : $signed(significand);
wire signed {word} group = sum <<< {datapath.guard_bits};
// Further than the register's width, a shift leaves the sign alone.
wire signed [15:0] top = old > code ? old : code;
wire signed [15:0] old_places = top - old > {bits} ? {bits} : top - old;
wire signed [15:0] new_places = top - code > {bits} ? {bits} : top - code;
wire signed {word} total = (kept >>> old_places) + (group >>> new_places);
wire over = total > {highest} || total < {lowest};
wire signed {word} halved = total >>> 1;
always @(posedge clk)
    if (en) begin
        significand <= over ? halved{vector(bits)} : total{vector(bits)};
        exponent <= top + over;
    end
assign accumulator = {{exponent, significand}};"""


def _invalid(datapath: Datapath) -> str:
    return "\nassign invalid = 1'b0;" if datapath.has_invalid_flag else ""


def _word(datapath: Datapath) -> str:
    """Range of a word that holds a sum shifted to any place at which it can still meet the register."""
    return vector(datapath.sum_bits + datapath.register_bits + 2)
