"""A text as windows of token ids."""

import hashlib
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError
from densimeter.simulator.schema.accuracy import PACKAGED_TEXT
from densimeter.simulator.workloads.text import passage


def read_text(written: str) -> str:
    """The packaged passage or the text of a file; ConfigError where it cannot be read."""
    if written == PACKAGED_TEXT:
        return passage()
    try:
        return Path(written).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{written!r}: cannot be read ({reason}), expected {PACKAGED_TEXT!r} or a text file"
        ) from error


def text_identity(text: str) -> str:
    """A digest that tells texts apart."""
    return hashlib.sha256(text.encode()).hexdigest()


def cut_windows(ids: list[int], first: int, tokens: int, length: int) -> list[list[int]]:
    """`tokens` ids from position `first` on, in windows of at most `length`; ConfigError where there are too few.

    A last window of one token is left out: nothing in it could be scored.
    """
    chosen = ids[first : first + tokens]
    if len(chosen) < tokens:
        raise ConfigError(f"{tokens}, expected at most the {len(chosen)} tokens that the text has left for this")
    windows = [chosen[start : start + length] for start in range(0, tokens, length)]
    return [window for window in windows if len(window) > 1]


def token_ids(text: str, tokenizer: Any) -> list[int]:
    """The whole text without special tokens."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after a text ([CLS] and [SEP], say)."""
    bare, whole = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    start = next((i for i in range(len(whole)) if whole[i : i + len(bare)] == bare), 0)
    return whole[:start], whole[start + len(bare) :]
