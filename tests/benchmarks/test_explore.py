"""Designs a second of whole sweeps, beside a NumPy closed form of cycles and roofline in the same run.

What other tools evaluate in a second, by their own measure (a layer or a model on one machine): SCALE-Sim 3.0.0 0.005,
ZigZag 0.06 to 0.9, AccelForge 0.35, GenZ 2 to 20, LLM-Viewer 5 to 10 thousand. ZigZag and SCALE-Sim are timed beside us
where they are installed, on one matrix product; SCALE-Sim 3.0.0 needs NumPy below 2.4. AccelForge 1.0.467 depends on
hwcomponents-adc, -cacti and -neurosim, of which PyPI has no wheels, so it is not timed here.
"""

import resource
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.test_machine_speed import closed_form, machines, products
from benchmarks.timing import medians_ms, show

from densimeter.hwmodels.accelerator.performance import total_costs
from densimeter.simulator.explore.columns import Evaluator
from densimeter.simulator.explore.engine import run
from densimeter.simulator.explore.executors import processes
from densimeter.simulator.explore.load import explore
from densimeter.simulator.explore.plan import BLOCK
from support.machines import machine_rows, product_rows

NUMPY = "NumPy closed form"
SWEEP: dict[str, Any] = {
    "name": "million",
    "design": {
        "format": "bfp6",
        "accumulator": "aligned24",
        "lanes": 16,
        "array": {"rows": 32, "cols": 32},
        "dram": {"device": "hbm2e"},
        "workload": {"model": "llama-2-7b"},
    },
    # 4 * 6 * 6 * 2 * 5 * 8 * 4 * 4 * 4 * 2
    "axes": {
        "format": ["bfp4", "bfp6", "bfp8", "mxfp4"],
        "array.rows": {"powers_of_two": [8, 256]},
        "array.cols": {"powers_of_two": [8, 256]},
        "array.dataflow": ["weight_stationary", "output_stationary"],
        "buffers.activation_kib": {"powers_of_two": [128, 2048]},
        "buffers.weight_kib": {"range": [128, 1024], "step": 128},
        "buffers.sum_kib": {"powers_of_two": [128, 1024]},
        "workload.context": {"powers_of_two": [512, 4096]},
        "workload.batch": [1, 4, 16, 64],
        "dram.efficiency": [0.6, 0.8],
    },
    "objectives": {"tokens_per_s": "max", "energy_per_token_j": "min", "area_mm2": "min"},
}


def test_columns_beside_a_closed_form() -> None:
    """A block of designs of ten products, parts known already, beside the closed form on 100,000 of twelve."""
    space = explore(SWEEP).space
    evaluator, codes = Evaluator(space), space.codes(space.draw(BLOCK, seed=0))
    designs, work = machines(), products(1)
    contestants: dict[str, Callable[[], object]] = {
        NUMPY: partial(closed_form, designs, work),
        "columns of a sweep": partial(evaluator.evaluate, codes, BLOCK),
    }
    medians = medians_ms(contestants)
    show(f"{len(designs)} designs closed, {BLOCK} of a sweep", medians, NUMPY)
    for name, count in ((NUMPY, len(designs)), ("columns of a sweep", BLOCK)):
        print(f"  {name:<28} {count / medians[name] / 1000:9.3f} M designs/s")


@pytest.mark.parametrize(("keep", "workers"), [("all", 1), ("front", 1), ("all", 2), ("front", 2)])
def test_a_million_designs_from_yaml_to_parquet(keep: str, workers: int, tmp_path: Path) -> None:
    """Everything included: validation, parts looked up, compiled code loaded, rows and front on disk."""
    exploration = explore({**SWEEP, "output": {"keep": keep}})
    started, busy = time.perf_counter(), _cpu_s()
    found = run(exploration, tmp_path / "run", executor=processes(workers) if workers > 1 else None)
    seconds, cpu_s = time.perf_counter() - started, _cpu_s() - busy
    designs = found.facts["counts"]["designs"]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\n{designs:,} designs, {workers} processes, keep {keep}: {seconds:.1f} s, {cpu_s:.1f} s of processors,",
        end="",
    )
    print(
        f" {designs / seconds:,.0f} designs/s, {1e6 * cpu_s / designs:.2f} us a design, at most {peak_mib:.0f} MiB here"
    )
    shutil.rmtree(tmp_path / "run")


def test_one_product_beside_scale_sim(tmp_path: Path) -> None:
    """SCALE-Sim walks through every cycle of a product on one array; here cycles and accesses are closed forms."""
    simulator = pytest.importorskip("scalesim.scale_sim", reason="SCALE-Sim is not installed (pip install scalesim)")
    (tmp_path / "array.cfg").write_text(_SCALE_SIM)
    (tmp_path / "product.csv").write_text("Layer,M,N,K,\nproduct,128,128,128,\n")
    (tmp_path / "layout.csv").write_text("Layer,\n")

    def simulate() -> None:
        run_of = simulator.scalesim(
            save_disk_space=True,
            config=str(tmp_path / "array.cfg"),
            topology=str(tmp_path / "product.csv"),
            layout=str(tmp_path / "layout.csv"),
            input_type_gemm=True,
        )
        run_of.run_scale(top_path=str(tmp_path))

    one, work = machine_rows(rows=32, cols=32), product_rows(128, 128, 128)
    contestants: dict[str, Callable[[], object]] = {
        "here": partial(total_costs, one, work, np.zeros(1, np.int64), np.ones(1, np.int64)),
        "SCALE-Sim": simulate,
    }
    show("one machine, one product of 128 x 128 x 128", medians_ms(contestants, rounds=3), "here")


# What SCALE-Sim's parser asks for; layout and sparsity are not used.
_SCALE_SIM = """\
[general]
run_name = run
[architecture_presets]
ArrayHeight: 32
ArrayWidth: 32
IfmapSramSzkB: 512
FilterSramSzkB: 512
OfmapSramSzkB: 512
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: ws
Bandwidth: 10
MemoryBanks: 1
ReadRequestBuffer: 32
WriteRequestBuffer: 32
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


def _cpu_s() -> float:
    """Of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
