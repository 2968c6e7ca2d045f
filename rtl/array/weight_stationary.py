"""The weight-stationary array: weights move down while `load` is set, those of the bottom row first, and then stay.

Partial sums enter at the top, one a column and step, and leave at the bottom.
"""

from collections.abc import Sequence

from densimeter.rtl.array.wiring import Wiring, each
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import associations, vector


class WeightStationary(Wiring):
    """Text of a weight-stationary array."""

    @property
    def activation_bits(self) -> int:
        """take travels above the activations."""
        return self.operand_bits("activation") + 1

    def element_ports(self) -> list[Port]:
        a, w, s = self.activation_bits, self.operand_bits("weight"), self.sum_bits
        return [
            Port("clk", "input", 1, ""),
            Port("en", "input", 1, ""),
            Port("load", "input", 1, ""),
            Port("from_left", "input", a, ""),
            Port("weight_from_above", "input", w, ""),
            Port("sum_from_above", "input", s, ""),
            Port("to_right", "output", a, ""),
            Port("weight_to_below", "output", w, ""),
            Port("sum_to_below", "output", s, ""),
        ]

    def element(self, unit: str, unit_ports: Sequence[Port]) -> str:
        a, w = self.activation_bits, self.operand_bits("weight")
        wired = self.chained_unit_connections("kept") | {"en": f"en & from_left[{a - 1}]"}
        return f"""// take stands above the activations.
reg {vector(a)} right;
reg {vector(w)} kept;
always @(posedge clk)
    if (en) begin
        right <= from_left;
        if (load) kept <= weight_from_above;
    end
assign to_right = right;
assign weight_to_below = kept;
{unit} unit (
{associations({port.name: wired[port.name] for port in unit_ports})}
);
"""

    def body(self) -> str:
        rows, cols = self.array.rows, self.array.cols
        a, w, r, s = self.activation_bits, self.operand_bits("weight"), self.datapath.register_bits, self.sum_bits
        wired = {
            "clk": "clk",
            "en": "en",
            "load": "load",
            "from_left": f"right[(i*{cols + 1} + j)*{a} +: {a}]",
            "weight_from_above": f"weights[(i*{cols} + j)*{w} +: {w}]",
            "sum_from_above": f"sums[(i*{cols} + j)*{s} +: {s}]",
            "to_right": f"right[(i*{cols + 1} + j + 1)*{a} +: {a}]",
            "weight_to_below": f"weights[((i + 1)*{cols} + j)*{w} +: {w}]",
            "sum_to_below": f"sums[((i + 1)*{cols} + j)*{s} +: {s}]",
        }
        element = f"{self.array.name}_element element (\n{associations(wired)}\n);"
        flag = self.datapath.has_invalid_flag
        partial = f"previous[i*{r} +: {r}]"
        return "\n".join(
            [
                "// Steps and partial sums that have been skewed enter at the left and at the top.",
                self.skew("left", a, f"{{take, {self.operand_word('activation', 'i')}}}", rows),
                self.skew("top", s, f"{{previous_invalid[i], {partial}}}" if flag else partial, cols),
                f"wire {vector(rows * (cols + 1) * a)} right;",
                f"wire {vector((rows + 1) * cols * w)} weights;",
                f"wire {vector((rows + 1) * cols * s)} sums;",
                each("i", cols, "weight_in", f"assign weights[i*{w} +: {w}] = {self.operand_word('weight', 'i')};"),
                f"assign sums[{cols * s - 1}:0] = top;",
                each("i", rows, "enter", f"assign right[i*{(cols + 1) * a} +: {a}] = left[i*{a} +: {a}];"),
                each("i", rows, "row", each("j", cols, "col", element)),
                each("j", cols, "results", self.bottom_results()),
                f"wire unused_weights = &weights[{(rows + 1) * cols * w - 1}:{rows * cols * w}];",
                "wire unused_right = &right;",
                "",
            ]
        )
