"""Stimulus for a converter's energy: rows of a real model, the same numbers whatever the formats.

A quantiser takes in activations, a dequantiser weights, each quantised as a whole tensor, one group of lanes a cycle.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ModelRangeError
from densimeter.hwmodels.conversion import Conversion, Stream
from densimeter.hwmodels.energy import OUTPUTS
from densimeter.kernels import QuantizedTensor, quantize
from densimeter.simulator.activity import operand_pairs

Words = NDArray[np.uint8]


def conversion_stream(conversion: Conversion) -> Stream:
    """The stream that `CONVERSION_STIMULUS` describes for that converter, with the answers that the kernels expect.

    Kernels dequantise to float32: a bfloat16 answer under a float scale is rounded twice here and once in the circuit.
    Where that differs, the measurement fails. Raises ToolError where the model is not installed,
    ModelRangeError for a converter that takes its values twice.
    """
    if conversion.passes > 1:
        raise ModelRangeError(f"{conversion.module.name} takes a row in two passes, of which there is no stream")
    rng = np.random.default_rng(0)
    pairs = operand_pairs()
    taken, answered = [], []
    for _ in range(OUTPUTS):
        tensor = pairs[rng.integers(len(pairs))][conversion.dequantizes]
        words = _row(conversion, quantize(tensor, conversion.source), int(rng.integers(len(tensor))))
        taken.append(words[0])
        answered.append(words[1])
    expected = {port: [int.from_bytes(word.tobytes(), "little") for word in words] for port, words in _joined(answered)}
    return Stream(dict(_joined(taken)), expected)


def _joined(rows: list[dict[str, Words]]) -> Iterator[tuple[str, Words]]:
    """Each port with its words of all rows."""
    return ((port, np.concatenate([row[port] for row in rows])) for port in rows[0])


def _row(conversion: Conversion, source: QuantizedTensor, row: int) -> tuple[dict[str, Words], dict[str, Words]]:
    """Words in and words out of one row of a tensor."""
    taken = _groups(source, row, conversion.values)
    answered = _groups(quantize(source.dequantize()[row : row + 1], conversion.target), 0, conversion.values)
    if not conversion.dequantizes:
        return _enabled({"value": taken["code"]}), answered
    if source.format.has_tensor_scale:
        factor = np.array([source.tensor_scale], np.float32).view(np.uint8)
        taken["tensor_scale"] = np.tile(factor, (len(taken["code"]), 1))
    return _enabled(taken), {"value": answered["code"]}


def _enabled(words: dict[str, Words]) -> dict[str, Words]:
    return {"en": np.ones((len(next(iter(words.values()))), 1), np.uint8), **words}


def _groups(tensor: QuantizedTensor, row: int, lanes: int) -> dict[str, Words]:
    """Words of codes, and of scale codes where there are any, of one row, a group of lanes each."""
    fmt = tensor.format
    codes = tensor.code_rows().reshape(tensor.shape)[row].reshape(-1, lanes)
    words = {"code": _packed(codes, fmt.element.bits)}
    if fmt.scale is not None:
        shared = tensor.scale_rows()
        of_row = shared[min(row // fmt.block_rows, len(shared) - 1)]
        first = np.arange(len(codes)) * lanes // fmt.block_length(tensor.shape[1])
        words["scale"] = _packed(of_row[first, None], fmt.scale.code_bits)
    return words


def _packed(codes: NDArray[np.unsignedinteger], bits: int) -> Words:
    """Codes [cycles, lanes] as words [cycles, bytes], lane 0 in the low bits."""
    code_bytes = np.ascontiguousarray(codes, "<u8").view(np.uint8).reshape(*codes.shape, 8)
    each = np.unpackbits(code_bytes, axis=2, count=bits, bitorder="little")
    return np.packbits(each.reshape(len(codes), -1), axis=1, bitorder="little")
