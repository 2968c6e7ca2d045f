"""How much an error of a weight shows in the layer's output, from the second moments of its input; for several recipes.

With ``M = E[x x^T]`` the mean of ``|D x|^2`` over tokens is ``tr(D M D^T)``: no token needs to be kept.
"""

import numpy as np
from numpy.typing import NDArray


def output_error(difference: NDArray[np.float32], moments: NDArray[np.float32]) -> float:
    """Mean square of ``difference @ x``, summed over outputs. difference: [outputs, inputs]."""
    return float(np.einsum("ij,ij->", difference @ moments, difference, dtype=np.float64))


def block_errors(difference: NDArray[np.float32], moments: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The same of every output and every `width` inputs alone, as if all others were exact: [outputs, blocks]."""
    rows, inputs = difference.shape
    blocks = -(-inputs // width)
    missing = blocks * width - inputs
    padded = np.pad(difference, ((0, 0), (0, missing))).reshape(rows, blocks, width).swapaxes(0, 1)
    square = np.pad(moments, (0, missing)).reshape(blocks, width, blocks, width)
    diagonal = square[np.arange(blocks), :, np.arange(blocks)]
    errors: NDArray[np.float32] = np.einsum("bri,bri->rb", padded @ diagonal, padded)
    return errors
