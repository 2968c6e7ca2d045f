"""Verilog that rounds a magnitude to binary32, in one piece or with its normaliser cut for a pipeline."""

from dataclasses import dataclass, replace

from densimeter.rtl.syntax import instance, vector
from densimeter.rtl.unit import levels
from densimeter.rtl.unit.pipeline import Step

COARSE = "coarsely normalised magnitude"
"""The cut ahead of the normaliser's last step."""


@dataclass(frozen=True)
class Rounding:
    """Wires `magnitude` and `code`, the exponent of whose lowest bit is the code plus `offset`, to binary32 fields.

    leading_zeros: most that a magnitude other than zero has; code_min: smallest code of such a magnitude; flush:
    results below 2^-126 become zero.
    """

    magnitude: str
    bits: int
    leading_zeros: int
    code: str
    code_bits: int
    code_min: int
    code_max: int
    offset: int
    flush: int

    def steps(self, *, cut: bool) -> list[Step]:
        """The wires `group_exponent`, `group_fraction` and `overflow`; `cut` lets registers into the normaliser."""
        if not cut or self.leading_zeros == 1:
            return [Step(None, self._convert(), self._levels, cut="rounded")]
        depth = levels.normalizer(self.leading_zeros.bit_length() - 1)
        coarse = self._coarse()
        first = Step("Normalise, but for the last step.", self._normalize_coarsely(coarse), depth, cut=COARSE)
        return [first, *coarse.steps(cut=False)]

    @property
    def _levels(self) -> float:
        denormalize = 0 if self.flush else levels.shifter(5)
        added = levels.adder(self.code_bits) + levels.adder(32)
        return levels.normalizer(self.leading_zeros.bit_length()) + denormalize + added

    def _convert(self) -> str:
        parameters = {
            "MAGNITUDE_BITS": self.bits,
            "LEADING_ZEROS": self.leading_zeros,
            "CODE_BITS": self.code_bits,
            "CODE_MIN": self.code_min,
            "CODE_MAX": self.code_max,
            "EXPONENT_OFFSET": self.offset,
            "FLUSH": self.flush,
        }
        connections = {"magnitude": self.magnitude, "exponent_code": self.code}
        connections |= {"exponent": "group_exponent", "fraction": "group_fraction", "overflow": "overflow"}
        return "wire [7:0] group_exponent;\nwire [22:0] group_fraction;\nwire overflow;\n" + instance(
            "dm_fp32_convert", "convert", parameters, connections
        )

    def _coarse(self) -> "Rounding":
        """What remains once at most one leading zero is left: codes are raised by the largest shift, so that taking
        the shift off leaves none below zero, and results stay in the range they had."""
        raised = (1 << self.leading_zeros.bit_length()) - 2
        return replace(
            self,
            magnitude="coarse_magnitude",
            leading_zeros=1,
            code="coarse_code",
            code_bits=(self.code_max + raised).bit_length(),
            code_min=self.code_min + raised - self.leading_zeros + 1,
            code_max=self.code_max + raised,
            offset=self.offset - raised,
        )

    def _normalize_coarsely(self, coarse: "Rounding") -> str:
        parameters = {"BITS": self.bits, "LEADING_ZEROS": self.leading_zeros, "CODE_BITS": self.code_bits}
        parameters |= {"NORMAL_CODE_BITS": coarse.code_bits}
        connections = {"value": self.magnitude, "code": self.code}
        connections |= {"normal": coarse.magnitude, "normal_code": coarse.code}
        declared = f"wire {vector(self.bits)} {coarse.magnitude};\nwire {vector(coarse.code_bits)} {coarse.code};\n"
        return declared + instance("dm_normalize_coarse", "normalize", parameters, connections)
