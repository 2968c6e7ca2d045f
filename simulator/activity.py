"""Stimulus for a unit's energy: dot products of a real model, the same numbers whatever the unit's formats.

Each output is one of MiniLM's: a token's activations times a row of the weights that meet them, quantised as the
unit's formats ask, `lanes` products a cycle, with a `clear` at the first group of each.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, Datapath
from densimeter.hwmodels.energy import OUTPUTS, PRODUCTS, TOKENS, StimulusRecipe, shared_stimulus
from densimeter.kernels import quantize
from densimeter.rtl.comparison import Delay, Vectors, vectors
from densimeter.rtl.simulate import Stimulus
from densimeter.simulator.group_scales import group_scales
from densimeter.simulator.rtl_regression import expected_registers
from densimeter.simulator.workloads import minilm
from densimeter.simulator.workloads.tensors import Float32Array, Workload


def recipe(datapath: Datapath, outputs: int = OUTPUTS, seed: int = 0) -> StimulusRecipe:
    """The stimulus of `dot_products`, with the registers that the kernel expects of it, to be drawn when needed."""
    description = shared_stimulus(outputs, seed)
    return StimulusRecipe(description, lambda: _vectors(datapath, dot_products(datapath, outputs, seed)))


def dot_products(datapath: Datapath, outputs: int = OUTPUTS, seed: int = 0) -> Stimulus:
    """`outputs` dot products one after the other, drawn over the model's layers; the first of more are those of fewer.

    Raises `ToolError` where the model is not installed.
    """
    rng = np.random.default_rng(seed)
    pairs = operand_pairs()
    parts = []
    for _ in range(outputs):
        activations, weights = pairs[rng.integers(len(pairs))]
        sides = zip(datapath.operands, (activations, weights), strict=True)
        parts.append([_groups(values, fmt, int(rng.integers(len(values))), datapath) for fmt, values in sides])
    (a_codes, a_scales), (w_codes, w_scales) = (
        [np.concatenate(arrays) for arrays in zip(*side, strict=True)] for side in zip(*parts, strict=True)
    )
    a, w = datapath.operands
    return Stimulus(
        a_codes,
        w_codes,
        a_scales if a.has_unit_scale else None,
        w_scales if w.has_unit_scale else None,
        clear=np.arange(len(a_codes)) % (len(a_codes) // outputs) == 0,
    )


def _vectors(datapath: Datapath, stimulus: Stimulus) -> Vectors:
    expected = expected_registers(datapath, stimulus)
    invalid = expected.invalid if datapath.has_invalid_flag else None
    return vectors(datapath, stimulus, expected.accumulator, invalid, Delay())


@lru_cache(maxsize=1)
def _workload() -> Workload:
    return minilm.load(TOKENS)


def operand_pairs() -> list[tuple[Float32Array, Float32Array]]:
    """Activations [tokens, K] and weights [rows, K] of each product in the model whose K is the hidden size.

    Raises `ToolError` where the model is not installed.
    """
    workload = _workload()
    inputs = {tensor.name: tensor.values for tensor in workload.having("activation")}
    found = []
    for tensor in workload.having("weight"):
        layer = tensor.name.removesuffix(".weight")
        # Queries, keys and values of a layer share their input.
        values = inputs.get(f"{layer}.input", inputs.get(f"{layer.rpartition('.')[0]}.input"))
        if values is not None and values.shape[1] == PRODUCTS:
            found.append((values, tensor.values))
    return found


def _groups(
    values: Float32Array, fmt: BlockFormat, row: int, datapath: Datapath
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]:
    """Codes [groups, lanes] and scale codes [groups] of one row of a tensor, which is quantised as a whole."""
    tensor = quantize(values, fmt)
    codes = tensor.code_rows().reshape(tensor.shape)[row]
    padded = np.pad(codes, (0, -len(codes) % datapath.lanes), constant_values=fmt.element.padding_code)
    groups = padded.reshape(-1, datapath.lanes)
    if not fmt.has_unit_scale:
        return groups, np.zeros(len(groups), np.uint8)
    scales = tensor.scale_rows().repeat(fmt.block_rows, axis=0)[row]
    return groups, group_scales(scales[None], len(codes), fmt, datapath)[0]
