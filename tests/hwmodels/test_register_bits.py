"""The cost of a register bit is what the tools measure."""

import pytest

from densimeter.formats import ConfigError
from densimeter.hwmodels.register_bits import measure_register_bit, register_bit
from densimeter.rtl.cells.liberty import find_library


@pytest.mark.rtl
def test_the_recorded_bit_is_measured_again() -> None:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip("the NanGate 45 nm library is not installed")
    measured, recorded = measure_register_bit(library), register_bit("nangate45")
    assert (measured.area_um2, measured.leakage_nw) == pytest.approx((recorded.area_um2, recorded.leakage_nw))
    assert measured.write_pj == pytest.approx(recorded.write_pj)


def test_an_unmeasured_library_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cell library 'nangate54', expected nangate45; did you mean 'nangate45'"):
        register_bit("nangate54")
