"""Published quality: the signal-to-quantisation-noise ratio of Gaussian numbers under every format."""

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import resolve

SAMPLES = 1 << 20
WITHIN_DB = 0.03  # the sampling error of the published figures


@pytest.fixture(scope="module")
def gaussian() -> NDArray[np.float32]:
    return np.random.default_rng(20231).standard_normal((SAMPLES // 1024, 1024)).astype(np.float32)


def qsnr(x: NDArray[np.float32], name: str) -> float:
    """Signal power over error power in decibels; 0 where everything is lost."""
    error = x.astype(np.float64) - K.quantize(x, resolve(name)).dequantize()
    return float(10 * np.log10((x.astype(np.float64) ** 2).sum() / (error**2).sum()))


UNIT_VARIANCE = {
    "bfp8": 42.78,
    "bfp7": 36.76,
    "bfp6": 30.73,
    "bfp5": 24.69,
    "bfp4": 18.64,
    "{element: {kind: int, bits: 3, encoding: sign_magnitude, fraction_bits: 2}, block: 16, scale: "
    "{kind: power_of_two, rule: ceil, offset: 0}}": 12.54,
    "bfp8_b32": 41.66,
    "bfp6_b32": 29.62,
    "bfp4_b32": 17.56,
    "minifloat8_as_published": 30.99,
    "dmf8_as_published": 24.49,
    "bm8_as_published": 24.32,
    "{base: bm8, quirks: {saturate_significand: true}}": 30.99,  # as intended, but for the carry
    "bl8": 13.84,
    "mxfp8_e4m3": 30.64,
    "mxfp8_e5m2": 25.35,
    "mxfp6_e2m3": 30.94,
    "mxfp6_e3m2": 25.35,
    "mxfp4": 18.79,
    "mxint8": 41.66,
    "nvfp4": 20.44,
    "msfp16": 36.80,
    "msfp12": 13.13,
    "mx9": 46.53,
    "mx6": 28.31,
    "mx4": 15.72,
}
SMALL_VARIANCE = {  # standard deviation 0.02, as weights have
    "bfp8_as_published": 43.11,
    "bfp6_as_published": 31.06,
    "bfp4_as_published": 18.98,
    "minifloat8_as_published": 28.86,
    "dmf8_as_published": 24.52,
    "bl8_as_published": 13.74,
    "bm8_as_published": 0.0,
}


@pytest.mark.parametrize(("name", "published"), UNIT_VARIANCE.items())
def test_unit_variance(gaussian: NDArray[np.float32], name: str, published: float) -> None:
    assert qsnr(gaussian, name) == pytest.approx(published, abs=WITHIN_DB)


@pytest.mark.parametrize(("name", "published"), SMALL_VARIANCE.items())
def test_small_variance(gaussian: NDArray[np.float32], name: str, published: float) -> None:
    assert qsnr(gaussian * np.float32(0.02), name) == pytest.approx(published, abs=WITHIN_DB)


@pytest.mark.parametrize("name", ["minifloat8", "dmf8", "bm8"])
def test_carrying_significands_beat_the_published_code(gaussian: NDArray[np.float32], name: str) -> None:
    """Clipping a significand that rounds up costs about half a decibel; the wrong sign of a shared bias far more."""
    assert 0.3 < qsnr(gaussian, name) - qsnr(gaussian, f"{name}_as_published") < 8


@pytest.mark.parametrize("name", ["bfp8", "bfp6", "bfp4", "bl8"])
def test_block_formats_lose_nothing_by_the_clean_definition(gaussian: NDArray[np.float32], name: str) -> None:
    assert qsnr(gaussian, name) == pytest.approx(qsnr(gaussian, f"{name}_as_published"), abs=0.01)


@pytest.mark.parametrize(
    ("better", "worse", "least_db"),
    [
        ("mx9", "mxfp8_e4m3", 15),  # the ISCA 2023 paper's figures: about 16 dB above E4M3, ...
        ("mx9", "bfp8", 3.6),  # ... and 3.6 above block floating point of 16 bits a pair, which rounds
        ("nf4", "kint4_b64", 1.2),  # quantiles of a normal distribution suit one
        ("kquant4", "kint4", 1),
        ("gguf_q4_1", "gguf_q4_0", 0.7),  # an offset beside the scale
        ("int4_g128_affine", "int4_g128", 1),
        ("mxfp4_even", "mxfp4", 0.2),
    ],
)
def test_formats_that_suit_gaussians_better(
    gaussian: NDArray[np.float32], better: str, worse: str, least_db: float
) -> None:
    assert qsnr(gaussian, better) > qsnr(gaussian, worse) + least_db


def test_double_scales_cost_almost_nothing(gaussian: NDArray[np.float32]) -> None:
    assert qsnr(gaussian, "nf4_dq") == pytest.approx(qsnr(gaussian, "nf4"), abs=0.01)
