"""The output-stationary array: sums stay, and `first` starts them anew.

Behind the step that is `last`, each column copies its sums into a shift register, which hands them out at the bottom,
the bottom row first, while the next sums are under way.
"""

from collections.abc import Sequence

from densimeter.rtl.array.wiring import Wiring, each
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import associations, instance, vector


class OutputStationary(Wiring):
    """Text of an output-stationary array."""

    @property
    def activation_bits(self) -> int:
        """take, first and last travel above the activations."""
        return self.operand_bits("activation") + 3

    def element_ports(self) -> list[Port]:
        a, w = self.activation_bits, self.operand_bits("weight")
        return [
            Port("clk", "input", 1, ""),
            Port("en", "input", 1, ""),
            Port("from_left", "input", a, ""),
            Port("from_above", "input", w, ""),
            Port("to_right", "output", a, ""),
            Port("to_below", "output", w, ""),
            Port("sum", "output", self.sum_bits, ""),
        ]

    def element(self, unit: str, unit_ports: Sequence[Port]) -> str:
        a, w, r = self.activation_bits, self.operand_bits("weight"), self.datapath.register_bits
        wired = self.operand_connections("activation", "from_left") | self.operand_connections("weight", "from_above")
        wired |= {"clk": "clk", "en": f"en & from_left[{a - 1}]", "clear": f"from_left[{a - 2}]"}
        wired |= {"accumulator": f"sum[{r - 1}:0]", "invalid": f"sum[{r}]"}
        return f"""// take, first and last stand above the activations.
reg {vector(a)} right;
reg {vector(w)} below;
always @(posedge clk)
    if (en) begin
        right <= from_left;
        below <= from_above;
    end
assign to_right = right;
assign to_below = below;
{unit} unit (
{associations({port.name: wired[port.name] for port in unit_ports})}
);
"""

    def body(self) -> str:
        rows, cols = self.array.rows, self.array.cols
        a, w, s = self.activation_bits, self.operand_bits("weight"), self.sum_bits
        wired = {
            "clk": "clk",
            "en": "en",
            "from_left": f"right[(i*{cols + 1} + j)*{a} +: {a}]",
            "from_above": f"below[(i*{cols} + j)*{w} +: {w}]",
            "to_right": f"right[(i*{cols + 1} + j + 1)*{a} +: {a}]",
            "to_below": f"below[((i + 1)*{cols} + j)*{w} +: {w}]",
            # A column's sums stand side by side, for its drain.
            "sum": f"sums[(j*{rows} + i)*{s} +: {s}]",
        }
        element = f"{self.array.name}_element element (\n{associations(wired)}\n);"
        return "\n".join(
            [
                "// Words that have been skewed enter at the left and at the top.",
                self.skew("left", a, f"{{take, first, last, {self.operand_word('activation', 'i')}}}", rows),
                self.skew("top", w, self.operand_word("weight", "i"), cols),
                f"wire {vector(rows * (cols + 1) * a)} right;",
                f"wire {vector((rows + 1) * cols * w)} below;",
                f"wire {vector(rows * cols * s)} sums;",
                f"assign below[{cols * w - 1}:0] = top;",
                each("i", rows, "enter", f"assign right[i*{(cols + 1) * a} +: {a}] = left[i*{a} +: {a}];"),
                each("i", rows, "row", each("j", cols, "col", element)),
                "// Behind the last step of its bottom row, a column is drained.",
                each("j", cols, "results", self._drain()),
                f"wire unused_below = &below[{(rows + 1) * cols * w - 1}:{rows * cols * w}];",
                "wire unused_right = &right;",
                "",
            ]
        )

    def _drain(self) -> str:
        rows, cols, a, s = self.array.rows, self.array.cols, self.activation_bits, self.sum_bits
        behind = f"right[({(rows - 1) * (cols + 1)} + j + 1)*{a}"
        wired = {
            "clk": "clk",
            "en": "en",
            "copy": f"{behind} + {a - 1}] & {behind} + {a - 3}]",
            "sums": f"sums[j*{rows * s} +: {rows * s}]",
            "result": "result",
            "valid": "valid[j]",
        }
        return (
            f"wire {vector(s)} result;\n"
            f"{instance('dm_drain', 'drain', {'ROWS': rows, 'BITS': s}, wired)}\n{self.outputs('result')}"
        )
