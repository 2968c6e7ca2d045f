"""The published variants against the paper's formulas, and where they part from the clean definitions."""

import numpy as np
import pytest

from densimeter.formats import get, reference
from support import published

WIDTHS = (8, 7, 6, 5, 4)
FORMULAS: dict[str, published.Quantizer] = {
    "minifloat8": published.minifloat,
    "dmf8": published.dmf,
    "bm8": published.bm,
    "bl8": published.bl,
} | {f"bfp{width}": published.bfp(width) for width in WIDTHS}
BLOCK = 16


def blocks() -> list[list[float]]:
    """Gaussians at many scales, grids full of ties, powers of two, and the neighbourhood of the published constants."""
    rng = np.random.default_rng(2310)
    gaussian = [rng.standard_normal(BLOCK) * 2.0**k for k in (-40, -27, -20, -12, -6, -1, 0, 3, 9, 40)]
    grid = [rng.integers(-64, 65, BLOCK) * 2.0**k for k in (-40, -16, -12, -11, -10, -6, 0, 3)]
    powers = [np.ldexp(rng.choice([-1.0, 1.0], BLOCK), rng.integers(-20, 9, BLOCK)) for _ in range(4)]
    constant = [0, 1e-9, -2e-9, 8e-9, 9.5e-9, 1e-8, -1e-8, 1.1e-8, 1e-7, 1e-6]
    constants = [np.array(constant + [largest] * 6) for largest in (0, 1e-8, 1)]
    # A logarithm's own constant, a tenth of its smallest power, 2^-127 under a largest value of one
    push = [
        np.resize([1, -1, *(sign * 2.0**-k for k in range(124, 134) for sign in (1, -1))], BLOCK * 2)[n::2]
        for n in (0, 1)
    ]
    every = [*gaussian, *grid, *powers, *constants, *push, np.zeros(BLOCK)]
    return [block.astype(np.float32).tolist() for block in every]


def quantized(name: str, block: list[float]) -> list[float]:
    fmt = get(name)
    return reference.dequantize_block(*reference.quantize_block(block, fmt), fmt)


@pytest.mark.parametrize("name", FORMULAS)
def test_as_published_is_the_papers_formula(name: str) -> None:
    for block in blocks():
        np.testing.assert_array_equal(quantized(f"{name}_as_published", block), FORMULAS[name](block), str(block))


@pytest.mark.parametrize(
    ("name", "value", "published_value", "clean_value"),
    [
        # The constant 1e-9 pushes a tie of a small BFP block up: 2.5 steps become 3 instead of 2.
        ("bfp6", 2.5 * 2.0**-15, 3 * 2.0**-15, 2 * 2.0**-15),
        # MiniFloat adds it to choose the exponent alone: its ties stay ties.
        ("minifloat8", 2.0**-6 * (1 + 1 / 16), 2.0**-6, 2.0**-6),
        # Just under a power of two, the exponent is one too high and the significand clips at 1.0.
        ("minifloat8", float(np.nextafter(np.float32(2.0**-5), np.float32(0))), 2.0**-5, 2.0**-5),
        ("minifloat8", 1.95, 1.875, 2.0),
        ("dmf8", 0.95, 0.875, 1.0),
    ],
)
def test_where_the_published_code_differs(name: str, value: float, published_value: float, clean_value: float) -> None:
    block = [float(np.float32(value)), 20.25 * 2.0**-15]
    assert quantized(f"{name}_as_published", block)[0] == published_value
    assert quantized(name, block)[0] == clean_value


def test_published_block_minifloat_flushes_small_blocks() -> None:
    """Its bias, floor(log2 max), clips at 0 for blocks under one: the smallest step is then 2^(1-0)/8, too coarse."""
    small = [0.02 * k / BLOCK for k in range(BLOCK)]
    assert quantized("bm8_as_published", [float(np.float32(x)) for x in small]) == [0.0] * BLOCK
    assert max(quantized("bm8", [float(np.float32(x)) for x in small])) == pytest.approx(0.01875, rel=2**-4)


def test_published_block_logarithm_has_no_zero() -> None:
    restored = quantized("bl8_as_published", [1.0, 0.0, -1.0])
    assert restored == [1.0, 2.0**-127, -1.0]  # b = 127 - 0; zero becomes the smallest power, positive
    assert quantized("bl8", [1.0, 0.0, -1.0]) == [1.0, 0.0, -1.0]
