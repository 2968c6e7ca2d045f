"""Verilog that adds the products of a group: one adder tree, or one over parts and one over their sums."""

from dataclasses import dataclass

from densimeter.rtl.syntax import instance, vector
from densimeter.rtl.unit import levels
from densimeter.rtl.unit.pipeline import Step

PARTIAL_SUMS = "partial sums"
"""The cut in the middle of the tree."""


@dataclass(frozen=True)
class LaneSum:
    """The wire `sum` of `lanes` products: of `product`, in two's complement or with the signs in `negative`.

    product_bits: of a product's magnitude. resolve: the sum has its sign in itself; else its value is
    (sum_negative ? -sum : sum), unless the tree is cut.
    """

    lanes: int
    product_bits: int
    sum_bits: int
    twos_complement: bool
    resolve: bool

    @property
    def part_lanes(self) -> int:
        """Lanes of a part where the tree is cut: a power of two, about as many as there are parts."""
        return 1 << ((self.lanes - 1).bit_length() + 1) // 2

    @property
    def can_be_cut(self) -> bool:
        return self.lanes > self.part_lanes and self.lanes % self.part_lanes == 0

    def steps(self, *, cut: bool) -> list[Step]:
        """The tree; `cut`, where it can be, lets registers into it."""
        depth = levels.tree(self.lanes, self.sum_bits)
        if not cut or not self.can_be_cut:
            return [Step("Add over the lanes.", self._sum(), depth)]
        share = (self.part_lanes.bit_length() - 1) / (self.lanes - 1).bit_length()
        return [
            Step("Add over groups of lanes.", self._partial_sums(), depth * share, cut=PARTIAL_SUMS),
            Step("Add over the groups.", self._sum_of_partial_sums(), depth * (1 - share)),
        ]

    def _sum(self) -> str:
        declared = f"wire signed {vector(self.sum_bits)} sum;\n"
        if self.twos_complement:
            parameters = {"LANES": self.lanes, "PRODUCT_BITS": self.product_bits + 1, "SUM_BITS": self.sum_bits}
            return declared + instance("dm_sum_signed", "add_lanes", parameters, {"product": "product", "sum": "sum"})
        parameters = {
            "LANES": self.lanes,
            "MAGNITUDE_BITS": self.product_bits,
            "SUM_BITS": self.sum_bits,
            "RESOLVE": int(self.resolve),
        }
        sign = "unused_sum_negative" if self.resolve else "sum_negative"
        connections = {"product_negative": "negative", "product": "product", "sum": "sum", "negative": sign}
        declared += f"wire {sign};\n"
        return declared + instance("dm_sum_sign_magnitude", "add_lanes", parameters, connections)

    @property
    def _partial_sum_bits(self) -> int:
        return self.product_bits + self.part_lanes.bit_length()

    def _partial_sums(self) -> str:
        lanes, bits = self.part_lanes, self._partial_sum_bits
        parts, width = self.lanes // lanes, self.product_bits + self.twos_complement
        parameters = {"LANES": lanes, "SUM_BITS": bits}
        connections = {
            "product": f"product[group*{lanes * width} +: {lanes * width}]",
            "sum": f"partial_sum[group*{bits} +: {bits}]",
        }
        if self.twos_complement:
            tree = instance("dm_sum_signed", "add_lanes", parameters | {"PRODUCT_BITS": width}, connections)
        else:
            # Signs are resolved here, so that plain adders can follow.
            parameters |= {"MAGNITUDE_BITS": width, "RESOLVE": 1}
            signs = {"product_negative": f"negative[group*{lanes} +: {lanes}]", "negative": "unused_sum_negative"}
            tree = "wire unused_sum_negative;\n"
            tree += instance("dm_sum_sign_magnitude", "add_lanes", parameters, connections | signs)
        inside = tree.replace("\n", "\n    ")
        return (
            f"wire {vector(parts * bits)} partial_sum;\ngenvar group;\ngenerate\n"
            f"for (group = 0; group < {parts}; group = group + 1) begin : add_group\n"
            f"    {inside}\nend\nendgenerate"
        )

    def _sum_of_partial_sums(self) -> str:
        parameters = {
            "LANES": self.lanes // self.part_lanes,
            "PRODUCT_BITS": self._partial_sum_bits,
            "SUM_BITS": self.sum_bits,
        }
        declared = f"wire signed {vector(self.sum_bits)} sum;\n"
        return declared + instance("dm_sum_signed", "add_groups", parameters, {"product": "partial_sum", "sum": "sum"})
