"""The default stimulus reaches every corner that a unit has, and what a stream has not reached is told."""

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.rtl.simulate import Stimulus
from densimeter.simulator.coverage import coverage
from densimeter.simulator.rtl_regression import expected_registers
from densimeter.simulator.stimulus import draw
from support.unit_streams import any_format

UNITS = [
    ("int8", "int8", 16, "int32_saturate"),
    ("int8", "int8", 16, "int24"),
    ("int8", "uint4", 8, "int20_saturate"),
    ("int4", "bl8", 16, "fixed48:-60"),
    ("bfp6", "bfp6", 16, "fixed48:-24"),
    ("bfp6", "bfp6", 16, "aligned24"),
    ("bfp6", "bfp4", 8, "fp32_ftz"),
    ("mxint8", "bfp5", 16, "aligned32"),
    ("mxfp4", "mxfp4", 16, "fp32"),
    ("mxfp8_e5m2", "mxfp8_e4m3", 4, "fixed48:-20"),
    ("nvfp4", "nvfp4", 16, "fp32"),
    ("nvfp4", "nvfp4", 8, "aligned32"),
    ("gguf_q4_0", "gguf_q4_0", 32, "fp32"),
    ("gguf_q5_0", "mxint8", 16, "aligned40"),
    ("mx9", "mx6", 16, "fp32"),
    ("mx4", "int8", 4, "fixed48:-24"),
    ("e4m3", "e4m3", 8, "int40_saturate"),
    ("e4m3", "e4m3", 1, "fp32"),
    ("mxfp8_e5m2", "mxfp8_e5m2", 4, "fp32"),
    ("bfloat16", "bfloat16", 1, "fp32"),
    ("float32", "float32", 1, "fp32"),
    ("float32_ftz", "float32_ftz", 1, "fp32_ftz"),
]


@pytest.mark.parametrize(("activation", "weight", "lanes", "accumulator"), UNITS)
def test_default_stimulus_hits_every_corner(activation: str, weight: str, lanes: int, accumulator: str) -> None:
    datapath = F.derive(any_format(activation), any_format(weight), lanes, accumulator)
    stimulus = draw(datapath, random_vectors=2000, seed=0)
    hits = coverage(datapath, stimulus, expected_registers(datapath, stimulus))
    assert [corner for corner, count in hits.items() if not count] == []


def test_a_poor_stream_misses_what_it_does_not_reach() -> None:
    int8 = F.get("int8")
    datapath = F.derive(int8, int8, 2, "int20_saturate")
    # 127 * 127 = 16129, twice a group: 2^19 - 1 is passed with the 17th group, the 18th finds the register there.
    largest = np.full((18, 2), 127, np.uint32)
    stimulus = Stimulus(largest, largest)
    hits = coverage(datapath, stimulus, expected_registers(datapath, stimulus))
    assert hits["largest x largest on every lane, ++"] == 18
    assert hits["saturates at the top"] == 1
    assert hits["saturates at the bottom"] == hits["hold"] == hits["every product zero"] == 0
