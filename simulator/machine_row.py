"""The result row of a machine with its workload: what `evaluate` returns, `--json` prints and reports read."""

import math
from typing import Any

from densimeter.hwmodels.accelerator.evaluation import Evaluation, ProductResult, evaluate
from densimeter.hwmodels.accelerator.machine import Machine, Storage
from densimeter.hwmodels.gemm import Workload
from densimeter.simulator.design import machine_of, stored_workload, workload_of
from densimeter.simulator.schema.design import DesignPoint


def machine_row(design: DesignPoint) -> dict[str, Any]:
    """Evaluate a design.

    Keys: the design in a reader's words; every total of `accelerator.evaluation.results` (units in their names);
    `areas_mm2` and `energies_j` by component; `products`, a row each; `unpriced`, what no figure covers.

    Raises ConfigError for a contradiction or an unknown name, ModelRangeError for a part outside what was measured.
    """
    machine = machine_of(design)
    workload, storage = stored_workload(design, workload_of(design.workload))
    found = evaluate(machine, workload, storage)
    return {
        **_described(machine, storage, workload),
        **found.totals,
        "feasible": bool(found.totals["feasible"]),
        "areas_mm2": found.areas_mm2,
        "energies_j": _joules(found.energies_pj),
        "products": [_product(product) for product in found.products],
        "vector_work": [
            {"name": work.name, "operations": work.operations, "latency_s": _vector_s(work.operations, found, workload)}
            for work in workload.vector_work
        ],
        "bound": _bound(found),
        "unpriced": list(found.unpriced),
    }


def _described(machine: Machine, storage: Storage, workload: Workload) -> dict[str, Any]:
    activation, weight = machine.datapath.operands
    return {
        "workload": workload.name,
        "format": weight.name,
        "activation": activation.name,
        "stored": {name: storage.of(name).name for name in ("activation", "weight", "key", "value")},
        "lanes": machine.datapath.lanes,
        "accumulator": str(machine.datapath.accumulator),
        "rows": machine.rows,
        "cols": machine.cols,
        "dataflow": machine.dataflow,
        "double_buffered": machine.double_buffered,
        "activation_buffer_bytes": machine.buffers.activation_bytes,
        "weight_buffer_bytes": machine.buffers.weight_bytes,
        "sum_buffer_bytes": machine.buffers.sum_bytes,
        "dram": machine.dram.name,
        "dram_bandwidth_gb_s": machine.dram.bandwidth_gb_s,
        "dram_efficiency": machine.dram_efficiency,
        "node_nm": machine.node_nm,
    }


def _product(product: ProductResult) -> dict[str, Any]:
    gemm = product.gemm
    intensity = product.operations_per_dram_byte
    return {
        "name": gemm.name,
        "m": gemm.m,
        "n": gemm.n,
        "k": gemm.k,
        "count": gemm.count,
        "macs": gemm.macs,
        "latency_s": product.latency_s,
        "bound": product.bound,
        "utilisation": product.utilisation,
        "edge_share": product.edge_share,
        "fill_share": product.fill_share,
        "stall_share": product.stall_share,
        "dram_bytes": product.dram_bytes,
        "operations_per_dram_byte": None if math.isinf(intensity) else intensity,
        "energy_j": sum(product.energies_pj.values()) * 1e-12,
        "energies_j": _joules(product.energies_pj),
    }


def _vector_s(operations: int, found: Evaluation, workload: Workload) -> float:
    return found.totals["vector_s"] * operations / workload.vector_operations if operations else 0.0


def _bound(found: Evaluation) -> str:
    """What most of the time goes to: products bound by computing, transfers or conversions, or vector work."""
    times = {"vector": found.totals["vector_s"]}
    for product in found.products:
        times[product.bound] = times.get(product.bound, 0.0) + product.latency_s
    return max(times, key=lambda name: times[name])


def _joules(energies_pj: dict[str, float]) -> dict[str, float]:
    return {name: energy * 1e-12 for name, energy in energies_pj.items()}
