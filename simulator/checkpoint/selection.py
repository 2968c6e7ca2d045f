"""Which tensors of a checkpoint are quantised: patterns of names, and what can be quantised at all."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from densimeter.formats.errors import ConfigError
from densimeter.simulator.checkpoint.source import Checkpoint, SourceTensor

_SUGGESTIONS = 3


def select(checkpoint: Checkpoint, include: Sequence[str], exclude: Sequence[str], axis: int) -> list[SourceTensor]:
    """The tensors to quantise, in the order of the file.

    Those are the quantisable ones whose name matches one of `include` (all, if it is empty) and none of `exclude`;
    patterns as in a shell (`*`, `?`, `[a-z]`), over the whole name. ConfigError where a pattern matches no name, where
    nothing is left, and where a tensor lacks the axis.
    """
    names = [tensor.name for tensor in checkpoint.tensors]
    for option, patterns in (("--include", include), ("--exclude", exclude)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise ConfigError(f"{option} {pattern!r} matches no tensor of {checkpoint.path}{_near(pattern, names)}")
    usable = [tensor for tensor in checkpoint.tensors if tensor.quantizable]
    if not usable:
        raise ConfigError(
            f"{checkpoint.path}: none of its {len(names)} tensors is usable, expected floating point of 16 bits or "
            "more and at least two axes; convert or reshape them"
        )
    chosen = [t for t in usable if _matches(t.name, include or ["*"]) and not _matches(t.name, exclude)]
    if not chosen:
        raise ConfigError(f"{checkpoint.path}: --include and --exclude leave none of its {len(usable)} usable tensors")
    for tensor in chosen:
        if not -len(tensor.shape) <= axis < len(tensor.shape):
            raise ConfigError(
                f"{checkpoint.path}: tensor {tensor.name!r} of shape {tensor.shape} has no axis {axis}; "
                "choose another --axis or --exclude the tensor"
            )
    return chosen


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _near(pattern: str, names: Sequence[str]) -> str:
    """The names nearest to a pattern, or some of them."""
    near = difflib.get_close_matches(pattern.replace("*", ""), names, _SUGGESTIONS, 0.0)
    return f"; the nearest are {', '.join(near)}" if near else ", which has none"
