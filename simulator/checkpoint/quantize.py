"""Quantising a whole checkpoint into one file, a tensor in memory at a time; changes when what becomes of each does."""

import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError, DensimeterError, FormatError
from densimeter.formats.notation import declaration
from densimeter.kernels import QuantizedTensor, quantize
from densimeter.kernels.safetensors_file import NUMPY_DTYPES, Entry, Plan
from densimeter.kernels.storage import Outline, arrays, file_plan
from densimeter.simulator.checkpoint.partial import PartialFile
from densimeter.simulator.checkpoint.selection import select
from densimeter.simulator.checkpoint.source import Checkpoint, SourceTensor
from densimeter.simulator.numerics import ErrorStatistics, error_statistics


@dataclass(frozen=True)
class Job:
    """What is to be done; everything on which the bytes of the output depend.

    include, exclude: patterns of tensor names (`selection`). seed: of stochastic rounding; each tensor draws its own
    numbers, by its name. only_quantized: other tensors are left out instead of copied.
    """

    checkpoint: Checkpoint
    format: BlockFormat
    axis: int = -1
    seed: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only_quantized: bool = False

    def seed_of(self, name: str) -> int:
        """The seed for one tensor: alike for all, the errors of tensors of one shape would be correlated."""
        return self.seed + zlib.crc32(name.encode())

    def to_json(self) -> dict[str, Any]:
        """Tells this job from others; a source that was touched since is another one."""
        files = [(file, file.stat()) for file in self.checkpoint.files]
        described = {
            "source": [[str(file.resolve()), found.st_size, found.st_mtime_ns] for file, found in files],
            "format": declaration(self.format),
            "axis": self.axis,
            "seed": self.seed,
            "include": self.include,
            "exclude": self.exclude,
            "only_quantized": self.only_quantized,
            "version": version("densimeter"),
        }
        plain: dict[str, Any] = json.loads(json.dumps(described))  # as it will be read back
        return plain


@dataclass(frozen=True)
class Outcome:
    """What became of one tensor. written_bytes: in the output, all scales included; statistics: None where copied."""

    tensor: SourceTensor
    written_bytes: int
    statistics: ErrorStatistics | None


def quantize_checkpoint(job: Job, output: Path, tell: Callable[[str], None]) -> Iterator[Outcome]:
    """Do the job and yield the outcome of each tensor, in the order of the source; the output appears after the last.

    `tell` is given a sentence where an interrupted run is taken up or thrown away. ConfigError for input that cannot be
    quantised so; nothing is left behind then. Any other end leaves what the next call of the same job goes on from.
    """
    outlines = {t.name: _outline(job, t) for t in select(job.checkpoint, job.include, job.exclude, job.axis)}
    others = [] if job.only_quantized else [t for t in job.checkpoint.tensors if t.name not in outlines]
    tensors = [t for t in job.checkpoint.tensors if t.name in outlines or not job.only_quantized]
    plan = _plan(job, outlines, others)
    with PartialFile(output, plan.header, plan.total_bytes, job.to_json()) as partial:
        if partial.restarted:
            tell(f"an interrupted run differs in {', '.join(partial.restarted)}: starting anew")
        elif partial.finished:
            tell(f"going on after {len(partial.finished)} of {len(tensors)} tensors")
        for tensor in tensors:
            if tensor.name in partial.finished:
                statistics = _recorded(partial.finished[tensor.name])
            else:
                try:
                    pieces, statistics = _prepare(job, tensor, outlines.get(tensor.name))
                except DensimeterError:
                    partial.discard()
                    raise
                for array, raw in pieces:
                    partial.write(plan.offsets[array], raw)
                partial.finish(tensor.name, {"statistics": asdict(statistics) if statistics else None})
            yield Outcome(tensor, _size(tensor, outlines), statistics)
        partial.publish()


def _outline(job: Job, tensor: SourceTensor) -> Outline:
    return Outline(job.format, tensor.shape, job.axis % len(tensor.shape))


def _plan(job: Job, outlines: dict[str, Outline], others: list[SourceTensor]) -> Plan:
    plain, kept = dict[str, Entry](), dict[str, Outline]()
    for tensor in others:
        if isinstance(tensor.kept_as, Entry):
            plain[tensor.name] = tensor.kept_as
        elif tensor.kept_as is not None:
            kept[tensor.name] = tensor.kept_as
        else:
            raise ConfigError(
                f"{job.checkpoint.path}: tensor {tensor.name!r} holds {tensor.stored}, which a .safetensors file "
                "cannot; leave out what is not quantised with --only-quantized"
            )
    return file_plan({**outlines, **kept}, plain, job.checkpoint.metadata)


def _size(tensor: SourceTensor, outlines: dict[str, Outline]) -> int:
    found = outlines.get(tensor.name, tensor.kept_as)
    if isinstance(found, Outline):
        return sum(entry.nbytes for entry in found.entries(tensor.name).values())
    return found.nbytes if found else 0


def _prepare(
    job: Job, tensor: SourceTensor, outline: Outline | None
) -> tuple[Iterable[tuple[str, memoryview]], ErrorStatistics | None]:
    """The arrays to write for one tensor, and its statistics, if it is quantised."""
    if outline is not None:
        quantized, statistics = _quantized(job, tensor, outline)
        return arrays(tensor.name, quantized), statistics
    kept = tensor.read()
    if isinstance(kept, QuantizedTensor):
        return arrays(tensor.name, kept), None
    return [(tensor.name, _bytes(tensor, kept))], None


def _quantized(job: Job, tensor: SourceTensor, outline: Outline) -> tuple[QuantizedTensor, ErrorStatistics]:
    values = tensor.values()
    try:
        quantized = quantize(values, outline.format, outline.axis, seed=job.seed_of(tensor.name))
    except FormatError as error:
        raise ConfigError(f"{job.checkpoint.path}: tensor {tensor.name!r}: {_first_nan(values)}{error}") from error
    return quantized, error_statistics(values, quantized)


def _first_nan(values: NDArray[np.float32]) -> str:
    """Where the first NaN is, as the beginning of a sentence; nothing where there is none."""
    for start in range(0, len(values), rows := max(1, (1 << 20) // max(math.prod(values.shape[1:]), 1))):
        found = np.argwhere(np.isnan(values[start : start + rows]))
        if len(found):
            return f"the first NaN is at {[int(found[0][0]) + start, *map(int, found[0][1:])]}: "
    return ""


def _bytes(tensor: SourceTensor, array: NDArray[Any]) -> memoryview:
    """The bytes of an array as its entry says: little-endian, C-contiguous."""
    assert isinstance(tensor.kept_as, Entry)
    dtype = NUMPY_DTYPES.get(tensor.kept_as.dtype, np.dtype("u1"))
    return np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8).data


def _recorded(record: dict[str, Any]) -> ErrorStatistics | None:
    found = record["statistics"]
    return ErrorStatistics(**{**found, "octaves": tuple(found["octaves"])}) if found else None
