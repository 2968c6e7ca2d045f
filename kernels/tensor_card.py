"""A quantised tensor as a notebook shows it; changes when a reader should see another fact of it."""

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.display import histogram, html_table

if TYPE_CHECKING:
    from densimeter.kernels.tensor import QuantizedTensor

_MOST_BITS = 8
_CHUNK_CODES = 1 << 22


def tensor_card(tensor: "QuantizedTensor") -> str:
    """HTML: shape and bytes; for elements of up to 8 bits, how often each of their values occurs, before scales.

    What the errors are no tensor knows by itself: `simulator.error_statistics` compares it with its original.
    """
    fmt, count = tensor.format, int(np.prod(tensor.shape))
    bits = f"{8 * tensor.nbytes / count:.5g}" if count else "\N{EN DASH}"
    facts = [
        ("shape", " x ".join(map(str, tensor.shape))),
        ("blocks along axis", str(tensor.axis)),
        ("scales", " x ".join(map(str, tensor.scales.shape)) if fmt.scale is not None else "none"),
        ("packed", f"{tensor.nbytes:,} bytes, {bits} bits a value"),
        ("float32", f"{4 * count:,} bytes"),
    ]
    head = f"<div><strong>QuantizedTensor</strong> {escape(fmt.name)} {escape(fmt.title)}</div>"
    return f'<div class="densimeter">{head}{html_table((), facts)}{_use_of_values(tensor)}</div>'


def _use_of_values(tensor: "QuantizedTensor") -> str:
    element = tensor.format.element
    if element.bits > _MOST_BITS or not tensor.codes.size:
        return ""
    values = [float(element.decode(code)) for code in range(1 << element.bits)]
    order = sorted((code for code, value in enumerate(values) if abs(value) < float("inf")), key=values.__getitem__)
    counts = _count(tensor.codes, len(values))[order]
    edges = [values[code] for code in order] + [values[order[-1]]]
    used = f"{np.count_nonzero(counts)} of {len(order)} codes in use"
    return histogram(counts.tolist(), edges, f"how often each value of {element.symbol} occurs, in order; {used}")


def _count(codes: NDArray[np.unsignedinteger], kinds: int) -> NDArray[np.int64]:
    """Occurrences of each code; a part at a time, as counting widens codes to 64 bits."""
    flat, counts = codes.reshape(-1), np.zeros(kinds, np.int64)
    for start in range(0, flat.size, _CHUNK_CODES):
        counts += np.bincount(flat[start : start + _CHUNK_CODES], minlength=kinds)
    return counts
