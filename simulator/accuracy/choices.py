"""Multiple choice without examples: a causal model picks the continuation that it finds likeliest.

Two accuracies, as EleutherAI's lm-evaluation-harness has them (`acc` and `acc_norm`): by the log-likelihood of a
choice, and by that log-likelihood per character of the choice, which does not favour short ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.measure import Ids, Walk
from densimeter.simulator.accuracy.next_token import logits
from densimeter.simulator.accuracy.questions import Question
from densimeter.simulator.accuracy.scores import estimate, with_errors
from densimeter.simulator.accuracy.windows import token_ids


class _Asked(NamedTuple):
    """Where the log-likelihood of a choice goes, and the ids of the choice."""

    question: int
    choice: int
    ids: Ids


class Choices:
    """Accuracies on questions, and how often the reference would choose the same."""

    def __init__(self, reference: Any, questions: Sequence[Question], tokenizer: Any) -> None:
        """Raises ConfigError, with file and line, for a choice that adds no token to its context."""
        self._reference, self._questions = reference, questions
        self._inputs: dict[tuple[int, ...], list[_Asked]] = {}
        for q, question in enumerate(questions):
            context = token_ids(question.context, tokenizer)
            for c, text in enumerate(question.texts()):
                whole = token_ids(text, tokenizer)
                given = _common(context, whole)
                if not 0 < given < len(whole):
                    raise ConfigError(
                        f"{question.place}: {question.choices[c]!r} makes no tokens of its own behind the context, "
                        "expected a text that does"
                    )
                # The last id predicts nothing, so choices of one token share their input.
                self._inputs.setdefault(tuple(whole[:-1]), []).append(_Asked(q, c, whole[given:]))
        self._expected: list[NDArray[np.float64]] | None = None

    def score(self, model: Any, walk: Walk) -> dict[str, Any]:
        """`choices_accuracy`, `choices_accuracy_normalised` and `choices_agreement`, with standard errors."""
        if self._expected is None and model is not self._reference:
            self._expected = self._likelihoods(self._reference, iter)
        found = self._likelihoods(model, walk)
        if self._expected is None:
            self._expected = found
        lengths = [np.array(list(map(len, question.choices))) for question in self._questions]
        answers = [question.answer for question in self._questions]
        return {
            "questions": len(self._questions),
            **with_errors(
                {
                    "choices_accuracy": _share(_picked(found), answers),
                    "choices_accuracy_normalised": _share(
                        _picked([one / size for one, size in zip(found, lengths, strict=True)]), answers
                    ),
                    "choices_agreement": _share(_picked(found), _picked(self._expected)),
                }
            ),
        }

    def _likelihoods(self, model: Any, walk: Walk) -> list[NDArray[np.float64]]:
        """ln p of every choice of every question."""
        found = [np.empty(len(question.choices)) for question in self._questions]
        for ids in walk([list(ids) for ids in self._inputs]):
            predictions = torch.log_softmax(logits(model, ids).float(), dim=-1)
            for question, choice, continuation in self._inputs[tuple(ids)]:
                rows = predictions[-len(continuation) :]
                chosen = rows.gather(1, torch.tensor(continuation)[:, None])
                found[question][choice] = float(chosen.sum(dtype=torch.float64))
        return found


def _common(one: Ids, other: Ids) -> int:
    """Length of the common start: a tokenizer may join the context's end with what follows."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _picked(likelihoods: list[NDArray[np.float64]]) -> list[int]:
    return [int(each.argmax()) for each in likelihoods]


def _share(picked: list[int], expected: list[int]) -> Any:
    return estimate((np.array(picked) == np.array(expected)).astype(np.float64))
