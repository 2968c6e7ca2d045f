"""Second moments of layers' inputs in one safetensors file, added up there: memory holds a few rows of one at a time.

A matrix of [inputs, inputs] for every group of layers that share an input is 0.4 GB for a model of 135 million weights
and 22 GB for one of 7 billion. The file is mapped piece by piece and never all at once, when it is written and when it
is read; what of it stays in memory is the system's cache, which gives way to programs.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.kernels.safetensors_file import Contents, Entry, plan, read_contents

_ROWS_BYTES = 1 << 25
"""Of sums in memory while they are added to or divided."""


class MomentSums:
    """``sum x x^T`` by name in a file beside `path`, which `publish` makes means of and moves there.

    A context manager; the file is gone afterwards unless it was published.
    """

    def __init__(self, path: Path, inputs: Mapping[str, int]) -> None:
        """inputs: how many each name has. ConfigError where the file cannot be written or the disk is too small."""
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        self._inputs = dict(inputs)
        planned = plan({name: Entry("F32", (width, width)) for name, width in inputs.items()}, {})
        self._offsets = planned.offsets
        self._tokens = dict.fromkeys(inputs, 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._partial.open("wb") as file:
                file.write(planned.header)
                try:
                    # Space is known now: where a mapped file finds none, the system ends the program.
                    os.posix_fallocate(file.fileno(), 0, planned.total_bytes)
                except OSError:
                    self._partial.unlink()
                    raise
        except OSError as error:
            raise ConfigError(
                f"cannot write {path}: {error.strerror}; expected room for {planned.total_bytes / 1e9:.1f} GB of "
                "second moments in a folder of yours"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._partial.unlink(missing_ok=True)

    def add(self, name: str, x: NDArray[np.float32]) -> None:
        """Inputs of tokens, [tokens, inputs]."""
        self._tokens[name] += len(x)
        for rows, sums in self._pieces(name):
            sums += x[:, rows].T @ x

    def publish(self) -> None:
        """Divide by the tokens of each name, and put the file in its place."""
        for name, tokens in self._tokens.items():
            for _, sums in self._pieces(name):
                sums /= np.float32(max(tokens, 1))
        os.replace(self._partial, self._path)

    def _pieces(self, name: str) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Rows of the sums of a name, mapped for as long as they are worked on."""
        inputs = self._inputs[name]
        step = max(1, _ROWS_BYTES // (4 * inputs))
        for first in range(0, inputs, step):
            rows = slice(first, min(first + step, inputs))
            offset = self._offsets[name] + 4 * first * inputs
            yield rows, np.memmap(self._partial, np.float32, "r+", offset, (rows.stop - first, inputs))


class MappedMoments(Mapping[str, NDArray[np.float32]]):
    """Means by a layer's path, [inputs, inputs], read-only and mapped anew whenever one is asked for."""

    def __init__(self, path: Path, names: Mapping[str, str]) -> None:
        """names: under which the file has the means of each layer; ConfigError where the file is damaged."""
        self._contents: Contents = read_contents(path)
        self._names = dict(names)

    def __getitem__(self, layer: str) -> NDArray[np.float32]:
        return self._contents.mapped(self._names[layer]).view(np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
