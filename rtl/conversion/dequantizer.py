"""Dequantisers in Verilog: codes and scales to floats, and an accumulator's register to float32.

A dequantiser is the front end of a machine that keeps only its weights in a narrow format (W4A16): the circuit of
`formats.reference.dequantize_block`. An output converter stands behind a register that is no float.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from densimeter.formats import (
    AffineScale,
    AlignedAccumulator,
    BlockFormat,
    Datapath,
    DoubleScale,
    FloatElement,
    FormatError,
    Fp32Accumulator,
    PowerOfTwoScale,
    get,
)
from densimeter.formats.checks import check_choice
from densimeter.formats.element import FLOAT32
from densimeter.rtl.conversion.floats import (
    CLOCK,
    Magnitude,
    Step,
    check_lanes,
    convert_module,
    decode_float,
    describe,
    for_lanes,
    identifier,
    registers,
    round_to_float,
)
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import instance, vector, widened
from densimeter.rtl.unit.operand import Operand

Target = Literal["float32", "bfloat16", "float16"]

_FLOAT32_NAN = 0x7FC00000


def emit_dequantizer(source: BlockFormat, target: Target = "float32", lanes: int | None = None) -> EmittedModule:
    """The Verilog that turns codes of `source` into floats, `lanes` of one block a cycle (default: all of them; 1
    where blocks have no count).

    Each value is the exact product of element and scales, rounded once to nearest even; what is too large becomes Inf.
    Under a scale with a minimum, float32 is that product and the sum with the minimum, each rounded. Ports: clk, en,
    code, scale (where there is one), tensor_scale (a float32, finite and not negative), value. NaNs come out canonical.
    Raises FormatError for what has no such circuit, with the reason.
    """
    check_choice("target", target, get_args(Target))
    _check_source(source, target)
    count = (source.block_values or 1) if lanes is None else lanes
    _check_lanes(source, count)
    element = get(target).element
    assert isinstance(element, FloatElement)
    dequantizer = _Dequantizer(source, element, count)
    name = identifier("dequantize", source.name, target, f"x{count}")
    declared = [
        f"codes:       {describe(source)}",
        f"values:      {target}, {element.bits} bits",
        f"lanes:       {count}",
        f"widths:      significand of the product {dequantizer.magnitude_bits}",
    ]
    return convert_module(name, "Dequantiser", declared, dequantizer.ports(), dequantizer.steps())


def emit_output_converter(datapath: Datapath) -> EmittedModule:
    """The Verilog that rounds the register of a unit to float32, nearest even.

    Ports: clk, en, accumulator, invalid (where the unit has it: the value is then NaN), value. Raises FormatError for a
    register that is a float32 already.
    """
    accumulator = datapath.accumulator
    if isinstance(accumulator, Fp32Accumulator):
        raise FormatError(f"accumulator {accumulator} is a float32 already and needs no converter")
    register_bits, bits = datapath.register_bits, accumulator.bits
    lowest = f"2^{datapath.register_lsb_exponent}"
    told = f"{accumulator}_{register_bits}_lsb{datapath.register_lsb_exponent}"
    name = identifier("output", told.replace("-", "m"))
    ports = [*CLOCK, Port("accumulator", "input", register_bits, "a unit's register")]
    if datapath.has_invalid_flag:
        ports.append(Port("invalid", "input", 1, "the register's flag: the value is NaN"))
    ports.append(Port("value", "output", 32, "float32"))
    magnitude = Magnitude(bits, "magnitude", datapath.register_lsb_exponent)
    declarations = [f"wire below_zero;\nwire {vector(bits)} magnitude;"]
    if isinstance(accumulator, AlignedAccumulator):
        code_bits = datapath.accumulator_exponent_bits
        declarations.append(f"wire {vector(code_bits)} exponent_code = accumulator[{register_bits - 1}:{bits}];")
        magnitude = Magnitude(
            bits, "magnitude", datapath.register_lsb_exponent, "exponent_code", code_bits, (1 << code_bits) - 1
        )
    connections = {"code": f"accumulator[{bits - 1}:0]", "negative": "below_zero", "significand": "magnitude"}
    declarations.append(instance("dm_decode_twos_complement", "absolute", {"BITS": bits}, connections))
    declarations.append("wire [31:0] rounded;")
    steps = [
        Step("Sign and magnitude.", "\n".join(declarations)),
        Step("Round.", round_to_float(FLOAT32, "register", magnitude, "below_zero", "rounded")),
        Step("Register.", registers({"value": (32, _output(datapath))})),
    ]
    code = ", times 2^code of the bits above" if isinstance(accumulator, AlignedAccumulator) else ""
    declared = [
        f"accumulator: {accumulator}: two's complement, [{bits - 1}:0], lowest bit {lowest}{code}",
        "value:       float32",
    ]
    return convert_module(name, "Output converter", declared, ports, steps)


def _output(datapath: Datapath) -> str:
    return f"invalid ? 32'd{_FLOAT32_NAN} : rounded" if datapath.has_invalid_flag else "rounded"


def _check_source(source: BlockFormat, target: Target) -> None:
    scale = source.scale
    if isinstance(scale, DoubleScale):
        raise FormatError(f"{source.name} has no dequantiser: its scales are themselves quantised; restore them first")
    if isinstance(scale, AffineScale) and scale.has_minimum and target != "float32":
        raise FormatError(
            f"{source.name} has no dequantiser to {target}: its values are defined as sums rounded to float32; "
            "use target float32"
        )


def _check_lanes(source: BlockFormat, lanes: int) -> None:
    check_lanes(lanes)
    whole = isinstance(source.scale, PowerOfTwoScale) and source.scale.microexponents > 0
    values = source.block_values
    if source.scale is None or values is None:
        return
    if values % lanes or (whole and lanes != values):
        expected = f"{values}, for its microexponents" if whole else f"a divisor of the block, {values}"
        raise FormatError(f"{source.name}: lanes is {lanes}, expected {expected}")


@dataclass(frozen=True)
class _Factor:
    """A scale as text: declarations of its wires; the names of its significand ("" for one) and exponent, with widths;
    what turns the exponent into that of the significand's lowest bit; expressions for its sign and for not being
    finite, "" where neither occurs."""

    declarations: str
    significand: str
    significand_bits: int
    exponent: str
    exponent_bits: int
    offset: int
    negative: str = ""
    nan: str = ""


def _float_factor(element: FloatElement, name: str, *, signed: bool) -> _Factor:
    """A float in the low bits of port `name`; without `signed`, it is finite and not negative."""
    flags = element.has_nan and signed
    declarations = decode_float(element, name, f"{name}[{element.bits - 2}:0]", flags=flags)
    declarations += "" if signed else f"\nwire unused_{name}_sign = {name}[{element.bits - 1}];"
    return _Factor(
        declarations,
        f"{name}_significand",
        element.significand_bits,
        f"{name}_exponent",
        element.exponent_bits,
        element.lsb_exponent - element.hidden_bit,
        # A scale of minus zero has no sign.
        f"({name}[{element.bits - 1}] & |{name}_significand)" if signed else "",
        f"({name}_nan | {name}_infinite)" if flags else "",
    )


def _exponent_factor(scale: PowerOfTwoScale) -> _Factor:
    nan = f"(scale_exponent == {scale.bits}'d{scale.nan_code})" if scale.nan else ""
    declarations = f"wire {vector(scale.bits)} scale_exponent = scale[{scale.bits - 1}:0];"
    return _Factor(declarations, "", 0, "scale_exponent", scale.bits, -scale.bias, "", nan)


@dataclass(frozen=True)
class _Dequantizer:
    source: BlockFormat
    target: FloatElement
    lanes: int

    @property
    def operand(self) -> Operand:
        return Operand("element", self.source)

    @property
    def factors(self) -> list[_Factor]:
        """The scale, and the tensor's."""
        scale = self.source.scale
        if scale is None:
            return []
        assert not isinstance(scale, DoubleScale)
        if isinstance(scale, PowerOfTwoScale):
            return [_exponent_factor(scale)]
        if isinstance(scale.element, PowerOfTwoScale):
            return [_exponent_factor(scale.element)]
        found = [_float_factor(scale.element, "scale", signed=True)]
        if self.source.has_tensor_scale:
            found.append(_float_factor(FLOAT32, "tensor_scale", signed=False))
        return found

    @property
    def affine(self) -> AffineScale | None:
        scale = self.source.scale
        return scale if isinstance(scale, AffineScale) else None

    @property
    def has_zero_point(self) -> bool:
        return self.affine is not None and not self.affine.has_minimum

    @property
    def has_minimum(self) -> bool:
        return self.affine is not None and self.affine.has_minimum

    @property
    def microexponents(self) -> PowerOfTwoScale | None:
        scale = self.source.scale
        return scale if isinstance(scale, PowerOfTwoScale) and scale.microexponents else None

    @property
    def element_bits(self) -> int:
        """Width of the element's magnitude, once a zero point is subtracted."""
        if not self.has_zero_point:
            return self.operand.significand_bits
        assert self.affine is not None
        return max(self.source.element.bits, self.affine.zero.bits) + 1

    @property
    def scale_significands(self) -> list[_Factor]:
        return [factor for factor in self.factors if factor.significand]

    @property
    def scale_bits(self) -> int:
        """Width of the product of the scales' significands."""
        return sum(factor.significand_bits for factor in self.scale_significands)

    @property
    def magnitude_bits(self) -> int:
        return self.element_bits + self.scale_bits

    @property
    def exponents(self) -> list[tuple[str, int]]:
        """What a lane's exponent code is the sum of, with widths."""
        found = [(factor.exponent, factor.exponent_bits) for factor in self.factors]
        if self.operand.largest_exponent:
            found.append(("element_exponent", self.operand.exponent_bits))
        if self.microexponents:
            found.append(("raised", self.microexponents.microexponent_bits))
        return found

    @property
    def largest_code(self) -> int:
        return sum((1 << bits) - 1 for _, bits in self.exponents)

    @property
    def offset(self) -> int:
        """What turns the exponent code into the exponent of the magnitude's lowest bit."""
        raised = self.microexponents.largest_shift if self.microexponents else 0
        return self.operand.exponent_offset + sum(factor.offset for factor in self.factors) - raised

    @property
    def element_specials(self) -> bool:
        return self.source.element.has_nan

    def ports(self) -> list[Port]:
        source, bits = self.source, self.source.element.bits
        found = [*CLOCK, Port("code", "input", self.lanes * bits, f"{source.name} codes, {bits} bits each")]
        if source.scale is not None:
            found.append(Port("scale", "input", source.scale.code_bits, "scale code of the block"))
        if source.has_tensor_scale:
            found.append(Port("tensor_scale", "input", 32, "float32 factor of the tensor, finite and not negative"))
        width = self.target.bits
        found.append(Port("value", "output", self.lanes * width, f"float values, {width} bits each"))
        return found

    def steps(self) -> list[Step]:
        return [
            Step("Scale of the block.", self._shared()),
            Step("Minimum of the block, in float32.", self._minimum() if self.has_minimum else ""),
            Step("Multiply and round.", self._lanes()),
            Step("Register.", registers({"value": (self.lanes * self.target.bits, "values")})),
        ]

    def _shared(self) -> str:
        """`shared_significand`, `shared_negative` and `shared_nan`, where the scale has such."""
        if not self.factors:
            return ""
        lines = [factor.declarations for factor in self.factors]
        if self.scale_significands:
            product = " * ".join(factor.significand for factor in self.scale_significands)
            lines.append(f"wire {vector(self.scale_bits)} shared_significand = {product};")
        for name, expressions in (("negative", self._signs), ("nan", self._nans)):
            if expressions:
                lines.append(f"wire shared_{name} = {expressions};")
        return "\n".join(lines)

    @property
    def _signs(self) -> str:
        return " ^ ".join(factor.negative for factor in self.factors if factor.negative)

    @property
    def _nans(self) -> str:
        nans = [factor.nan for factor in self.factors if factor.nan]
        if self.affine is not None and isinstance(self.affine.zero, FloatElement) and self.affine.zero.has_nan:
            nans.append("minimum_refused")
        return " | ".join(nans)

    def _minimum(self) -> str:
        assert self.affine is not None
        zero, low = self.affine.zero, self.affine.element.bits
        assert isinstance(zero, FloatElement)
        flags = "wire minimum_refused = minimum_nan | minimum_infinite;\n" if zero.has_nan else ""
        number = Magnitude(
            zero.significand_bits,
            "minimum_significand",
            zero.lsb_exponent - zero.hidden_bit,
            "minimum_exponent",
            zero.exponent_bits,
            (1 << zero.exponent_bits) - 1,
        )
        sign = f"scale[{low + zero.bits - 1}] & |minimum_significand"
        return (
            decode_float(zero, "minimum", f"scale[{low + zero.bits - 2}:{low}]")
            + f"\n{flags}wire [31:0] minimum;\n"
            + round_to_float(FLOAT32, "minimum", number, sign, "minimum")
        )

    def _lanes(self) -> str:
        width = self.target.bits
        inside = [self._decode(), self._exponent(), self._multiply(), self._round(), self._add_minimum()]
        inside.append(f"assign values[lane*{width} +: {width}] = {self._result()};")
        bits = self.source.element.bits
        return (
            f"wire {vector(self.lanes * bits)} element = code;\nwire {vector(self.lanes * width)} values;\n"
            + for_lanes(self.lanes, "dequantize", inside)
        )

    def _decode(self) -> str:
        """`element_significand`, `negative` and what else the element has."""
        sign = "element_negative ^ shared_negative" if self._signs else "element_negative"
        if not self.has_zero_point:
            unused = "" if self.operand.largest_exponent else "\nwire unused_exponent = element_exponent;"
            return f"{self.operand.decode()}{unused}\nwire negative = {sign};"
        assert self.affine is not None
        bits, element, zero = self.element_bits, self.source.element, self.affine.zero
        code = widened(f"element[lane*{element.bits} +: {element.bits}]", element.bits, bits)
        low = self.affine.element.bits
        point = widened(f"scale[{low + zero.bits - 1}:{low}]", zero.bits, bits)
        connections = {"code": "above_zero", "negative": "element_negative", "significand": "element_significand"}
        return (
            f"wire {vector(bits)} above_zero = {code} - {point};\nwire element_negative;\n"
            f"wire {vector(bits)} element_significand;\n"
            + instance("dm_decode_twos_complement", "absolute", {"BITS": bits}, connections)
            + f"\nwire negative = {sign};"
        )

    def _exponent(self) -> str:
        """`exponent_code`, the sum of all exponents."""
        if not self.exponents:
            return ""
        lines, bits = [], self.largest_code.bit_length()
        if self.microexponents:
            width = self.lanes // self.microexponents.microexponents
            low, part = self.microexponents.bits, self.microexponents.microexponent_bits
            # The largest shift less this one: all ones less a number are its complement.
            lines.append(f"wire {vector(part)} raised = ~scale[{low} + lane / {width} * {part} +: {part}];")
        code = " + ".join(widened(name, each, bits) for name, each in self.exponents)
        return "\n".join([*lines, f"wire {vector(bits)} exponent_code = {code};"])

    def _multiply(self) -> str:
        product = "element_significand * shared_significand" if self.scale_significands else "element_significand"
        return f"wire {vector(self.magnitude_bits)} magnitude = {product};"

    def _round(self) -> str:
        code = "exponent_code" if self.exponents else ""
        bits = self.largest_code.bit_length()
        number = Magnitude(self.magnitude_bits, "magnitude", self.offset, code, bits, self.largest_code)
        rounded = round_to_float(self.target, "product", number, "negative", "rounded")
        return f"wire {vector(self.target.bits)} rounded;\n{rounded}"

    def _add_minimum(self) -> str:
        if not self.has_minimum:
            return ""
        connections = {
            "a_negative": "rounded[31]",
            "a_exponent": "rounded[30:23]",
            "a_fraction": "rounded[22:0]",
            "a_discard": "1'b0",
            "b_negative": "minimum[31]",
            "b_exponent": "minimum[30:23]",
            "b_fraction": "minimum[22:0]",
            "negative": "sum_negative",
            "exponent": "sum_exponent",
            "fraction": "sum_fraction",
            "overflow": "sum_overflow",
        }
        return (
            "wire sum_negative, sum_overflow;\nwire [7:0] sum_exponent;\nwire [22:0] sum_fraction;\n"
            + instance("dm_fp32_add", "add_minimum", {"FLUSH": 0}, connections)
            + "\nwire [31:0] sum = sum_overflow ? {sum_negative, 8'hFF, 23'h0}"
            " : {sum_negative, sum_exponent, sum_fraction};"
        )

    def _result(self) -> str:
        """The lane's value, specials included."""
        bits, infinity = self.target.bits, self.target.infinity_code
        result = "&rounded[30:23] ? rounded : sum" if self.has_minimum else "rounded"
        if self.source.element.has_infinity:
            result = f"element_infinite ? {{negative, {bits - 1}'d{infinity}}} : {result}"
        nans = ["shared_nan"] if self._nans else []
        if self.element_specials:
            nans.append("element_nan")
        if self.source.element.has_infinity and self.scale_significands:
            nans.append("(element_infinite & ~|shared_significand)")
        return f"{' | '.join(nans)} ? {bits}'d{self.target.nan_code} : {result}" if nans else result
