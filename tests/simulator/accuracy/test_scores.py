"""Perplexity, divergence and agreement of known predictions."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from densimeter.simulator.accuracy.scores import NOTHING, TokenScores, compare, estimate, to_json  # noqa: E402


def test_a_model_that_knows_nothing_is_as_perplexed_as_the_vocabulary_is_large() -> None:
    logits = torch.zeros(300, 8)
    scores = compare(logits, logits, list(range(8)) * 37 + [0, 1, 2, 3])
    assert scores.surprise.size == 300
    assert scores.perplexity.mean == pytest.approx(8)
    assert scores.perplexity.standard_error == pytest.approx(0, abs=1e-6)
    assert scores.perplexity_ratio == (1, 0)
    assert (scores.divergence == 0).all()
    assert (scores.agreement == 1).all()


def test_surprise_is_that_of_the_token_that_came() -> None:
    probabilities = torch.tensor([[3 / 4, 1 / 8, 1 / 8], [1 / 8, 3 / 4, 1 / 8]])
    scores = compare(probabilities.log(), probabilities.log(), [0, 2])
    assert scores.surprise == pytest.approx([-math.log(3 / 4), -math.log(1 / 8)], abs=1e-6)


def test_divergence_is_that_of_the_reference_from_the_model() -> None:
    """KL(p || q) of p = (3/4, 1/4), q = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2)."""
    reference, model = torch.tensor([[3 / 4, 1 / 4]]).log(), torch.zeros(1, 2)
    scores = compare(model, reference, [1])
    assert scores.divergence == pytest.approx([3 / 4 * math.log(3 / 2) + 1 / 4 * math.log(1 / 2)], abs=1e-6)


def test_agreement_counts_equal_first_choices() -> None:
    reference = torch.tensor([[1.0, 0], [1, 0], [0, 1]])
    model = torch.tensor([[2.0, 0], [0, 2], [0, 2]])
    assert compare(model, reference, [0] * 3).agreement.tolist() == [1, 0, 1]


def test_the_ratio_cancels_what_the_text_brings() -> None:
    """Surprises 1 and 5, each 0.1 above the reference: the ratio is e^0.1 without error, the perplexity e^3 with one.

    Of 1 and 5 the deviation is 4 / sqrt(2), of their mean 4 / sqrt(2) / sqrt(2) = 2.
    """
    surprise = np.array([1.0, 5.0])
    scores = TokenScores(surprise, surprise - 0.1, np.zeros(2), np.ones(2))
    assert scores.perplexity == pytest.approx((math.exp(3), 2 * math.exp(3)))
    assert scores.perplexity_ratio == pytest.approx((math.exp(0.1), 0))


def test_a_perplexity_beyond_float64_is_null_in_json() -> None:
    scores = TokenScores(np.array([800.0, 900.0]), np.ones(2), np.zeros(2), np.ones(2))
    assert scores.perplexity.mean == math.inf
    assert to_json(scores)["perplexity"] is None


def test_one_token_has_no_standard_error() -> None:
    assert math.isnan(estimate(np.ones(1)).standard_error)
    assert math.isnan(estimate(NOTHING.surprise).mean)
