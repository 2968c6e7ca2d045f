"""How well a model predicts a text, and how far its predictions are from those of another one.

Figures a token first, means with standard errors after; perplexity is the exponential of the mean surprise.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

_POSITIONS_AT_ONCE = 128  # [128, vocabulary] float32 several times over, instead of all positions of a window


class Estimate(NamedTuple):
    """A mean over tokens and its standard error, as if tokens were independent: a lower bound, in running text."""

    mean: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class TokenScores:
    """Of every scored token, in order, float64.

    surprise: -ln p of the token, in nats. reference_surprise: the reference's. divergence: KL divergence of the
    prediction from the reference's, in nats. agreement: 1 where both put the same token first.
    """

    surprise: NDArray[np.float64]
    reference_surprise: NDArray[np.float64]
    divergence: NDArray[np.float64]
    agreement: NDArray[np.float64]

    @property
    def perplexity(self) -> Estimate:
        """exp of the mean surprise; its error to first order."""
        return _exponential(estimate(self.surprise))

    @property
    def reference_perplexity(self) -> Estimate:
        return _exponential(estimate(self.reference_surprise))

    @property
    def perplexity_ratio(self) -> Estimate:
        """Of this model's to the reference's; token by token, so that the text's own variance cancels."""
        return _exponential(estimate(self.surprise - self.reference_surprise))

    def __add__(self, other: "TokenScores") -> "TokenScores":
        mine, others = vars(self), vars(other)
        return TokenScores(**{name: np.concatenate([mine[name], others[name]]) for name in mine})


NOTHING = TokenScores(*(np.empty(0) for _ in range(4)))


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Mean and standard error; NaN where there are too few values for one."""
    error = float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Estimate(float(values.mean()) if values.size else math.nan, error)


def compare(logits: torch.Tensor, reference: torch.Tensor, following: list[int]) -> TokenScores:
    """Score predictions ``[tokens, vocabulary]`` of the tokens `following` beside the reference's."""
    wanted = torch.tensor(following)
    parts = []
    for start in range(0, len(wanted), _POSITIONS_AT_ONCE):
        some = slice(start, start + _POSITIONS_AT_ONCE)
        parts.append(_compare(logits[some].float(), reference[some].float(), wanted[some]))
    return sum(parts, NOTHING)


def _compare(logits: torch.Tensor, reference: torch.Tensor, following: torch.Tensor) -> TokenScores:
    found, expected = torch.log_softmax(logits, dim=-1), torch.log_softmax(reference, dim=-1)
    divergence = (expected.exp() * (expected - found)).sum(dim=-1, dtype=torch.float64)
    chosen = following[:, None]
    return TokenScores(
        surprise=_doubles(-found.gather(1, chosen)[:, 0]),
        reference_surprise=_doubles(-expected.gather(1, chosen)[:, 0]),
        divergence=_doubles(divergence),
        agreement=_doubles(found.argmax(dim=-1) == expected.argmax(dim=-1)),
    )


def _doubles(values: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.double().numpy()
    return array


def _exponential(of: Estimate) -> Estimate:
    """exp of an estimate; infinite where it is beyond float64."""
    mean = math.exp(of.mean) if of.mean < math.log(np.finfo(np.float64).max) else math.inf
    return Estimate(mean, mean * of.standard_error)


def to_json(scores: TokenScores) -> dict[str, Any]:
    """The means that a row reports, each with its standard error."""
    figures = {
        "perplexity": scores.perplexity,
        "reference_perplexity": scores.reference_perplexity,
        "perplexity_ratio": scores.perplexity_ratio,
        "kl_nats": estimate(scores.divergence),
        "top1_agreement": estimate(scores.agreement),
    }
    return {"tokens_scored": int(scores.surprise.size), **with_errors(figures)}


def with_errors(figures: Mapping[str, Estimate]) -> dict[str, Any]:
    """Every mean under its name and its error under ``<name>_standard_error``, as JSON has them."""
    plain: dict[str, Any] = {}
    for name, (mean, error) in figures.items():
        plain |= {name: _finite(mean), f"{name}_standard_error": _finite(error)}
    return plain


def _finite(value: float) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if math.isfinite(value) else None
