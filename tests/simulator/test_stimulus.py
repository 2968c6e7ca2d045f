"""The stimulus visits what it promises to visit."""

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.simulator.stimulus import draw, is_exhaustive


@pytest.mark.parametrize(("name", "lanes"), [("bfp6", 16), ("mxfp4", 3), ("bfp4", 1), ("int8", 1)])
def test_every_lane_sees_every_pair(name: str, lanes: int) -> None:
    fmt = F.parse({**F.declaration(F.get(name)), "block": 48}) if name == "mxfp4" else F.get(name)
    datapath = F.derive(fmt, fmt, lanes, "fp32")
    assert is_exhaustive(datapath)
    stimulus = draw(datapath, random_vectors=1, seed=0)
    pairs = stimulus.activation.astype(np.int64) << 16 | stimulus.weight
    for lane in range(lanes):
        assert len(np.unique(pairs[:, lane])) == 1 << 2 * fmt.element.bits


def test_eight_bits_on_many_lanes_are_not_exhaustive() -> None:
    assert not is_exhaustive(F.derive(F.get("int8"), F.get("int8"), 16, "int32"))


def test_scales_reach_the_ends_and_the_nan_code() -> None:
    fmt = F.get("mxfp4")
    stimulus = draw(F.derive(fmt, fmt, 16, "fp32"), random_vectors=20_000, seed=0)
    assert stimulus.activation_scale is not None
    assert set(range(256)) == set(stimulus.activation_scale.tolist())


def test_the_same_seed_draws_the_same() -> None:
    datapath = F.derive(F.get("bfloat16"), F.get("bfloat16"), 1, "fp32")
    first, second = (draw(datapath, random_vectors=50, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.activation, second.activation)
    assert (draw(datapath, random_vectors=50, seed=8).activation != first.activation).any()


def test_wide_floats_often_meet_near_one() -> None:
    datapath = F.derive(F.get("float32"), F.get("float32"), 1, "fp32")
    stimulus = draw(datapath, random_vectors=4000, seed=0)
    exponents = stimulus.activation[-4000:, 0] >> 23 & 0xFF
    assert np.mean(np.abs(exponents.astype(int) - 127) < 10) > 0.4
