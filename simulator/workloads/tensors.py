"""Named float32 tensors, the operands of matrix products; changes when the tensor type does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from densimeter.formats.errors import ConfigError
from densimeter.simulator.checkpoint.source import open_checkpoint

Role = Literal["weight", "activation"]
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NamedTensor:
    """One operand of a matrix product: float32 `values` of shape ``[rows, K]``, the contraction axis last."""

    name: str
    role: Role
    values: Float32Array


@dataclass(frozen=True, eq=False)
class Workload:
    """The tensors taken from a model or a file, where they come from, and how many others were left out."""

    name: str
    source: str
    tensors: tuple[NamedTensor, ...]
    skipped: int

    def having(self, role: Role) -> tuple[NamedTensor, ...]:
        """Return the tensors of one role, in order."""
        return tuple(tensor for tensor in self.tensors if tensor.role == role)


def load(path: Path, role: Role = "weight") -> Workload:
    """Read the floating-point tensors of two or more axes of a checkpoint, ``[rows, K]``.

    The last axis is taken for the contraction axis, all others become rows. float16, bfloat16 and float64
    become float32, and so do the quantised types of GGUF. Tensors of fewer axes, without elements or of another
    type are counted in `skipped`. float32 stays mapped from the file, read-only, so that it may exceed the memory.

    Raises:
        ConfigError: the file is missing, of another kind or damaged, has no usable tensor, or holds a NaN, an
            infinity or a number beyond the range of float32.
    """
    found = open_checkpoint(path).tensors
    tensors = tuple(NamedTensor(t.name, role, _matrix(path, t.name, t.values())) for t in found if t.quantizable)
    if not tensors:
        raise ConfigError(
            f"{path}: none of its {len(found)} tensors is usable, expected float16, bfloat16, float32 or "
            "float64 and at least two axes, the last one the contraction axis; convert or reshape them"
        )
    return Workload(path.stem, str(path), tensors, len(found) - len(tensors))


def _matrix(path: Path, name: str, array: Float32Array) -> Float32Array:
    values = array.reshape(-1, array.shape[-1])
    finite = np.isfinite(values)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ConfigError(
            f"{path}: tensor {name!r} has {np.count_nonzero(~finite)} elements not finite as float32, first "
            f"{values[row, column]} at [{row}, {column}]; expected finite numbers, repair the tensor"
        )
    return values
