"""The output-stationary array whose next sums begin while the last ones leave, so that folds follow without a gap.

Behind its last step an element copies its sum into a second register, and with the skew the rows below do so later. A
column's sums therefore wait until its bottom row has copied its own, and then all move down together, the bottom row's
out first. Row i has handed on those of the rows above it `rows` edges after its last copy: just in time for the next.
"""

from collections.abc import Sequence

from densimeter.rtl.array.wiring import Wiring, each
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import associations, vector


class DoubleBufferedResults(Wiring):
    """Text of an output-stationary array with two sums an element."""

    @property
    def activation_bits(self) -> int:
        """take, first and last travel above the activations."""
        return self.operand_bits("activation") + 3

    @property
    def leaving_bits(self) -> int:
        """A sum, with a bit above that tells it from nothing."""
        return self.sum_bits + 1

    def element_ports(self) -> list[Port]:
        a, w, leaving = self.activation_bits, self.operand_bits("weight"), self.leaving_bits
        return [
            Port("clk", "input", 1, ""),
            Port("en", "input", 1, ""),
            Port("from_left", "input", a, ""),
            Port("from_above", "input", w, ""),
            Port("sum_from_above", "input", leaving, ""),
            Port("wait_for_below", "input", 1, ""),
            Port("to_right", "output", a, ""),
            Port("to_below", "output", w, ""),
            Port("sum_to_below", "output", leaving, ""),
            Port("finished", "output", 1, ""),
        ]

    def element(self, unit: str, unit_ports: Sequence[Port]) -> str:
        a, w, r = self.activation_bits, self.operand_bits("weight"), self.datapath.register_bits
        wired = self.operand_connections("activation", "from_left") | self.operand_connections("weight", "from_above")
        wired |= {"clk": "clk", "en": f"en & from_left[{a - 1}]", "clear": f"from_left[{a - 2}]"}
        wired |= {"accumulator": f"sum[{r - 1}:0]", "invalid": f"sum[{r}]"}
        return f"""// take, first and last stand above the activations.
reg {vector(a)} right;
reg {vector(w)} below;
wire {vector(self.sum_bits)} sum;
reg {vector(self.leaving_bits)} leaving; // this element's sum or one from above; the top bit tells it from nothing
assign finished = right[{a - 1}] & right[{a - 3}];
always @(posedge clk)
    if (en) begin
        right <= from_left;
        below <= from_above;
        if (finished) leaving <= {{1'b1, sum}};
        else if (!wait_for_below) leaving <= sum_from_above;
    end
assign to_right = right;
assign to_below = below;
assign sum_to_below = leaving;
{unit} unit (
{associations({port.name: wired[port.name] for port in unit_ports})}
);
"""

    def body(self) -> str:
        rows, cols = self.array.rows, self.array.cols
        a, w, leaving = self.activation_bits, self.operand_bits("weight"), self.leaving_bits
        wired = {
            "clk": "clk",
            "en": "en",
            "from_left": f"right[(i*{cols + 1} + j)*{a} +: {a}]",
            "from_above": f"below[(i*{cols} + j)*{w} +: {w}]",
            "sum_from_above": f"leaving[(i*{cols} + j)*{leaving} +: {leaving}]",
            "wait_for_below": f"|(finished[j*{rows} +: {rows}] >> (i + 1))",
            "to_right": f"right[(i*{cols + 1} + j + 1)*{a} +: {a}]",
            "to_below": f"below[((i + 1)*{cols} + j)*{w} +: {w}]",
            "sum_to_below": f"leaving[((i + 1)*{cols} + j)*{leaving} +: {leaving}]",
            # A column's bits stand side by side: one above the bottom row waits while a row below it finishes.
            "finished": f"finished[j*{rows} + i]",
        }
        element = f"{self.array.name}_element element (\n{associations(wired)}\n);"
        results = (
            f"wire {vector(leaving)} result = leaving[({rows * cols} + j)*{leaving} +: {leaving}];\n"
            f"assign valid[j] = result[{leaving - 1}];\n{self.outputs('result')}"
        )
        return "\n".join(
            [
                "// Words that have been skewed enter at the left and at the top.",
                self.skew("left", a, f"{{take, first, last, {self.operand_word('activation', 'i')}}}", rows),
                self.skew("top", w, self.operand_word("weight", "i"), cols),
                f"wire {vector(rows * (cols + 1) * a)} right;",
                f"wire {vector((rows + 1) * cols * w)} below;",
                f"wire {vector((rows + 1) * cols * leaving)} leaving;",
                f"wire {vector(rows * cols)} finished;",
                f"assign below[{cols * w - 1}:0] = top;",
                f"assign leaving[{cols * leaving - 1}:0] = 0;",
                each("i", rows, "enter", f"assign right[i*{(cols + 1) * a} +: {a}] = left[i*{a} +: {a}];"),
                each("i", rows, "row", each("j", cols, "col", element)),
                each("j", cols, "results", results),
                f"wire unused_below = &below[{(rows + 1) * cols * w - 1}:{rows * cols * w}];",
                "wire unused_right = &right;",
                "",
            ]
        )
