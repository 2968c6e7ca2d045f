"""Design points of a small machine, for tests that need a whole result row quickly."""

from typing import Any

DESIGN: dict[str, Any] = {
    "format": "bfp6",
    "lanes": 16,
    "accumulator": "aligned24",
    "array": {"rows": 32, "cols": 32},
    "dram": {"device": "hbm2e"},
    "workload": {"model": "llama-2-7b", "context": 2048},
}
