"""The accelerator that is modelled: a systolic array of dot-product units, three buffers, DRAM, and what joins them.

    DRAM - activation buffer - converters - array of rows x cols elements - sum buffer - vector unit - converters
           weight buffer     - converters -'                                             (to the activation buffer)

Each buffer has two equal halves: one is worked on while the other is filled or emptied. A half has as many banks as its
port to the array is wide, or as many as it takes to keep up with the clock.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

from densimeter.formats import BlockFormat, Datapath, derive, get, parse_accumulator
from densimeter.formats.errors import ConfigError, nearest
from densimeter.hwmodels.accelerator.mixture import Stored, formats_of
from densimeter.hwmodels.dram import Dram
from densimeter.hwmodels.gemm import Gemm, Operand
from densimeter.hwmodels.systolic import DATAFLOWS, Dataflow
from densimeter.rtl.ports import operand_ports

LOGIC_LIBRARY, LOGIC_NODE_NM = "nangate45", 45.0
"""The cell library that logic is synthesised in, and its node, from which other nodes are scaled."""


@dataclass(frozen=True)
class Buffers:
    """Bytes of the three on-chip buffers, both halves of each."""

    activation_bytes: int
    weight_bytes: int
    sum_bytes: int

    def __post_init__(self) -> None:
        for name in ("activation_bytes", "weight_bytes", "sum_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 1 or more")


@dataclass(frozen=True)
class Machine:
    """A design. Raises ConfigError for a size or share out of range.

    datapath: the unit of each of the rows * cols elements. clock_mhz: None for the fastest that the unit reaches.
    double_buffered: elements load the next fold's stationary operand while they work on this one's.
    dram_efficiency: the share of the memory's bandwidth that is reached. transfer_overlaps: DRAM is read and written
    while the array computes. conversions_per_cycle: operand values that the converters at the array's edge take;
    conversion_overlaps: while it computes. vector_lanes: float32 operations a cycle outside the array; None for eight a
    column, as beside the 128 x 128 arrays of TPU v2 and v3 (Norrie et al., IEEE Micro 41:2, 2021). synthesize: whether
    area and period of a unit that is not on record are synthesised, in seconds to minutes, rather than estimated.
    """

    datapath: Datapath
    rows: int
    cols: int
    buffers: Buffers
    dram: Dram
    dataflow: Dataflow = "weight_stationary"
    double_buffered: bool = True
    clock_mhz: float | None = None
    node_nm: float = LOGIC_NODE_NM
    sram_cell_type: str = "itrs-lstp"
    dram_efficiency: float = 1.0
    transfer_overlaps: bool = True
    conversions_per_cycle: float = math.inf
    conversion_overlaps: bool = True
    vector_lanes: int | None = None
    synthesize: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "cols", "vector_lanes"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ConfigError(f"{name} is {size}, expected 1 or more")
        if self.dataflow not in DATAFLOWS:
            known = ", ".join(DATAFLOWS)
            raise ConfigError(f"dataflow is {self.dataflow!r}, expected {known}{nearest(self.dataflow, DATAFLOWS)}")
        if not 0 < self.dram_efficiency <= 1:
            raise ConfigError(f"dram_efficiency is {self.dram_efficiency}, expected a share above 0 and up to 1")
        for name in ("conversions_per_cycle", "clock_mhz", "node_nm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value}, expected a number above 0")

    @property
    def macs_per_cycle(self) -> int:
        return self.rows * self.cols * self.datapath.lanes

    @property
    def vector_operations_per_cycle(self) -> int:
        return self.vector_lanes or 8 * self.cols

    @property
    def activation_bits(self) -> float:
        """Bits that carry one activation into an element, its share of the group's scale included."""
        return _operand_bits(self.datapath, "activation")

    @property
    def weight_bits(self) -> float:
        return _operand_bits(self.datapath, "weight")


FIRST: tuple[Operand, ...] = ("activation", "query", "probability")
SECOND: tuple[Operand, ...] = ("weight", "key", "value")


@dataclass(frozen=True)
class ProductFormats:
    """Formats of one product's operands and result that are not those of their kind; None for those that are."""

    first: BlockFormat | None = None
    second: BlockFormat | None = None
    result: BlockFormat | None = None


@dataclass(frozen=True)
class Storage:
    """The format that each tensor has in DRAM and in the buffers; what is None is stored as the activations are.

    Probabilities are the attention's weights after softmax; `output` is the model's own result. Weights may be stored
    in a mixture of formats. products: by name, those of a workload whose tensors have formats of their own. apart: how
    many values of the model's matrices are stored in another format than `weight`.
    """

    activation: BlockFormat
    weight: Stored
    key: BlockFormat | None = None
    value: BlockFormat | None = None
    query: BlockFormat | None = None
    probability: BlockFormat | None = None
    output: BlockFormat = field(default_factory=lambda: get("float32"))
    products: tuple[tuple[str, ProductFormats], ...] = ()
    apart: tuple[tuple[BlockFormat, int], ...] = ()

    def of(self, operand: str) -> Stored:
        """The format of an `Operand` of `hwmodels.gemm`."""
        stored: Stored | None = getattr(self, operand)
        return stored or self.activation

    def of_product(self, gemm: Gemm) -> tuple[Stored, Stored, Stored]:
        """The formats of its first and second operand and of its result."""
        own = dict(self.products).get(gemm.name, ProductFormats())
        return own.first or self.of(gemm.first), own.second or self.of(gemm.second), own.result or self.of(gemm.result)

    @property
    def first_formats(self) -> list[BlockFormat]:
        """All that streamed operands are stored in."""
        kinds = [fmt for operand in FIRST for fmt in formats_of(self.of(operand))]
        return list(dict.fromkeys([*kinds, *(own.first for _, own in self.products if own.first)]))

    @property
    def second_formats(self) -> list[BlockFormat]:
        """All that held operands are stored in."""
        kinds = [fmt for operand in SECOND for fmt in formats_of(self.of(operand))]
        return list(dict.fromkeys([*kinds, *(own.second for _, own in self.products if own.second)]))

    @property
    def result_formats(self) -> list[BlockFormat]:
        """All that activations are stored in as they are produced."""
        return list(dict.fromkeys([self.activation, *(own.result for _, own in self.products if own.result)]))

    def weight_bits(self, values: int) -> Fraction:
        """Stored bits of the model's matrices, which hold so many values, scales included."""
        apart = sum((count * fmt.bits_per_value for fmt, count in self.apart), Fraction(0))
        return (values - sum(count for _, count in self.apart)) * self.weight.bits_per_value + apart


def vector_datapath() -> Datapath:
    """The unit that stands for one lane of the vector unit: a float32 multiply-accumulate."""
    float32 = get("float32")
    return derive(float32, float32, 1, parse_accumulator("fp32"))


def _operand_bits(datapath: Datapath, side: str) -> float:
    return sum(port.bits for port in operand_ports(datapath) if port.name.startswith(side)) / datapath.lanes
