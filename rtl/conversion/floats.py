"""What converters share: the wording of their headers, decoders of floats, and a number's rounding to a float element.

A number travels as sign, `significand` and a signed `exponent`, that of the significand's top bit counted from the
smallest normal number of what it becomes.
"""

import re
from dataclasses import dataclass

from densimeter.formats import BlockFormat, FloatElement, FormatError, Rounding
from densimeter.rtl.module import EmittedModule, assemble, describe_ports, module
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import instance, vector, widened

ROUNDINGS: dict[Rounding, int] = {
    "nearest_even": 0,
    "nearest_away": 1,
    "nearest_up": 2,
    "toward_zero": 3,
    "toward_minus_infinity": 4,
}
"""Parameter ROUNDING of the library; what is not here needs random numbers."""

SPECIALS = {"none": 0, "ieee": 1, "nan": 2, "fnuz": 3}
"""Parameter SPECIALS of dm_encode_float, and but for fnuz of dm_decode_float."""

LARGEST_LANES = 256
_LATENCY = "latency:     1 cycle: the registers take in what stands at the rising edge with en=1"

CLOCK = [
    Port("clk", "input", 1, "rising edge"),
    Port("en", "input", 1, "convert at this edge; 0: hold"),
]


@dataclass(frozen=True)
class Step:
    """A titled part of a module's body; the text is empty where the formats do not need it."""

    title: str
    text: str


def convert_module(name: str, title: str, declared: list[str], ports: list[Port], steps: list[Step]) -> EmittedModule:
    """The file of a converter: header, top module, library."""
    header = [f"{title} {name}", "", *declared, _LATENCY, "", "ports (lane 0 in the low bits):", *describe_ports(ports)]
    body = "\n".join(f"// {step.title}\n{step.text.rstrip()}\n" for step in steps if step.text)
    return assemble(name, header, [module(name, ports, body)])


def identifier(*parts: str) -> str:
    """A Verilog identifier that tells these parts."""
    return re.sub(r"\W+", "_", "_".join(("densimeter", *parts)))


def describe(fmt: BlockFormat) -> str:
    """A format in one line of a header."""
    element = fmt.element
    specials = f", specials {element.specials}" if isinstance(element, FloatElement) else ""
    scale = f"; one scale per {fmt.block}: {fmt.scale.notation}" if fmt.scale else ""
    return f"{fmt.name}: {element.notation}{specials}, {element.bits} bits{scale}"


def check_lanes(lanes: int) -> None:
    """FormatError where a converter of that many lanes is not built."""
    if not 1 <= lanes <= LARGEST_LANES:
        raise FormatError(f"lanes is {lanes}, expected 1 to {LARGEST_LANES}")


def signed_bits(low: int, high: int) -> int:
    """Width in which two's complement holds every integer from `low` to `high`."""
    return max(low.bit_length() if low >= 0 else (-low - 1).bit_length(), high.bit_length()) + 1


def plus(constant: int, bits: int) -> str:
    """`` + constant`` or `` - constant`` in an expression of `bits` bits that wraps; "" for zero."""
    if constant % (1 << bits) == 0:
        return ""
    return f" {'-' if constant < 0 else '+'} {bits}'d{abs(constant) % (1 << bits)}"


def for_lanes(lanes: int, name: str, inside: list[str]) -> str:
    """Text once for each lane, which it names `lane`."""
    lines = "\n".join(text for text in inside if text).replace("\n", "\n    ")
    return (
        f"genvar lane;\ngenerate\nfor (lane = 0; lane < {lanes}; lane = lane + 1) begin : {name}\n"
        f"    {lines}\nend\nendgenerate"
    )


def registers(outputs: dict[str, tuple[int, str]], enable: str = "en") -> str:
    """Output ports as registers: name to width and what is taken in at an edge with `enable`."""
    declared = "".join(f"reg {vector(bits)} {name}_register;\n" for name, (bits, _) in outputs.items())
    taken = "".join(f"        {name}_register <= {source};\n" for name, (_, source) in outputs.items())
    driven = "".join(f"assign {name} = {name}_register;\n" for name in outputs)
    return f"{declared}always @(posedge clk)\n    if ({enable}) begin\n{taken}    end\n{driven}"


def decode_float(element: FloatElement, name: str, magnitude_code: str, *, flags: bool = True) -> str:
    """Declarations of `<name>_significand`, `_exponent`, `_nan` and `_infinite` from a magnitude code; without
    `flags` nobody reads the last two."""
    parameters = {
        "EXPONENT_BITS": element.exponent_bits,
        "MANTISSA_BITS": element.mantissa_bits,
        "HIDDEN_BIT": int(element.hidden_bit),
        "SUBNORMALS": int(element.subnormals),
        "SPECIALS": SPECIALS[element.specials],
    }
    flag = name if flags and element.has_nan else f"unused_{name}"
    connections = {
        "code": magnitude_code,
        "significand": f"{name}_significand",
        "exponent": f"{name}_exponent",
        "nan": f"{flag}_nan",
        "infinite": f"{flag}_infinite",
    }
    return (
        f"wire {vector(element.significand_bits)} {name}_significand;\n"
        f"wire {vector(element.exponent_bits)} {name}_exponent;\n"
        f"wire {flag}_nan, {flag}_infinite;\n" + instance("dm_decode_float", f"decode_{name}", parameters, connections)
    )


def encode_float(
    element: FloatElement,
    name: str,
    significand_bits: int,
    exponent_bits: int,
    connections: dict[str, str],
    *,
    rounding: Rounding = "nearest_even",
    overflow: bool = True,
) -> str:
    """An instance of dm_encode_float; `overflow`: what is too large becomes Inf, or else NaN, instead of saturating."""
    parameters = {
        "SIGNIFICAND_BITS": significand_bits,
        "EXPONENT_BITS": exponent_bits,
        "CODE_EXPONENT_BITS": element.exponent_bits,
        "MANTISSA_BITS": element.mantissa_bits,
        "HIDDEN_BIT": int(element.hidden_bit),
        "SUBNORMALS": int(element.subnormals),
        "SPECIALS": SPECIALS[element.specials],
        "OVERFLOW": int(overflow),
        "ROUNDING": ROUNDINGS[rounding],
    }
    return instance("dm_encode_float", name, parameters, connections)


@dataclass(frozen=True)
class Magnitude:
    """A Verilog wire `magnitude` of `bits` bits, times ``2**(code + offset)``.

    `code` is an unsigned wire of `code_bits` bits, up to `largest_code`, or "" for 0.
    """

    bits: int
    magnitude: str
    offset: int
    code: str = ""
    code_bits: int = 0
    largest_code: int = 0


def round_to_float(element: FloatElement, name: str, number: Magnitude, negative: str, rounded: str) -> str:
    """Statements that drive `rounded` with the nearest code of a float element; ties to even, overflow to Inf. Their
    wires start with `name`."""
    zeros = max(number.bits - 1, 1)
    amount_bits = zeros.bit_length()
    # The exponent of the top bit, before it is normalised, counted from that of the smallest normal number.
    base = number.offset + number.bits - 1 - (1 - element.bias)
    low, high = base - (1 << amount_bits) + 1, base + number.largest_code
    bits = max(signed_bits(min(low, -1), max(high, 1)), number.code_bits + 1, amount_bits + 1)
    normal, amount = f"{name}_normal", f"{name}_zeros"
    normalize = instance(
        "dm_normalize",
        f"normalize_{name}",
        {"BITS": number.bits, "LEADING_ZEROS": zeros, "LIMITED": 0},
        {"value": number.magnitude, "limit": f"{{{amount_bits}{{1'b1}}}}", "normal": normal, "amount": amount},
    )
    code = widened(number.code, number.code_bits, bits) if number.code else f"{bits}'d0"
    exponent = f"{code}{plus(base, bits)} - {widened(amount, amount_bits, bits)}"
    encode = encode_float(
        element,
        f"round_{name}",
        number.bits,
        bits,
        {
            "negative": negative,
            "significand": normal,
            "exponent": f"{name}_exponent_of_top",
            "infinite": "1'b0",
            "nan": "1'b0",
            "code": rounded,
        },
    )
    return (
        f"wire {vector(number.bits)} {normal};\nwire {vector(amount_bits)} {amount};\n{normalize}\n"
        f"wire signed {vector(bits)} {name}_exponent_of_top = {exponent};\n{encode}"
    )
