"""What all arrays share: the words that move through them, and how they are skewed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.rtl.array.declaration import SystolicArray
from densimeter.rtl.ports import Port, operand_ports
from densimeter.rtl.syntax import instance, vector


@dataclass(frozen=True)
class Wiring(ABC):
    """What all arrays share: the words that move, and how they are skewed."""

    array: SystolicArray

    @property
    def datapath(self) -> Datapath:
        return self.array.datapath

    def operand_bits(self, side: str) -> int:
        """Width of one operand's word: its codes, with its scale above them."""
        return sum(port.bits for port in self._ports_of(side))

    @property
    def sum_bits(self) -> int:
        """A register, with its invalid flag above where there is one."""
        return self.datapath.register_bits + self.datapath.has_invalid_flag

    def _ports_of(self, side: str) -> list[Port]:
        return [port for port in operand_ports(self.datapath) if port.name.startswith(side)]

    def operand_word(self, side: str, index: str) -> str:
        """Expression: the word of row or column `index`, from the array's ports."""
        return _concatenate([f"{p.name}[{index}*{p.bits} +: {p.bits}]" for p in reversed(self._ports_of(side))])

    def operand_connections(self, side: str, word: str) -> dict[str, str]:
        """The unit's ports of that operand, as slices of a word."""
        found, low = {}, 0
        for port in self._ports_of(side):
            found[port.name] = f"{word}[{low + port.bits - 1}:{low}]"
            low += port.bits
        return found

    def outputs(self, word: str) -> str:
        """Column j's register and flag at the array's ports, from a word of `sum_bits`."""
        bits = self.datapath.register_bits
        text = f"assign accumulator[j*{bits} +: {bits}] = {word}[{bits - 1}:0];"
        return f"{text}\nassign invalid[j] = {word}[{bits}];" if self.datapath.has_invalid_flag else text

    def chained_unit_connections(self, weight: str) -> dict[str, str]:
        """Ports, all but `en`, of a unit that sums pass through from above to below; `weight` names its weights."""
        r = self.datapath.register_bits
        return {
            "clk": "clk",
            **self.operand_connections("activation", "from_left"),
            **self.operand_connections("weight", weight),
            "previous": f"sum_from_above[{r - 1}:0]",
            "previous_invalid": f"sum_from_above[{r}]",
            "accumulator": f"sum_to_below[{r - 1}:0]",
            "invalid": f"sum_to_below[{r}]",
        }

    def bottom_results(self) -> str:
        """Column j's outputs, where sums leave at the bottom with the step that `take` marks."""
        rows, cols, a, s = self.array.rows, self.array.cols, self.activation_bits, self.sum_bits
        return (
            f"wire {vector(s)} result = sums[({rows * cols} + j)*{s} +: {s}];\n"
            f"assign valid[j] = right[({(rows - 1) * (cols + 1)} + j + 1)*{a} + {a - 1}];\n{self.outputs('result')}"
        )

    @staticmethod
    def skew(name: str, bits: int, word: str, count: int) -> str:
        """Wires `<name>`: the word of each row or column, delayed by its index."""
        delay = instance(
            "dm_delay",
            "delay",
            {"BITS": bits, "CYCLES": "i"},
            {"clk": "clk", "en": "en", "now": word, "later": f"{name}[i*{bits} +: {bits}]"},
        )
        return f"wire {vector(count * bits)} {name};\n" + each("i", count, f"skew_{name}", delay)

    @property
    @abstractmethod
    def activation_bits(self) -> int:
        """Width of the word that moves right: a step's activations and its control bits."""

    @abstractmethod
    def element_ports(self) -> list[Port]:
        """Ports of a processing element."""

    @abstractmethod
    def element(self, unit: str, unit_ports: Sequence[Port]) -> str:
        """Body of a processing element: its registers, and an instance of the module `unit`."""

    @abstractmethod
    def body(self) -> str:
        """Body of the array: its skew, its elements and its outputs."""


def each(index: str, count: int, label: str, text: str) -> str:
    """A generate loop over `text`."""
    inside = text.replace("\n", "\n    ")
    return f"for (genvar {index} = 0; {index} < {count}; {index} = {index} + 1) begin : {label}\n    {inside}\nend"


def _concatenate(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{{{', '.join(words)}}}"
