"""The bench's monitor: reads what the unit's outputs show."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs of one cycle; None where a bit is unknown (X)."""

    register: int | None
    invalid: int | None


class Monitor:
    """Samples the unit's outputs; `invalid` only where the unit has that port."""

    def __init__(self, dut: Any, *, has_invalid: bool) -> None:
        self._register = dut.accumulator
        self._invalid = dut.invalid if has_invalid else None

    def sample(self) -> Outputs:
        return Outputs(_known(self._register), None if self._invalid is None else _known(self._invalid))


def _known(port: Any) -> int | None:
    # Through the text: a cocotb array looks at its bits one by one, in Python.
    bits = str(port.value)
    return None if set(bits) - {"0", "1"} else int(bits, 2)
