"""The row that `evaluate` gives: a dict, which a notebook shows as tables; changes when it should look different."""

from typing import Any


class ResultRow(dict[str, Any]):
    """A unit's figures, or a machine's with its layers, by the names that `--json` prints."""

    @property
    def is_machine(self) -> bool:
        return "products" in self

    def _repr_html_(self) -> str:
        from densimeter.reports import machine, unit

        return machine.to_html(self) if self.is_machine else unit.to_html(self)
