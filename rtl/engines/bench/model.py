"""The bench's model: the stimulus words and the expected register stream, as `rtl.cosimulate` wrote them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODEL_VARIABLE = "DENSIMETER_BENCH_MODEL"
"""Environment variable: where the model file lies."""

REPORT_VARIABLE = "DENSIMETER_BENCH_REPORT"
"""Environment variable: where the checker leaves its report."""

_PORT = "port_"


@dataclass(frozen=True)
class Model:
    """One word per port and cycle, and the outputs that must stand after each cycle's rising edge, where compared."""

    words: dict[str, list[int]]
    expected: list[int]
    expected_invalid: list[bool] | None
    compared: list[bool]


def save(
    path: Path,
    words: dict[str, NDArray[np.uint8]],
    expected: NDArray[np.uint64],
    invalid: NDArray[np.bool_] | None,
    compared: NDArray[np.bool_],
) -> None:
    """Write a model file. `words[port]` holds the little-endian bytes of each cycle's word, [cycles, bytes]."""
    arrays: dict[str, NDArray[Any]] = {_PORT + name: value for name, value in words.items()}
    arrays |= {"expected": expected, "compared": compared}
    if invalid is not None:
        arrays["expected_invalid"] = invalid
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle


def load(path: Path) -> Model:
    """Read what `save` wrote."""
    with np.load(path) as file:
        words = {name.removeprefix(_PORT): _integers(file[name]) for name in file.files if name.startswith(_PORT)}
        invalid = file["expected_invalid"].tolist() if "expected_invalid" in file.files else None
        return Model(words, file["expected"].tolist(), invalid, file["compared"].tolist())


def _integers(words: NDArray[np.uint8]) -> list[int]:
    width, content = words.shape[1], words.tobytes()
    return [int.from_bytes(content[start : start + width], "little") for start in range(0, len(content), width)]
