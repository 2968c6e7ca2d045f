"""Floats too wide for a table of values: every field of a code, special or subnormal, is decoded as declared."""

import numpy as np
import pytest

import densimeter.kernels as K
from densimeter.formats import BlockFormat, FloatElement, PowerOfTwoScale, get
from support import oracle, reference_tensor

LANES = 16
WIDE = (
    FloatElement(8, 23, 127, specials="ieee"),
    FloatElement(8, 23, 127, specials="ieee", subnormals=False),
    FloatElement(6, 12, 31, specials="nan"),
    FloatElement(6, 12, 31, specials="fnuz"),
    FloatElement(7, 14, 20),
    FloatElement(6, 12, 31, hidden_bit=False),
)


def codes_of_every_field(element: FloatElement) -> list[int]:
    """Under each exponent field and either sign: the first two fractions, the last two, and one between."""
    last = (1 << element.mantissa_bits) - 1
    magnitudes = [
        field << element.mantissa_bits | fraction
        for field in range(1 << element.exponent_bits)
        for fraction in (0, 1, last // 3, last - 1, last)
    ]
    sign = 1 << (element.bits - 1)
    codes = [code | negative for code in magnitudes for negative in (0, sign)]
    return codes + codes[: -len(codes) % LANES]


@pytest.mark.parametrize("element", WIDE, ids=lambda element: f"{element.notation}, bias {element.bias}")
def test_codes_of_wide_floats(element: FloatElement) -> None:
    codes = np.array(codes_of_every_field(element), np.uint32).reshape(-1, LANES)
    fmt = BlockFormat("wide", element)
    q = K.QuantizedTensor(fmt, codes.shape, 1, codes, np.zeros(codes.shape, np.uint8))
    with np.errstate(over="ignore"):
        expected = [oracle.dequantize_block(0, row, fmt) for row in codes.tolist()]
        reference_tensor.assert_same_floats(q.dequantize(), np.array(expected, np.float32))


def test_a_wide_float_under_a_shared_exponent() -> None:
    """2**(127 - 130) times a float32 of 24 bits: its last bit stays."""
    fmt = BlockFormat("scaled", get("float32").element, PowerOfTwoScale(), LANES)
    held = np.nextafter(np.float32(3), np.float32(4))
    codes = np.full((1, LANES), held.view(np.uint32))
    q = K.QuantizedTensor(fmt, codes.shape, 1, codes, np.array([[127 + 3]], np.uint8))
    assert (q.dequantize() == held * np.float32(8)).all()
