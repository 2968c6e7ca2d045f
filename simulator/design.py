"""From a design point to what the machine model takes: a machine, the storage of its tensors, a workload."""

from typing import Any

from densimeter.formats import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.accelerator.machine import Buffers, Machine, Storage
from densimeter.hwmodels.gemm import Workload
from densimeter.simulator.layer_formats import LayerFormat, with_layer_formats
from densimeter.simulator.schema.design import BuffersField, DesignPoint, MixtureField, WorkloadField
from densimeter.simulator.workloads.gemm_list import read_gemm_list
from densimeter.simulator.workloads.language_models import language_model, workload

_KIB = 1024


def machine_of(design: DesignPoint) -> Machine:
    """The machine of a design; ConfigError where its figures contradict each other."""
    return Machine(
        datapath=design.datapath(),
        rows=design.array.rows,
        cols=design.array.cols,
        buffers=buffers_of(design.buffers),
        dram=design.dram.memory(),
        dataflow=design.array.dataflow,
        double_buffered=design.array.double_buffered,
        clock_mhz=design.clock_mhz,
        node_nm=design.node_nm,
        sram_cell_type=design.sram_cells,
        dram_efficiency=design.dram.efficiency,
        transfer_overlaps=design.overlap.transfer,
        conversions_per_cycle=design.overlap.conversions_per_cycle,
        conversion_overlaps=design.overlap.conversion,
        vector_lanes=design.vector_lanes,
        synthesize=design.synthesize,
    )


def buffers_of(field: BuffersField) -> Buffers:
    """The buffers in whole bytes; ConfigError for one of less than a byte."""
    return Buffers(
        activation_bytes=round(field.activation_kib * _KIB),
        weight_bytes=round(field.weight_kib * _KIB),
        sum_bytes=round(field.sum_kib * _KIB),
    )


def storage_of(design: DesignPoint) -> Storage:
    """The formats of a design's tensors; the KV cache is stored as activations are unless something else is said."""
    activation, weight = design.datapath().operands
    given = design.storage
    stored = given.weight.stored() if isinstance(given.weight, MixtureField) else given.weight
    others: dict[str, BlockFormat | None] = {
        "key": given.key or given.kv,
        "value": given.value or given.kv,
        "query": given.query,
        "probability": given.probability,
        "output": given.output,
    }
    named: dict[str, Any] = {name: fmt for name, fmt in others.items() if fmt is not None}
    return Storage(given.activation or activation, stored or weight, **named)


def stored_workload(design: DesignPoint, workload: Workload) -> tuple[Workload, Storage]:
    """A design's workload and what it is stored in, with a product for each group of layers that are stored alike.

    Raises ConfigError for formats of layers that the workload does not have.
    """
    storage, layers = storage_of(design), design.storage.layers
    if not layers:
        return workload, storage
    if design.workload.model is None:
        raise ConfigError("storage.layers beside a list of products, which has no layers; expected a model")
    formats = tuple(LayerFormat(pattern, layer.weight, layer.activation) for pattern, layer in layers.items())
    return with_layer_formats(workload, storage, language_model(design.workload.model), formats)


def workload_of(field: WorkloadField) -> Workload:
    """The workload; ConfigError for an unknown model, a file that cannot be read, or a phase that the model lacks."""
    if field.gemms is not None:
        return read_gemm_list(field.gemms)
    return workload(
        language_model(field.model or ""),
        phase=field.phase,
        batch=field.batch,
        context=field.context,
        tokens=field.tokens,
        query_tile=field.query_tile,
    )
