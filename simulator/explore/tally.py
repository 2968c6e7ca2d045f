"""What became of the designs of a part, or of a whole run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from densimeter.simulator.explore.stages import Refusal, merged_refusals


@dataclass(frozen=True)
class Tally:
    """What became of designs: pruned by constraints on settings, infeasible (they cannot be built), rejected by
    constraints on results, or accepted. refusals: why designs are infeasible, by kind, with the lowest row name."""

    pruned: int = 0
    rejected: int = 0
    accepted: int = 0
    refusals: Mapping[str, Refusal] = field(default_factory=dict)

    @property
    def infeasible(self) -> int:
        return sum(refusal.count for refusal in self.refusals.values())

    @property
    def designs(self) -> int:
        return self.pruned + self.infeasible + self.rejected + self.accepted

    def counts(self) -> dict[str, int]:
        """Designs in all, those that were evaluated, and what became of them."""
        evaluated = self.rejected + self.accepted
        return {"designs": self.designs, "evaluated": evaluated, "accepted": self.accepted} | {
            name: getattr(self, name) for name in ("pruned", "infeasible", "rejected")
        }

    def to_json(self) -> dict[str, Any]:
        """As a file keeps it."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Tally":
        refusals = {kind: Refusal(**refusal) for kind, refusal in data["refusals"].items()}
        return Tally(data["pruned"], data["rejected"], data["accepted"], refusals)

    def __add__(self, other: "Tally") -> "Tally":
        refusals = dict(self.refusals)
        for kind, refusal in other.refusals.items():
            refusals[kind] = merged_refusals(refusals.get(kind), refusal)
        return Tally(
            self.pruned + other.pruned, self.rejected + other.rejected, self.accepted + other.accepted, refusals
        )
