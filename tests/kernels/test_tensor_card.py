"""What a notebook shows of a quantised tensor."""

import numpy as np
import pytest

import densimeter.formats as F
import densimeter.kernels as K


def test_shape_bytes_and_the_use_of_codes_are_shown() -> None:
    """Two blocks of 32 values, each 8 + 32 * 4 bits; 0, 1 and 6 occur."""
    x = np.zeros((2, 32), np.float32)
    x[:, 0], x[:, 1] = 6, 1
    shown = K.quantize(x, F.get("mxfp4"))._repr_html_()
    assert ">2 x 32</td>" in shown
    assert ">34 bytes, 4.25 bits a value</td>" in shown  # 2 * (8 + 32 * 4) / 8
    assert "3 of 16 codes in use" in shown


def test_errors_are_shown_while_the_original_is_there_unchanged() -> None:
    """5 lies between 4 and 6: an error of 1/5, in the octave from 2^-3."""
    x = np.full((2, 32), 4, np.float32)
    x[:, 0], x[:, 1] = 6, 5
    q = K.quantize(x, F.get("mxfp4"))
    shown = q._repr_html_()
    assert "changed values by log2 |error / x|" in shown
    assert ">\N{MINUS SIGN}3</text>" in shown
    x[0, 5] = 1
    assert "error" not in q._repr_html_()
    x[0, 5] = 4
    assert "error" in q._repr_html_()
    del x
    assert "error" not in q._repr_html_()


@pytest.mark.parametrize("name", ["float32", "float16", "int8", "nf4_dq", "nvfp4", "bfp6_b16x16"])
@pytest.mark.parametrize("shape", [(3, 40), (0, 4)])
def test_any_tensor_is_shown(name: str, shape: tuple[int, int]) -> None:
    shown = K.quantize(np.ones(shape, np.float32), F.get(name))._repr_html_()
    assert name in shown
    assert ("in use" in shown) == (F.get(name).element.bits <= 8 and shape[0] > 0)
