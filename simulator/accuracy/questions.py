"""Questions with answers to choose from, read from JSON lines.

A line is ``{"context": ..., "choices": [..., ...], "answer": 0}``: a text, how it may go on (behind a space that is put
between the two), and which of the choices is right, counted from 0.
"""

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.store import digest
from densimeter.simulator.schema.accuracy import PACKAGED_QUESTIONS, ModelKind
from densimeter.simulator.schema.document import shown

_KEYS = {"context", "choices", "answer"}


@dataclass(frozen=True)
class Question:
    """place: file and line, for messages."""

    context: str
    choices: tuple[str, ...]
    answer: int
    place: str

    def texts(self) -> list[str]:
        """The context with each of the choices after it."""
        return [f"{self.context} {choice}" for choice in self.choices]


def read_questions(written: str, kind: ModelKind) -> tuple[Question, ...]:
    """The packaged questions or those of a file.

    Raises ConfigError where there are none, where a line is none, and for models of a kind that continues no text.
    """
    if kind != "causal":
        raise ConfigError(f"{written!r} for a model of the kind {kind!r}, expected a causal one, which continues texts")
    packaged = written == PACKAGED_QUESTIONS
    source = resources.files("densimeter.simulator.configs") / "questions.jsonl" if packaged else Path(written)
    try:
        lines = source.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{written!r}: cannot be read ({reason}), expected {PACKAGED_QUESTIONS!r} or a JSONL file"
        ) from error
    found = tuple(_question(line, f"{written}:{i}") for i, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise ConfigError(f"{written!r}: holds no questions, expected one a line")
    return found


def questions_identity(questions: tuple[Question, ...]) -> str | None:
    """A digest that tells questions apart, wherever they lie; None for none."""
    if not questions:
        return None
    return digest({"questions": [{**asdict(question), "place": ""} for question in questions]})


def _question(line: str, place: str) -> Question:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{place}: not JSON: {error}") from error
    if not isinstance(found, dict) or found.keys() != _KEYS:
        raise ConfigError(f"{place}: {shown(found)}, expected a mapping with the keys answer, choices and context")
    context, choices, answer = found["context"], found["choices"], found["answer"]
    if not _is_text(context):
        raise ConfigError(f"{place}: context is {shown(context)}, expected text")
    if not isinstance(choices, list) or len(choices) < 2 or not all(map(_is_text, choices)):
        raise ConfigError(f"{place}: choices is {shown(choices)}, expected two texts or more")
    if len(set(choices)) < len(choices):
        raise ConfigError(f"{place}: choices is {shown(choices)}, expected texts that differ")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise ConfigError(f"{place}: answer is {shown(answer)}, expected 0 to {len(choices) - 1}")
    return Question(context, tuple(choices), answer, place)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
