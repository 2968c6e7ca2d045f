"""The body of a unit's top module: its stages from codes to register, each as Verilog text, and where they may be cut.

Stages hand these wires on: `negative`, `product` (per lane); `sum`, `sum_negative` (value: sum_negative ? -sum : sum);
`scaled_sum`, `exponent_code`; for binary32 registers `group_negative`, `group_exponent`, `group_fraction`, `overflow`.
"""

from dataclasses import dataclass, replace
from typing import Literal

from densimeter.formats import (
    Datapath,
    FixedAccumulator,
    FloatScale,
    Fp32Accumulator,
    IntAccumulator,
)
from densimeter.rtl.syntax import instance, vector, widened
from densimeter.rtl.unit import levels
from densimeter.rtl.unit.lane_sum import PARTIAL_SUMS, LaneSum
from densimeter.rtl.unit.operand import Operand
from densimeter.rtl.unit.pipeline import Step, join
from densimeter.rtl.unit.rounding import COARSE, Rounding

_SPECIALS: tuple[Literal["nan", "infinite", "zero"], ...] = ("nan", "infinite", "zero")

SPLITS = frozenset({PARTIAL_SUMS, COARSE})
"""Cuts through an adder tree and a normaliser, which stand in one piece if not cut."""


def body(datapath: Datapath, *, chained: bool = False) -> str:
    """Every stage of the unit, in the order of the data; a chained one adds to `previous` instead of its register."""
    return join(_unit(datapath, chained, None).steps())


def steps(datapath: Datapath, splits: frozenset[str]) -> list[Step]:
    """The unit in steps between which it may be cut, of `SPLITS` only at these."""
    return _unit(datapath, False, splits).steps()


def _unit(datapath: Datapath, chained: bool, splits: frozenset[str] | None) -> "_Unit":
    operands = Operand("activation", datapath.activation, True), Operand("weight", datapath.weight, True)
    return _Unit(datapath, *operands, chained, splits)


@dataclass(frozen=True)
class _Unit:
    datapath: Datapath
    activation: Operand
    weight: Operand
    chained: bool
    splits: frozenset[str] | None
    """Which of `SPLITS` a pipeline cuts; None for a unit without one."""

    def steps(self) -> list[Step]:
        """From codes to register; a step's text is empty where the formats do not need it."""
        multiply = Step("Decode and multiply.", self.lanes(), self._multiply_levels)
        specials = Step("NaN and Inf.", self.specials(), 0, cut="products")
        multiplied = [multiply, specials]
        if self.rounds_product:
            return [*multiplied, *self.round_product(), Step("Accumulate.", self.accumulate_fp32(), self._loop_levels)]
        scales = Step("Block scales.", self.scale(), 0)
        scaled = [*multiplied, *self.sum(), scales]
        if self.splits is not None:
            # Scales are decoded early, for their exponents' sum takes fewer registers than they.
            scaled = [multiply, scales, specials, *self.sum()]
        scaled[-1] = replace(scaled[-1], cut="sum")
        if isinstance(self.datapath.accumulator, Fp32Accumulator):
            return [*scaled, *self.round_sum(), Step("Accumulate.", self.accumulate_fp32(), self._loop_levels)]
        return [*scaled, *self.accumulate(), Step("Remember NaN and Inf.", self.invalid_flag(), 0)]

    @property
    def _multiply_levels(self) -> float:
        a, w = (o.significand_bits for o in self.operands)
        aligned = 2 * max(o.lane_exponent_bits for o in self.operands) if not self.rounds_product else 0
        return levels.multiplier(a, w) + (aligned if not self.twos_complement else 0)

    @property
    def _loop_levels(self) -> float:
        """Depth of the accumulator's addition."""
        if isinstance(self.datapath.accumulator, Fp32Accumulator):
            # Compare, align, add, normalise, round.
            return 3 * levels.adder(28) + levels.shifter(5) + levels.normalizer(5)
        return levels.adder(self.datapath.register_bits)

    @property
    def _shift_levels(self) -> float:
        """Depth of what brings a sum to a fixed or aligned register's weight."""
        return levels.adder(self.code_bits) + levels.shifter((self.datapath.register_bits - 1).bit_length())

    @property
    def operands(self) -> tuple[Operand, Operand]:
        return self.activation, self.weight

    @property
    def rounds_product(self) -> bool:
        """Each product is normalised and rounded by itself."""
        return self.datapath.float_mac

    @property
    def twos_complement(self) -> bool:
        """Both operands are two's complement, and so are products and sums; else they are in sign and magnitude."""
        return all(operand.twos_complement for operand in self.operands)

    @property
    def wide_first(self) -> tuple[Operand, Operand]:
        """The operands by significand width: a multiplier has a row for every bit of the second."""
        narrow_activation = self.activation.significand_bits < self.weight.significand_bits
        return (self.weight, self.activation) if narrow_activation else (self.activation, self.weight)

    @property
    def exponent_sum_bits(self) -> int:
        """One bit more than the wider exponent holds any sum of two."""
        return max(operand.exponent_bits for operand in self.operands) + 1

    @property
    def flush(self) -> int:
        accumulator = self.datapath.accumulator
        return int(isinstance(accumulator, Fp32Accumulator) and not accumulator.subnormals)

    @property
    def element_specials(self) -> bool:
        """Whether products can be NaN or Inf; a scale alone can make only the whole group NaN."""
        return any(operand.format.element.has_nan for operand in self.operands)

    @property
    def float_scales(self) -> list[Operand]:
        """The operands whose scale has a significand."""
        return [o for o in self.operands if o.format.has_unit_scale and isinstance(o.format.scale, FloatScale)]

    @property
    def signed_scales(self) -> list[Operand]:
        """The operands whose scale can be negative."""
        return [operand for operand in self.operands if operand.has_signed_scale]

    @property
    def code_bits(self) -> int:
        """Width of the exponent code; without scales it is a constant zero of one bit."""
        return max(self.datapath.exponent_bits, 1)

    def lanes(self) -> str:
        """Decode and multiply, lane by lane."""
        lanes = self.datapath.lanes
        if self.rounds_product:
            bits = self.activation.significand_bits + self.weight.significand_bits
            declared = f"wire {vector(bits)} product;\nwire {vector(self.exponent_sum_bits)} product_exponent;\n"
        else:
            bits = self.datapath.product_bits + self.twos_complement
            declared = f"wire {vector(lanes * bits)} product;\n"
        if not self.twos_complement:
            declared += f"wire {vector(lanes)} negative;\n"
        inside = [operand.decode() for operand in self.operands] if not self.twos_complement else []
        inside += [self._multiply(bits)]
        if self.element_specials:
            specials = {f"lane_{o.side}_{flag}": o.special(flag) for o in self.operands for flag in _SPECIALS}
            declared += "".join(f"wire {vector(lanes)} {name};\n" for name in specials)
            inside += [f"assign {name}[lane] = {expression};" for name, expression in specials.items()]
        lines = "\n".join(inside).replace("\n", "\n    ")
        return (
            f"{declared}genvar lane;\ngenerate\nfor (lane = 0; lane < {lanes}; lane = lane + 1) begin : multiply\n"
            f"    {lines}\nend\nendgenerate"
        )

    def _multiply(self, bits: int) -> str:
        wide, narrow = self.wide_first
        product = f"product[lane*{bits} +: {bits}]"
        if self.twos_complement:
            parameters = {"A_BITS": wide.format.element.bits, "B_BITS": narrow.format.element.bits}
            parameters |= {"PRODUCT_BITS": bits, "SIGNED": 1}
            connections = {"a": wide.slice(), "b": narrow.slice(), "product": product}
            return instance("dm_multiply", "multiplier", parameters, connections)
        sign = "assign negative[lane] = activation_negative ^ weight_negative;\n"
        significands = {"a": f"{wide.side}_significand", "b": f"{narrow.side}_significand"}
        if self.rounds_product:
            parameters = {"A_BITS": wide.significand_bits, "B_BITS": narrow.significand_bits, "PRODUCT_BITS": bits}
            multiply = instance("dm_multiply", "multiplier", parameters, significands | {"product": "product"})
            return f"{sign}{multiply}\nassign product_exponent = {self._product_exponent};"
        drop = self.datapath.product_lsb_exponent - sum(operand.exponent_offset for operand in self.operands)
        below = max(-drop, 0)  # places of a window that is wider than the products' range
        if below:
            sign += f"wire {vector(bits - below)} magnitude;\nassign {product} = {{magnitude, {below}'d0}};\n"
            product = "magnitude"
        parameters = {
            "A_BITS": wide.significand_bits,
            "B_BITS": narrow.significand_bits,
            "A_EXPONENT_BITS": wide.lane_exponent_bits,
            "B_EXPONENT_BITS": narrow.lane_exponent_bits,
            "DROP": max(drop, 0),
            "PRODUCT_BITS": bits - below,
        }
        connections = significands | {
            "a_exponent": wide.lane_exponent,
            "b_exponent": narrow.lane_exponent,
            "magnitude": product,
        }
        return sign + instance("dm_product", "multiplier", parameters, connections)

    @property
    def _product_exponent(self) -> str:
        bits = self.exponent_sum_bits
        return " + ".join(widened(f"{o.side}_exponent", o.exponent_bits, bits) for o in self.operands)

    def specials(self) -> str:
        """`nan`, `infinite` and `infinite_negative` of the group, where the formats have such codes."""
        if not self.datapath.has_specials:
            return ""
        scale_nan = " || ".join(operand.scale_is_nan for operand in self.operands if operand.scale_is_nan) or "1'b0"
        if not self.element_specials:
            return f"wire nan = {scale_nan};\nwire infinite = 1'b0;"
        connections = {
            f"{letter}_{flag}": f"lane_{operand.side}_{flag}"
            for letter, operand in zip("ab", self.operands, strict=True)
            for flag in _SPECIALS
        }
        connections |= {"negative": "negative", "scale_nan": scale_nan}
        # Only a binary32 register keeps the sign.
        sign = "unused_infinite_negative" if self.datapath.has_invalid_flag else "infinite_negative"
        connections |= {"nan": "nan", "infinite": "infinite", "infinite_negative": sign}
        combine = instance("dm_specials", "specials", {"LANES": self.datapath.lanes}, connections)
        return f"wire nan, infinite, {sign};\n{combine}"

    def round_product(self) -> list[Step]:
        """The product rounded to binary32."""
        bits = self.activation.significand_bits + self.weight.significand_bits
        normalized = all(operand.normalized for operand in self.operands)
        rounding = Rounding(
            magnitude="product",
            bits=bits,
            leading_zeros=1 if normalized else bits - 1,
            code="product_exponent",
            code_bits=self.exponent_sum_bits,
            code_min=sum(operand.smallest_exponent for operand in self.operands),
            code_max=sum(operand.largest_exponent for operand in self.operands),
            offset=sum(operand.exponent_offset for operand in self.operands),
            flush=self.flush,
        )
        first, *rest = rounding.steps(cut=self._cut(COARSE))
        text = "wire group_negative = negative;\n" + first.text
        return [replace(first, title="Round the product.", text=text), *rest]

    @property
    def lane_sum(self) -> LaneSum:
        datapath = self.datapath
        # A binary32 register takes sign and magnitude anyway, so only the others need the sign resolved.
        resolve = not isinstance(datapath.accumulator, Fp32Accumulator)
        return LaneSum(datapath.lanes, datapath.product_bits, datapath.sum_bits, self.twos_complement, resolve)

    def sum(self) -> list[Step]:
        """Add over the lanes."""
        return self.lane_sum.steps(cut=self._cut(PARTIAL_SUMS))

    def _cut(self, place: str) -> bool:
        return self.splits is not None and place in self.splits

    def scale(self) -> str:
        """`exponent_code` of the group, and of scales with a significand `scale_significand` (and `scale_negative`) for
        a binary32 register, which takes magnitudes, or else `scale_factor` where they have a sign."""
        if isinstance(self.datapath.accumulator, IntAccumulator):
            return ""
        decoded = [operand.decode_scale() for operand in self.operands]
        scaled = [operand for operand in self.operands if operand.format.has_unit_scale]
        codes = [widened(f"{o.side}_scale_exponent", o.scale_exponent_bits, self.code_bits) for o in scaled]
        code = " + ".join(codes) or "1'b0"
        decoded.append(f"wire {vector(self.code_bits)} exponent_code = {code};")
        if self.float_scales:
            bits = sum(self._scale_significand_bits(operand) for operand in self.float_scales)
            factors = " * ".join(f"{operand.side}_scale_significand" for operand in self.float_scales)
            decoded.append(f"wire {vector(bits)} scale_significand = {factors};")
        if self.signed_scales:
            decoded.append(self._scale_sign(bits))
        return "\n".join(line for line in decoded if line)

    def _scale_sign(self, bits: int) -> str:
        """The sign of scales whose significands together have so many bits; but for binary32, with them in one word."""
        negative = " ^ ".join(f"{operand.side}_scale_negative" for operand in self.signed_scales)
        declared = f"wire scale_negative = {negative};"
        if isinstance(self.datapath.accumulator, Fp32Accumulator):
            return declared
        positive = "$signed({1'b0, scale_significand})"
        return (
            f"{declared}\nwire signed {vector(bits + 1)} scale_factor =\n    scale_negative ? -{positive} : {positive};"
        )

    @staticmethod
    def _scale_significand_bits(operand: Operand) -> int:
        scale = operand.format.scale
        return scale.element.significand_bits if isinstance(scale, FloatScale) else 0

    def round_sum(self) -> list[Step]:
        """The scaled sum rounded to binary32; a sum of zero is +0, but a single float product keeps its sign."""
        sum_bits, bits = self.datapath.sum_bits, self.datapath.scaled_sum_bits - 1
        signed = self.twos_complement or (self._cut(PARTIAL_SUMS) and self.lane_sum.can_be_cut)
        sign = "sum_below_zero" if signed else "(sum_negative ^ sum_below_zero)"
        if self.signed_scales:
            sign = f"({sign} ^ scale_negative)"
        zero = "" if self.datapath.float_mac else " & |sum_magnitude"
        if self.float_scales and self.flush:  # a register that a flush has left at -0 would keep the sign
            zero += " & |scale_significand"
        connections = {"code": "sum", "negative": "sum_below_zero", "significand": "sum_magnitude"}
        scaled = "scale_significand * " if self.float_scales else ""
        magnitude = (
            f"wire sum_below_zero;\nwire {vector(sum_bits)} sum_magnitude;\n"
            + instance("dm_decode_twos_complement", "magnitude_of_sum", {"BITS": sum_bits}, connections)
            + f"\nwire {vector(bits)} scaled_magnitude = {scaled}sum_magnitude[{sum_bits - 2}:0];\n"
            + f"wire group_negative = {sign}{zero};"
        )
        depth = levels.adder(sum_bits) + (levels.multiplier(sum_bits, bits - sum_bits + 1) if self.float_scales else 0)
        rounding = Rounding(
            magnitude="scaled_magnitude",
            bits=bits,
            leading_zeros=max(bits - 1, 1),
            code="exponent_code",
            code_bits=self.code_bits,
            code_min=len(self.float_scales),
            code_max=self.datapath.largest_exponent_code,
            offset=self.datapath.exponent_offset,
            flush=self.flush,
        )
        return [
            Step("Round the sum.", magnitude, depth, cut="magnitude"),
            *rounding.steps(cut=self._cut(COARSE)),
        ]

    @property
    def _register(self) -> dict[str, str]:
        """What every kind of register is connected to."""
        clear, previous = ("1'b0", "previous") if self.chained else ("clear", "accumulator")
        return {"clk": "clk", "en": "en", "clear": clear, "previous": previous, "accumulator": "accumulator"}

    def accumulate_fp32(self) -> str:
        specials = self.datapath.has_specials
        connections = self._register | {
            "negative": "infinite ? infinite_negative : group_negative" if self.element_specials else "group_negative",
            "exponent": "group_exponent",
            "fraction": "group_fraction",
            "infinite": "infinite | overflow" if specials else "overflow",
            "nan": "nan" if specials else "1'b0",
        }
        return instance("dm_accumulate_fp32", "accumulate", {"FLUSH": self.flush}, connections)

    def accumulate(self) -> list[Step]:
        """A register of any kind but binary32."""
        accumulator = self.datapath.accumulator
        if isinstance(accumulator, IntAccumulator):
            return [Step("Accumulate.", self._accumulate_int(accumulator), self._loop_levels)]
        scaled = self._scaled_sum()
        if not isinstance(accumulator, FixedAccumulator):
            return [*scaled, Step("Accumulate.", self._accumulate_aligned(), self._shift_levels + self._loop_levels)]
        shift = Step(
            "Shift to the register's weight.", self._fixed_term(accumulator), self._shift_levels, cut="shifted sum"
        )
        return [*scaled, shift, Step("Accumulate.", self._accumulate_fixed(accumulator), self._loop_levels)]

    def _scaled_sum(self) -> list[Step]:
        """The sum times the significands of float scales, where there are any."""
        if not self.float_scales:
            return []
        sum_bits, bits = self.datapath.sum_bits, self.datapath.scaled_sum_bits
        factor = "scale_factor" if self.signed_scales else "$signed({1'b0, scale_significand})"
        text = f"wire signed {vector(bits)} scaled_sum = sum * {factor};"
        return [Step("Scale the sum.", text, levels.multiplier(sum_bits, bits - sum_bits + 1), cut="scaled sum")]

    def _accumulate_int(self, accumulator: IntAccumulator) -> str:
        parameters = {
            "SUM_BITS": self.datapath.sum_bits,
            "ACCUMULATOR_BITS": accumulator.bits,
            "SATURATE": int(accumulator.overflow == "saturate"),
        }
        connections = {"valid": self._valid, "sum": "sum"}
        return instance("dm_accumulate_int", "accumulate", parameters, self._register | connections)

    def _fixed_term(self, accumulator: FixedAccumulator) -> str:
        parameters = {
            "SUM_BITS": self.datapath.scaled_sum_bits,
            "CODE_BITS": self.code_bits,
            "SHIFT_OFFSET": self.datapath.exponent_offset - accumulator.lsb_exponent,
            "ACCUMULATOR_BITS": accumulator.bits,
        }
        connections = {"sum": self._final_sum, "exponent_code": "exponent_code"}
        connections |= {"term": "term", "out_of_reach": "out_of_reach"}
        return (
            f"wire signed {vector(accumulator.bits + 1)} term;\nwire out_of_reach;\n"
            f"wire term_below_zero = {self._final_sum}[{self.datapath.scaled_sum_bits - 1}];\n"
            + instance("dm_fixed_term", "shift_sum", parameters, connections)
        )

    def _accumulate_fixed(self, accumulator: FixedAccumulator) -> str:
        connections = {"valid": self._valid, "term": "term", "out_of_reach": "out_of_reach"}
        connections |= {"below_zero": "term_below_zero"}
        parameters = {"ACCUMULATOR_BITS": accumulator.bits}
        return instance("dm_accumulate_fixed", "accumulate", parameters, self._register | connections)

    def _accumulate_aligned(self) -> str:
        parameters = {
            "SUM_BITS": self.datapath.scaled_sum_bits,
            "CODE_BITS": self.code_bits,
            "SIGNIFICAND_BITS": self.datapath.register_bits - self.datapath.accumulator_exponent_bits,
            "EXPONENT_BITS": self.datapath.accumulator_exponent_bits,
        }
        connections = {"valid": self._valid, "sum": self._final_sum, "exponent_code": "exponent_code"}
        return instance("dm_accumulate_aligned", "accumulate", parameters, self._register | connections)

    @property
    def _final_sum(self) -> str:
        return "scaled_sum" if self.float_scales else "sum"

    @property
    def _valid(self) -> str:
        return "~(nan | infinite)" if self.datapath.has_specials else "1'b1"

    def invalid_flag(self) -> str:
        if not self.datapath.has_invalid_flag:
            return ""
        before = "previous_invalid" if self.chained else "(sticky_invalid & ~clear)"
        return (
            "reg sticky_invalid;\n"
            f"always @(posedge clk)\n    if (en) sticky_invalid <= nan | infinite | {before};\n"
            "assign invalid = sticky_invalid;"
        )
