"""A small sweep, and what a run of it leaves behind."""

import json
from pathlib import Path
from typing import Any

SWEEP: dict[str, Any] = {
    "name": "small",
    "design": {
        "format": "bfp6",
        "accumulator": "aligned24",
        "lanes": 16,
        "array": {"rows": 16, "cols": 16},
        "dram": {"device": "hbm2e"},
        "workload": {"model": "opt-125m", "context": 128},
    },
    "axes": {
        "format": ["bfp6", "bfp8"],
        "array.rows": [4, 8, 16, 32, 64],
        "array.cols": [4, 8, 16, 32],
        "buffers.weight_kib": [16, 64, 256],
        "workload.batch": [1, 4],
    },
    "constraints": ["array.rows * array.cols <= 1024", "area_mm2 <= 5"],
    "objectives": {"tokens_per_s": "max", "energy_per_token_j": "min", "area_mm2": "min"},
}


def content(folder: Path) -> dict[str, Any]:
    """Every file of a run by name, but for the times in run.json."""
    files: dict[str, Any] = {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    facts = json.loads(files["run.json"])
    del facts["times"]
    return files | {"run.json": facts}
