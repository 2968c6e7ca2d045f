"""Questions as JSON lines: what they say, and what is refused by file and line."""

import json
from collections import Counter
from pathlib import Path

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.questions import Question, questions_identity, read_questions


def test_a_line_is_a_question_and_blank_lines_are_none(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('\n{"context": "A cat", "choices": ["meows", "barks"], "answer": 0}\n\n')
    (question,) = read_questions(str(path), "causal")
    assert question == Question("A cat", ("meows", "barks"), 0, f"{path}:2")
    assert question.texts() == ["A cat meows", "A cat barks"]


def test_the_packaged_questions_have_their_answers_everywhere_equally_often() -> None:
    questions = read_questions("questions", "causal")
    assert len(questions) == 40
    assert Counter(question.answer for question in questions) == dict.fromkeys(range(4), 40 // 4)
    assert {len(question.choices) for question in questions} == {4}
    assert len({question.context for question in questions}) == 40


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "q.jsonl:2: not JSON"),
        ("[1]", "q.jsonl:2: [1], expected a mapping with the keys answer, choices and context"),
        ({"contxt": "A"}, "expected a mapping with the keys answer, choices and context"),
        ({"context": " "}, "q.jsonl:2: context is ' ', expected text"),
        ({"choices": ["a"]}, "q.jsonl:2: choices is ['a'], expected two texts or more"),
        ({"choices": ["a", 1]}, "expected two texts or more"),
        ({"choices": ["a", "a"]}, "q.jsonl:2: choices is ['a', 'a'], expected texts that differ"),
        ({"answer": 2}, "q.jsonl:2: answer is 2, expected 0 to 1"),
        ({"answer": True}, "q.jsonl:2: answer is True, expected 0 to 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, expected: str) -> None:
    good: dict[str, object] = {"context": "A", "choices": ["a", "b"], "answer": 0}
    written = json.dumps(good | line) if isinstance(line, dict) and "contxt" not in line else line
    path = tmp_path / "q.jsonl"
    path.write_text(f"{json.dumps(good)}\n{written if isinstance(written, str) else json.dumps(written)}\n")
    with pytest.raises(ConfigError) as refused:
        read_questions(str(path), "causal")
    assert expected in str(refused.value)


def test_files_without_questions_and_models_that_continue_nothing(tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(ConfigError, match="holds no questions"):
        read_questions(str(tmp_path / "none.jsonl"), "causal")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_questions(str(tmp_path / "missing.jsonl"), "causal")
    with pytest.raises(ConfigError, match="'questions' for a model of the kind 'masked', expected a causal one"):
        read_questions("questions", "masked")


def test_identity_is_of_what_is_asked_not_of_where_it_lies() -> None:
    one = Question("A", ("a", "b"), 0, "here:1")
    assert questions_identity((one,)) == questions_identity((Question("A", ("a", "b"), 0, "there:2"),))
    assert questions_identity((one,)) != questions_identity((Question("A", ("a", "b"), 1, "here:1"),))
    assert questions_identity(()) is None
