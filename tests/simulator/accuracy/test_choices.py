"""Multiple choice by a model whose likelihoods are known."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from densimeter.formats.errors import ConfigError  # noqa: E402
from densimeter.simulator.accuracy.choices import Choices  # noqa: E402
from densimeter.simulator.accuracy.questions import Question  # noqa: E402

A, B, C, SPACE = range(4)


class Letters:
    """A letter a token; " a" is two tokens."""

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": ["abc ".index(letter) for letter in text]}


class Fixed:
    """Predicts the same whatever came before: p of a, b, c and space."""

    def __init__(self, *probabilities: float) -> None:
        self.probabilities, self.fed = probabilities, list[list[int]]()

    def __call__(self, ids: Any, use_cache: bool) -> Any:
        self.fed += ids.tolist()
        return SimpleNamespace(logits=torch.tensor(self.probabilities).log().expand(1, ids.shape[1], 4))


QUESTIONS = (Question("ab", ("b", "aa"), 0, "q:1"), Question("c", ("bbb", "c"), 0, "q:2"))


def test_the_likeliest_choice_is_picked_as_a_whole_and_by_character() -> None:
    """p = 0.4 for a, 0.3 b, 0.1 c, 0.2 space, which every choice starts with.

    Question 1: "b" has 0.2 * 0.3 = 0.06 and "aa" 0.2 * 0.4^2 = 0.032: b, right. By character ln 0.06 / 1 = -2.81 and
    ln 0.032 / 2 = -1.72: aa, wrong. Question 2: "bbb" has 0.2 * 0.3^3 = 0.0054 and "c" 0.02: c, wrong; by character
    ln 0.0054 / 3 = -1.74 and -3.91: bbb, right.
    """
    model = Fixed(0.4, 0.3, 0.1, 0.2)
    found = Choices(model, QUESTIONS, Letters()).score(model, iter)
    assert found["questions"] == 2
    assert (found["choices_accuracy"], found["choices_accuracy_normalised"]) == (1 / 2, 1 / 2)
    assert found["choices_accuracy_standard_error"] == pytest.approx(math.sqrt(0.5) / math.sqrt(2))
    assert found["choices_agreement"] == 1


def test_agreement_is_with_the_references_choices() -> None:
    """Where c is likely and b is not, "c" is still picked for question 2, but "aa" for question 1."""
    choices = Choices(Fixed(0.4, 0.3, 0.1, 0.2), QUESTIONS, Letters())
    assert choices.score(Fixed(0.5, 0.01, 0.29, 0.2), iter)["choices_agreement"] == 1 / 2


def test_choices_with_one_token_to_predict_share_a_pass() -> None:
    """ "a b" and "a c" are both predicted from "a ", the last token predicts nothing."""
    model = Fixed(0.25, 0.25, 0.25, 0.25)
    Choices(model, (Question("a", ("b", "c"), 0, "q:1"),), Letters()).score(model, iter)
    assert model.fed == [[A, SPACE]]


def test_a_choice_that_adds_nothing_is_named() -> None:
    class Trimming(Letters):
        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return super().__call__(text.replace(" b", ""))

    with pytest.raises(ConfigError, match="q:1: 'b' makes no tokens of its own"):
        Choices(None, QUESTIONS[:1], Trimming())
