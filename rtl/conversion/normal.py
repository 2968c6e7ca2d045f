"""Normalised numbers in wires, and what is decoded, multiplied and divided to make them."""

from dataclasses import dataclass
from fractions import Fraction

from densimeter.formats import FloatElement
from densimeter.formats.number import floor_log2, power_of_two
from densimeter.rtl.conversion.floats import decode_float, encode_float, plus, signed_bits
from densimeter.rtl.syntax import instance, vector, widened


@dataclass(frozen=True)
class Normal:
    """``normal / 2**(bits - 1) * 2**(place - bias)``.

    normal: a wire or constant, its top bit set or all of it zero. place: a wire, unsigned, up to `largest_place`, or ""
    for 0. text: Verilog that declares both.
    """

    text: str
    normal: str
    bits: int
    place: str
    largest_place: int
    bias: int

    @property
    def place_bits(self) -> int:
        """Width of `place`."""
        return self.largest_place.bit_length()

    def plus_place(self, bits: int, sign: str = "+") -> str:
        """`` + place`` in an expression of `bits` bits."""
        return f" {sign} {widened(self.place, self.place_bits, bits)}" if self.place else ""


@dataclass(frozen=True)
class Quotient:
    """`significand`, its lowest bit set if anything lies below it, and what its exponent is made of.

    below_one: a wire, or "" where the quotient cannot be less than one.
    """

    text: str
    significand: str
    bits: int
    below_one: str
    numerator: Normal
    denominator: Normal

    def shift(self, smallest_exponent: int) -> int:
        """The exponent is the numerator's place, less the denominator's, less `below_one`, and this, counted from
        `smallest_exponent`."""
        return self.denominator.bias - self.numerator.bias - smallest_exponent

    def exponent_bits(self, smallest_exponent: int) -> int:
        """Signed width that the exponent needs."""
        shift = self.shift(smallest_exponent)
        low, high = shift - self.denominator.largest_place - 1, shift + self.numerator.largest_place
        places = max(self.numerator.place_bits, self.denominator.place_bits)
        return max(signed_bits(min(low, -1), max(high, 0)), places + 1)

    def exponent(self, smallest_exponent: int) -> str:
        """The exponent, as an expression of that width."""
        bits = self.exponent_bits(smallest_exponent)
        return (
            widened(self.numerator.place, self.numerator.place_bits, bits)
            + self.denominator.plus_place(bits, "-")
            + plus(self.shift(smallest_exponent), bits)
            + (f" - {widened(self.below_one, 1, bits)}" if self.below_one else "")
        )


def decoded(name: str, element: FloatElement, code: str, *, infinite_place: int = 0, flags: bool = False) -> Normal:
    """A float's magnitude from its code.

    infinite_place: that of an infinity, if not what its field says. flags: whether ``<name>_nan`` and
    ``<name>_infinite`` are read elsewhere.
    """
    decode = decode_float(element, name, code, flags=flags or bool(infinite_place))
    largest, field, field_bits = element.largest_exponent_field, f"{name}_exponent", element.exponent_bits
    text = f"{decode}\n"
    if infinite_place:
        largest, field_bits = max(largest, infinite_place), infinite_place.bit_length()
        wide = widened(field, element.exponent_bits, field_bits)
        field = f"{name}_biased"
        text += "" if flags else f"wire unused_{name}_nan = {name}_nan;\n"
        text += f"wire {vector(field_bits)} {field} = {name}_infinite ? {field_bits}'d{infinite_place} : {wide};\n"
    elif element.has_infinity:
        largest = (1 << element.exponent_bits) - 1
    zeros = (1 << element.mantissa_bits.bit_length()) - 1 if element.subnormals else 0
    bits, place_bits = element.significand_bits, (largest + zeros).bit_length()
    found = Normal("", f"{name}_normal", bits, f"{name}_place", largest + zeros, element.bias + zeros)
    wide = widened(field, field_bits, place_bits)
    if not zeros:
        text += f"wire {vector(bits)} {found.normal} = {name}_significand;\n"
        text += f"wire {vector(place_bits)} {found.place} = {wide};\n"
    else:
        amount = zeros.bit_length()
        normalize = instance(
            "dm_normalize",
            f"normalize_{name}",
            {"BITS": bits, "LEADING_ZEROS": zeros, "LIMITED": 0},
            {
                "value": f"{name}_significand",
                "limit": f"{{{amount}{{1'b1}}}}",
                "normal": found.normal,
                "amount": f"{name}_zeros",
            },
        )
        text += f"wire {vector(bits)} {found.normal};\nwire {vector(amount)} {name}_zeros;\n{normalize}\n"
        text += f"wire {vector(place_bits)} {found.place} = {wide} + {widened(f'~{name}_zeros', amount, place_bits)};\n"
    return Normal(text, found.normal, bits, found.place, found.largest_place, found.bias)


def constant(value: Fraction) -> Normal:
    """A number above 0 whose significand ends."""
    exponent = floor_log2(value)
    significand = value / power_of_two(exponent)
    bits = significand.denominator.bit_length()
    return Normal("", f"{bits}'d{significand * (1 << (bits - 1))}", bits, "", 0, -exponent)


def times(name: str, a: Normal, b: Normal) -> Normal:
    """The exact product of two numbers of which `b` has a place."""
    bits, largest = a.bits + b.bits, a.largest_place + b.largest_place + 1
    place_bits = largest.bit_length()
    product, top = f"{name}_product", f"{name}_product[{bits - 1}]"
    text = (
        f"wire {vector(bits)} {product} = {widened(a.normal, a.bits, bits)} * {widened(b.normal, b.bits, bits)};\n"
        f"wire {vector(bits)} {name}_normal = {top} ? {product} : {product} << 1;\n"
        f"wire {vector(place_bits)} {name}_place = {widened(top, 1, place_bits)}"
        f"{a.plus_place(place_bits)}{b.plus_place(place_bits)};\n"
    )
    return Normal(text, f"{name}_normal", bits, f"{name}_place", largest, a.bias + b.bias)


def divided(name: str, numerator: Normal, denominator: Normal, bits: int) -> Quotient:
    """The quotient in `bits` bits; zero where either is zero."""
    significand, below_one = name, f"{name}_below_one"
    divide = instance(
        "dm_divide",
        f"divide_{name}",
        {"NUMERATOR_BITS": numerator.bits, "DENOMINATOR_BITS": denominator.bits, "QUOTIENT_BITS": bits},
        {
            "numerator": numerator.normal,
            "denominator": denominator.normal,
            "quotient": significand,
            "below_one": below_one,
        },
    )
    text = f"wire {vector(bits)} {significand};\nwire {below_one};\n{divide}\n"
    return Quotient(text, significand, bits, below_one, numerator, denominator)


def over(name: str, numerator: Normal, divisor: Fraction, bits: int) -> Quotient:
    """The quotient by a constant; by a power of two all of it, without a circuit."""
    denominator = constant(divisor)
    if denominator.bits > 1:
        return divided(name, numerator, denominator, bits)
    return Quotient("", numerator.normal, numerator.bits, "", numerator, denominator)


def stored(name: str, element: FloatElement, wanted: Quotient) -> str:
    """Verilog of wire `name`: the nearest code of a scale's float to what is wanted, saturating; ties to even."""
    smallest = 1 - element.bias
    bits = wanted.exponent_bits(smallest)
    connections = {
        "negative": "1'b0",
        "significand": wanted.significand,
        "exponent": "wanted_exponent",
        "infinite": "1'b0",
        "nan": "1'b0",
        "code": name,
    }
    return (
        wanted.text
        + f"wire signed {vector(bits)} wanted_exponent = {wanted.exponent(smallest)};\n"
        + f"wire {vector(element.bits)} {name};\n"
        + encode_float(element, "round_scale", wanted.bits, bits, connections, overflow=False)
        + "\n"
    )
