"""Designs a second: the machine model beside a NumPy closed form of cycles and roofline, and ZigZag, in one run.

A design is twelve products: a Llama-2-7B layer's nine, its lm_head, and two more projections.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from benchmarks.timing import medians_ms, show
from numpy.typing import NDArray

from densimeter.hwmodels.accelerator.cost import PARTS
from densimeter.hwmodels.accelerator.evaluation import DEMANDS, results
from densimeter.hwmodels.accelerator.performance import total_costs
from support.machines import machine_rows, product_rows

DESIGNS = 100_000
NUMPY = "NumPy closed form"
DECODE, PREFILL = 1, 2048


def products(tokens: int) -> NDArray[np.void]:
    square, up, down = (tokens, 4096, 4096), (tokens, 11008, 4096), (tokens, 4096, 11008)
    shapes = [square] * 4 + [(tokens, 2048, 128), (tokens, 128, 2048), up, up, down, (1, 32000, 4096), square, square]
    return np.concatenate(
        [
            product_rows(m, n, k, count=32, first_tensor_bits=8 * m * k, result_tensor_bits=8 * m * n)
            for m, n, k in shapes
        ]
    )


def machines() -> NDArray[np.void]:
    rng = np.random.default_rng(0)
    rows = np.repeat(machine_rows(double_buffered=True, transfer_overlaps=True, dram_bits_per_cycle=1000), DESIGNS)
    for side in ("rows", "cols"):
        rows[side] = rng.choice([8, 16, 32, 64, 128], DESIGNS)
    rows["lanes"], rows["dataflow"] = rng.choice([1, 8, 16, 32], DESIGNS), rng.integers(0, 3, DESIGNS)
    for buffer in ("activation", "weight", "sum"):
        rows[f"{buffer}_capacity_bits"] = rng.choice([2**21, 2**22, 2**23, 2**24], DESIGNS)
    return rows


def evaluate(
    designs: NDArray[np.void], work: NDArray[np.void], parts: NDArray[np.void], demands: NDArray[np.void]
) -> None:
    """What a sweep does for each block once the parts are looked up: counts, then areas, energies and all totals."""
    costs = total_costs(designs, work, np.zeros(DESIGNS, np.int64), np.full(DESIGNS, len(work)))
    results(designs, parts, costs, demands)


def closed_form(designs: NDArray[np.void], work: NDArray[np.void]) -> None:
    """Weight-stationary cycles and a roofline over operands that are read once: no tiling, no energies."""
    rows, cols, lanes = (designs[name] for name in ("rows", "cols", "lanes"))
    latency = np.zeros(DESIGNS)
    for product in work:
        folds = -(-product["k"] // (lanes * rows)) * -(-product["n"] // cols)
        cycles = folds * np.maximum(product["m"], rows) + 2 * rows + cols - 2
        transfer = (product["first_bits"] + product["second_bits"]) / designs["dram_bits_per_cycle"]
        latency += product["count"] * np.maximum(cycles, transfer)


@pytest.mark.parametrize("tokens", [DECODE, PREFILL])
def test_machines_beside_a_closed_form(tokens: int) -> None:
    designs, work = machines(), products(tokens)
    contestants: dict[str, Callable[[], object]] = {
        NUMPY: partial(closed_form, designs, work),
        "here, counts": partial(total_costs, designs, work, np.zeros(DESIGNS, np.int64), np.full(DESIGNS, len(work))),
        "here, all figures": partial(evaluate, designs, work, np.ones(DESIGNS, PARTS), np.ones(DESIGNS, DEMANDS)),
    }
    medians = medians_ms(contestants)
    show(f"{DESIGNS} machines x 12 products of {tokens} tokens", medians, NUMPY)
    for name, median in medians.items():
        print(f"  {name:<28} {DESIGNS / median / 1000:9.3f} M designs/s")


def test_one_product_beside_zigzag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZigZag searches temporal mappings of one product on its own TPU-like machine; here one machine is evaluated."""
    zigzag = pytest.importorskip("zigzag", reason="ZigZag is not installed (pip install zigzag-dse six)")
    from zigzag.api import get_hardware_performance_zigzag

    monkeypatch.setattr(logging.root, "disabled", True)
    inputs = Path(zigzag.__file__).parent / "inputs"
    layer = {
        "id": 0,
        "name": "product",
        "operator_type": "Gemm",
        "equation": "O[b][k]+=I[b][c]*W[c][k]",
        "dimension_relations": [],
        "loop_dims": ["B", "C", "K"],
        "loop_sizes": [512, 768, 768],
        "operand_precision": {"O": 16, "O_final": 8, "W": 8, "I": 8},
        "operand_source": {"I": 0, "W": 0},
    }
    one, work = machine_rows(rows=32, cols=32), product_rows(512, 768, 768)
    contestants: dict[str, Callable[[], object]] = {
        "here": partial(total_costs, one, work, np.zeros(1, np.int64), np.ones(1, np.int64)),
        "ZigZag": partial(
            get_hardware_performance_zigzag,
            [layer],
            str(inputs / "hardware" / "tpu_like.yaml"),
            str(inputs / "mapping" / "tpu_like.yaml"),
            dump_folder=str(tmp_path),
            loma_show_progress_bar=False,
        ),
    }
    show("one machine, one product of 512 x 768 x 768", medians_ms(contestants, rounds=3), "here")
