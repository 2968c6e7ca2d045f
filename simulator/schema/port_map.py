"""The YAML of `densimeter rtl test --ports`: how a user's own module is wired in place of a generated unit."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from densimeter.simulator.schema.fields import StrictModel


class PortUse(StrictModel):
    """The user's port, whether it is active low, and where lane 0 of its codes stands."""

    port: str
    invert: bool = False
    lanes: Literal["low_first", "reversed"] = "low_first"


def _spelled_out(written: Any) -> Any:
    return {"port": written} if isinstance(written, str) else written


class PortMap(StrictModel):
    """Ports by our names; a port that is not named has the same name on both sides.

    `en: null` says that there is no enable: the clock stops instead. constants: values of further inputs. latency:
    clock edges by which the register comes later than the reference's. stalls: `en` low holds the whole pipeline,
    instead of sending a bubble through it. parameters: of the user's module.
    """

    ports: dict[str, Annotated[PortUse, BeforeValidator(_spelled_out)] | None] = Field(default_factory=dict)
    constants: dict[str, Annotated[int, Field(ge=0, strict=True)]] = Field(default_factory=dict)
    latency: Annotated[int, Field(ge=0, le=64)] = 0
    stalls: bool = False
    parameters: dict[str, Annotated[int, Field(strict=True)]] = Field(default_factory=dict)
