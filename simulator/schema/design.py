"""The YAML of a design point: an accelerator, the formats that its tensors are stored in, and what it has to run."""

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from densimeter.formats import FormatError, get
from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.accelerator.mixture import Mixture
from densimeter.hwmodels.dram import Dram, dram
from densimeter.hwmodels.systolic import Dataflow
from densimeter.simulator.schema.design_accuracy import AccuracyField
from densimeter.simulator.schema.fields import FormatField, StrictModel, UnitField
from densimeter.simulator.workloads.language_models import language_model

# A prefill's products have batch * (context + tokens) rows, at most 2**24 * 2**25 here: with a group of queries for
# each key still below 2**53, up to which float64 holds every integer; the machine model's arithmetic rests on that.
Size = Annotated[int, Field(ge=1, le=2**24, strict=True)]
# Wide enough for any machine, and narrow enough for no figure to become infinite.
Positive = Annotated[float, Field(ge=1e-12, le=1e12)]
Share = Annotated[float, Field(gt=0, le=1)]
# Half of 2**40 KiB are 2**52 bits.
Kibibytes = Annotated[float, Field(gt=0, le=2**40)]


class MixtureField(StrictModel):
    """Weights in several formats: the share of each, and of outliers that stand in a list of (value, index) besides."""

    mixture: Annotated[dict[str, Share], Field(min_length=1)]
    outlier_share: Annotated[float, Field(ge=0, lt=1)] = 0
    outlier_bits: Size = 32

    @model_validator(mode="after")
    def _shares_add_up(self) -> "MixtureField":
        try:
            self.stored()
        except (ConfigError, FormatError) as error:
            raise ValueError(str(error)) from error
        return self

    def stored(self) -> Mixture:
        """As the machine model takes it."""
        shares = tuple((get(name), Fraction(str(share))) for name, share in self.mixture.items())
        return Mixture(shares, Fraction(str(self.outlier_share)), self.outlier_bits)


class LayerStorageField(StrictModel):
    """Formats of the weight and of the input of some linear layers."""

    weight: FormatField | None = None
    activation: FormatField | None = None


class StorageField(StrictModel):
    """Formats in DRAM and buffers, where they are not those that the units compute in.

    weight, activation: default to the unit's. kv: of keys and values alike. query and probability, the operands of
    attention that are not cached, default to `activation`; `output` is the model's result. layers: what differs in
    linear layers whose dotted path in the model matches a pattern such as "*.down_proj" or "model.layers.0.*"; the last
    match wins, format by format.
    """

    weight: FormatField | MixtureField | None = None
    activation: FormatField | None = None
    kv: FormatField | None = None
    key: FormatField | None = None
    value: FormatField | None = None
    query: FormatField | None = None
    probability: FormatField | None = None
    output: FormatField | None = None
    layers: dict[str, LayerStorageField] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _cache_named_once(self) -> "StorageField":
        if self.kv is not None and (self.key is not None or self.value is not None):
            raise ValueError("kv stands for key and value, expected either kv or these")
        return self


class ArrayField(StrictModel):
    """Rows and columns of units, and what stays in them."""

    rows: Size
    cols: Size
    dataflow: Dataflow = "weight_stationary"
    double_buffered: bool = True


class BuffersField(StrictModel):
    """Sizes of the three buffers in KiB, both halves of each."""

    activation_kib: Kibibytes = 512
    weight_kib: Kibibytes = 512
    sum_kib: Kibibytes = 256


class DramField(StrictModel):
    """The memory: a known device or one's own by its figures, `count` of them; efficiency: the share of its bandwidth
    that is reached."""

    device: str | None = None
    count: Size = 1
    bandwidth_gb_s: Positive | None = None
    energy_pj_per_bit: Positive | None = None
    capacity_gib: Positive | None = None
    efficiency: Share = 1.0

    @model_validator(mode="after")
    def _one_memory(self) -> "DramField":
        try:
            self.memory()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def memory(self) -> Dram:
        """All devices as one memory."""
        own = (self.bandwidth_gb_s, self.energy_pj_per_bit, self.capacity_gib)
        if self.device is not None:
            if any(figure is not None for figure in own):
                raise ConfigError("device has its own figures, expected either a device or figures")
            return dram(self.device).several(self.count)
        bandwidth_gb_s, energy_pj_per_bit, capacity_gib = own
        if bandwidth_gb_s is None or energy_pj_per_bit is None or capacity_gib is None:
            raise ConfigError("expected a device, or bandwidth_gb_s, energy_pj_per_bit and capacity_gib")
        return Dram("own", bandwidth_gb_s, energy_pj_per_bit, capacity_gib, "the design").several(self.count)


class OverlapField(StrictModel):
    """What goes on while the array computes, and how many operand values a cycle its converters take (default: all)."""

    transfer: bool = True
    conversion: bool = True
    conversions_per_cycle: Annotated[float, Field(ge=1e-12)] = float("inf")


class WorkloadField(StrictModel):
    """What the machine runs: a language model, by name, id or the path of its config.json; or a list of products.

    context: tokens of a prompt, or those that a decode step attends to. tokens: new ones of a generation. query_tile:
    queries of a prefill that leave out masked keys together (default: all pairs are computed).
    """

    model: str | None = None
    gemms: Path | None = None
    phase: Literal["prefill", "decode", "generate"] = "decode"
    batch: Size = 1
    context: Size = 2048
    tokens: Size = 1
    query_tile: Size | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "WorkloadField":
        if (self.model is None) == (self.gemms is None):
            raise ValueError("expected a model, or a file of gemms")
        try:
            if self.model is not None:
                language_model(self.model)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if self.gemms is not None and not self.gemms.is_file():
            raise ValueError(f"expected the path of a list of products, but there is no file {str(self.gemms)!r}")
        return self


class DesignPoint(UnitField):
    """One machine with one workload. format, activation, lanes and accumulator say what its units compute in.

    synthesize: whether a unit that is not on record is synthesised, which takes seconds to minutes and is kept, rather
    than estimated. accuracy: on which model and text its numbers are judged; without it, they are not.
    """

    storage: StorageField = StorageField()
    array: ArrayField
    buffers: BuffersField = BuffersField()
    dram: DramField
    overlap: OverlapField = OverlapField()
    clock_mhz: Positive | None = None
    node_nm: Positive = 45
    sram_cells: Literal["itrs-hp", "itrs-lop", "itrs-lstp"] = "itrs-lstp"
    vector_lanes: Size | None = None
    workload: WorkloadField
    synthesize: bool = False
    accuracy: AccuracyField | None = None
