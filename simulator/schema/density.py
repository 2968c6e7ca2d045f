"""The YAML of `densimeter density`: which units, which synthesis flows and cell libraries, which real numbers."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from densimeter.simulator.schema.document import Document, parse
from densimeter.simulator.schema.fields import StrictModel, UnitField

Flow = Literal["carry", "carry_booth", "star", "booth"]


class Baselines(StrictModel):
    """The units that every other one is compared with."""

    float32: UnitField
    int8_mac: UnitField
    int8_dot: UnitField


class DensityConfig(StrictModel):
    """A density table. The first flow and the first library are those of the headline columns.

    workload: "minilm" (the model that `make demo` installs) or the path of a .npy or .safetensors file of weights.
    """

    flows: Annotated[tuple[Flow, ...], Field(min_length=1)] = ("carry", "star", "booth")
    libraries: tuple[str, ...] = ("nangate45", "osu018")
    workload: str = "minilm"
    max_tokens: Annotated[int, Field(ge=3, le=100_000)] = 1024
    baselines: Baselines
    units: Annotated[tuple[UnitField, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _no_repetition(self) -> "DensityConfig":
        for name, values in (("flows", self.flows), ("libraries", self.libraries)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice: {', '.join(values)}")
        return self

    @property
    def workload_path(self) -> Path | None:
        """The file of the workload, or None for the packaged model."""
        return None if self.workload == "minilm" else Path(self.workload)


def default_document() -> Document:
    """The built-in configuration, that of `densimeter density`."""
    text = resources.files("densimeter.simulator.configs").joinpath("density.yaml").read_text(encoding="utf-8")
    return parse(text, "density.yaml")
