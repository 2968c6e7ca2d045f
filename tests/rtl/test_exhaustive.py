"""Every pair of 8-bit codes through a one-lane unit, against plain numpy products."""

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import Stimulus, run
from support.oracle import value

pytestmark = pytest.mark.rtl

LEFT, RIGHT = (pairs.reshape(-1, 1).astype(np.uint64) for pairs in np.meshgrid(np.arange(256), np.arange(256)))
ALWAYS = np.ones(256 * 256, dtype=bool)


def test_every_int8_product() -> None:
    fixed8 = F.get("fixed8")
    left, right = (codes.ravel().astype(np.uint8).view(np.int8).astype(np.int32) for codes in (LEFT, RIGHT))
    _compare(F.derive(fixed8, fixed8, 1, "int32"), (left * right).view(np.uint32))


def test_every_e4m3_product() -> None:
    e4m3 = F.parse({"element": "e4m3"})
    values = np.array([value(e4m3.element, code) for code in range(256)], dtype=np.float32)
    # 8 significand bits a product: float32 holds each exactly.
    products = (values[LEFT.ravel()] * values[RIGHT.ravel()]).view(np.uint32)
    nan = np.isnan(products.view(np.float32))
    # The register starts from +0, and +0 + -0 is +0.
    products[products == 0x80000000] = 0
    _compare(F.derive(e4m3, e4m3, 1, "fp32"), np.where(nan, np.uint32(0x7FC00000), products))


def _compare(datapath: F.Datapath, expected: np.ndarray) -> None:
    unit = emit(datapath)
    result = run(unit.text, unit.name, datapath, Stimulus(LEFT, RIGHT, clear=ALWAYS), expected)
    assert result.vectors_compared == 256 * 256
    assert result.mismatches == 0, result.first_mismatch
