"""The weight-stationary array whose next weights enter while it works, so that folds follow without a gap.

A weight on its way down passes the second register of every row above its own. The last of these holds it until a swap
travels past with the skew, one edge ahead of the first step that the weight is for. Row i keeps what the second
register of row i - 1 held, and row 0 the word that is entering, so the last word of a load sets off the swap.

Row i takes the words for the rows below it i edges after they entered, with the skew. It has the last of them, row
i + 1's, before the load ends. Row i + 1 keeps it i + 1 edges after the load's end, and at that very edge the first word
of the next load may take its place: loads need no gap either.
"""

from collections.abc import Sequence

from densimeter.rtl.array.wiring import Wiring, each
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import associations, vector


class DoubleBufferedWeights(Wiring):
    """Text of a weight-stationary array with two weights an element."""

    @property
    def activation_bits(self) -> int:
        """take, swap and pass travel above the activations."""
        return self.operand_bits("activation") + 3

    def element_ports(self) -> list[Port]:
        a, w, s = self.activation_bits, self.operand_bits("weight"), self.sum_bits
        return [
            Port("clk", "input", 1, ""),
            Port("en", "input", 1, ""),
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
        return f"""// take, swap and pass stand above the activations.
reg {vector(a)} right;
reg {vector(w)} passing; // on its way down, or what the element below keeps next
reg {vector(w)} kept;
always @(posedge clk)
    if (en) begin
        right <= from_left;
        if (from_left[{a - 3}]) passing <= weight_from_above;
        if (from_left[{a - 2}]) kept <= weight_from_above;
    end
assign to_right = right;
assign weight_to_below = passing;
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
            "from_left": f"right[(i*{cols + 1} + j)*{a} +: {a}]",
            "weight_from_above": f"weights[(i*{cols} + j)*{w} +: {w}]",
            "sum_from_above": f"sums[(i*{cols} + j)*{s} +: {s}]",
            "to_right": f"right[(i*{cols + 1} + j + 1)*{a} +: {a}]",
            "weight_to_below": f"weights[((i + 1)*{cols} + j)*{w} +: {w}]",
            "sum_to_below": f"sums[((i + 1)*{cols} + j)*{s} +: {s}]",
        }
        element = f"{self.array.name}_element element (\n{associations(wired)}\n);"
        partial = f"previous[i*{r} +: {r}]"
        partial = f"{{previous_invalid[i], {partial}}}" if self.datapath.has_invalid_flag else partial
        step = f"{{take, swap, load & below[i], {self.operand_word('activation', 'i')}}}"
        return "\n".join(
            [
                "// The rows above the one that the weights now entering are for: one fewer after every word.",
                f"reg {vector(rows)} below;",
                f"always @(posedge clk) if (en) below <= load & below[0] ? below >> 1 : {{{rows}{{1'b1}}}} >> 1;",
                "wire swap = load & ~below[0]; // they are row 0's, the last",
                "// Steps and weights that have been skewed enter at the left and at the top.",
                self.skew("left", a, step, rows),
                self.skew("top", w, self.operand_word("weight", "i"), cols),
                f"wire {vector(rows * (cols + 1) * a)} right;",
                f"wire {vector((rows + 1) * cols * w)} weights;",
                f"wire {vector((rows + 1) * cols * s)} sums;",
                f"assign weights[{cols * w - 1}:0] = top;",
                each("i", cols, "sum_in", f"assign sums[i*{s} +: {s}] = {partial};"),
                each("i", rows, "enter", f"assign right[i*{(cols + 1) * a} +: {a}] = left[i*{a} +: {a}];"),
                each("i", rows, "row", each("j", cols, "col", element)),
                each("j", cols, "results", self.bottom_results()),
                f"wire unused_weights = &weights[{(rows + 1) * cols * w - 1}:{rows * cols * w}];",
                "wire unused_right = &right;",
                "",
            ]
        )
