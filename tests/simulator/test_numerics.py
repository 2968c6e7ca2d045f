"""Error statistics, on tensors whose errors can be counted by hand."""

import math

import numpy as np
import pytest

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.simulator.numerics import error_statistics, mean_qsnr_db

FIXED = F.parse({"element": {"kind": "int", "bits": 4, "fraction_bits": 0}})  # -8 .. 7


def test_counts_by_hand() -> None:
    x = np.array([[1.0, 0.25, -3.25, 7.4, 7.75, 0.0]], np.float32)  # -> 1, 0, -3, 7, 7, 0
    statistics = error_statistics(x, K.quantize(x, FIXED))
    squares = 1 + 0.25**2 + 3.25**2 + np.float32(7.4).astype(float) ** 2 + 7.75**2
    noise = 0.25**2 + 0.25**2 + (np.float32(7.4).astype(float) - 7) ** 2 + 0.75**2
    assert statistics.values == 6
    assert statistics.qsnr_db == pytest.approx(10 * math.log10(squares / noise))
    assert statistics.max_abs_error == 0.75
    assert statistics.saturated_share == 1 / 6  # 7.75 would round to 8; 7.4 rounds to 7 by itself
    assert statistics.flushed_share == 1 / 6  # 0.25; the zero was zero before


def test_an_exact_format_has_infinite_qsnr_which_json_writes_as_null() -> None:
    x = np.ones((2, 3), np.float32)
    statistics = error_statistics(x, K.quantize(x, F.get("float32")))
    assert statistics.qsnr_db == math.inf
    assert statistics.to_json()["qsnr_db"] is None


def test_mean_is_over_tensors_in_decibels() -> None:
    rng = np.random.default_rng(0)
    tensors = [rng.standard_normal((4, 32)).astype(np.float32), 100 * rng.standard_normal((8, 64)).astype(np.float32)]
    fmt = F.get("bfp6")
    each = [error_statistics(x, K.quantize(x, fmt)).qsnr_db for x in tensors]
    assert mean_qsnr_db(tensors, fmt) == pytest.approx(sum(each) / 2)
