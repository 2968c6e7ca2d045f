"""YAML fields that more than one schema uses: a format, an accumulator, an arithmetic unit."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from densimeter.formats import (
    Accumulator,
    BlockFormat,
    Datapath,
    FormatError,
    default_lanes,
    derive,
    get,
    parse,
    parse_accumulator,
)


def _format(written: Any) -> BlockFormat:
    """A catalog name or a mapping; pydantic reports ValueErrors only, with their place in the file."""
    if isinstance(written, BlockFormat):
        return written
    try:
        return get(written) if isinstance(written, str) else parse(written)
    except FormatError as error:
        raise ValueError(str(error)) from error


def _accumulator(written: Any) -> Accumulator:
    if isinstance(written, Accumulator):
        return written
    try:
        return parse_accumulator(str(written))
    except FormatError as error:
        raise ValueError(str(error)) from error


FormatField = Annotated[
    BlockFormat,
    BeforeValidator(_format),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "required": ["element"]}]}),
]
AccumulatorField = Annotated[Accumulator, BeforeValidator(_accumulator), WithJsonSchema({"type": "string"})]


class StrictModel(BaseModel):
    """A YAML mapping: unknown keys are errors, and nothing changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class UnitField(StrictModel):
    """A multiply-accumulate unit: `format` is the weight's format, and the activation's unless that is given."""

    format: FormatField
    activation: FormatField | None = None
    lanes: Annotated[int, Field(ge=1, le=256)] | None = None
    accumulator: AccumulatorField

    @model_validator(mode="after")
    def _unit_exists(self) -> "UnitField":
        try:
            self.datapath()
        except FormatError as error:
            raise ValueError(str(error)) from error
        return self

    def datapath(self) -> Datapath:
        """The unit's widths; `lanes` defaults to one block, or to 1 without blocks."""
        activation = self.activation or self.format
        lanes = default_lanes(activation, self.format) if self.lanes is None else self.lanes
        return derive(activation, self.format, lanes, self.accumulator)
