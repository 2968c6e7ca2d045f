"""The functions of `densimeter.simulator`, as a notebook calls them."""

import numpy as np
import pytest

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.errors import ConfigError
from densimeter.simulator import density_table, error_statistics


def test_errors_are_counted_and_shown() -> None:
    """MXFP4 under a scale of one holds 6 and 1; 2.25 becomes 2, which is off by 1/9, between 2^-4 and 2^-3."""
    x = np.zeros(32)
    x[:3] = 6, 1, 2.25
    found = error_statistics(x, K.quantize(x, F.get("mxfp4")))
    assert found.max_abs_error == 0.25
    assert found.exact == 31
    shown = found._repr_html_()
    assert ">31</td>" in shown
    assert "changed values by log2 |error / x|" in shown


def test_a_table_of_ones_own_units() -> None:
    table = density_table({"units": [{"format": "bfp6", "lanes": 16, "accumulator": "aligned24"}]})
    (row,) = table.rows
    assert row.format == F.get("bfp6")
    assert float(f"{row.lut['carry'].vs_float32:.3g}") == 21.5  # the default table's figure


def test_a_wrong_key_is_answered() -> None:
    with pytest.raises(ConfigError, match=r"unts.*did you mean 'units'"):
        density_table({"unts": []})
