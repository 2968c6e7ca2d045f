"""A quantised tensor as a notebook shows it; changes when a reader should see another fact of it."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.display import histogram, html_table
from densimeter.kernels.deviation import SMALLEST_OCTAVE, measure

if TYPE_CHECKING:
    from densimeter.kernels.tensor import QuantizedTensor

_MOST_BITS = 8
_CHUNK_CODES = 1 << 22


def tensor_card(tensor: "QuantizedTensor") -> str:
    """HTML: shape and bytes; errors, while the array that it was made of is there unchanged; for elements of up to 8
    bits, how often each of their values occurs, before scales.
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
    return f'<div class="densimeter">{head}{html_table((), facts)}{_errors(tensor)}{_use_of_values(tensor)}</div>'


def error_bars(octaves: Sequence[int]) -> str:
    """SVG of a histogram of relative errors, as `deviation.measure` counts them."""
    used = [k for k, count in enumerate(octaves) if count] or [-SMALLEST_OCTAVE]
    shown = range(min(used), max(used) + 1)
    edges = [SMALLEST_OCTAVE + k for k in (*shown, max(used) + 1)]
    return histogram([octaves[k] for k in shown], edges, "changed values by log2 |error / x|")


def _errors(tensor: "QuantizedTensor") -> str:
    from densimeter.kernels.tensor import original

    x = original(tensor)
    if x is None or not x.size:
        return ""
    rows = np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1])
    anything = np.full((1, 1), -np.inf), np.full((1, 1), np.inf)
    held = tensor.dequantize().reshape(rows.shape)
    return error_bars(measure(rows, held, anything, rows.shape[1], rows.shape[0])[2].tolist())


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
