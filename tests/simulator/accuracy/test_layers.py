"""Errors by layer and operand, added up over calls."""

from fractions import Fraction

import numpy as np
import pytest

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.simulator.accuracy.layers import LayerErrors, declared, mean_bits
from densimeter.simulator.numerics import error_statistics


def drawn(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((8, 64)).astype(np.float32)


def test_calls_of_one_operand_add_up() -> None:
    errors, fmt, (one, two) = LayerErrors(), F.get("bfp4"), (drawn(0), 3 * drawn(1))
    for values in (one, two):
        errors("a", "activation", values, K.quantize(values, fmt))
    (row,) = errors.rows()
    both = np.concatenate([one, two])
    expected = error_statistics(both, K.quantize(both, fmt))
    assert (row["layer"], row["operand"], row["format"], row["values"]) == ("a", "activation", "bfp4", 2 * 8 * 64)
    assert row["qsnr_db"] == pytest.approx(expected.qsnr_db)
    assert row["max_abs"] == float(np.abs(both).max())
    assert row["saturated"] == expected.saturated
    assert (row["channels"], row["outlier_channels"]) == (64, np.count_nonzero(np.abs(both).max(axis=0) > 6))


def test_summary_is_the_mean_over_layers_and_counts_bits_with_scales() -> None:
    """BFP4 in blocks of 16: 4 + 8 / 16 bits."""
    errors, fmt = LayerErrors(), F.get("bfp4")
    for layer in (0, 1):
        errors(str(layer), "weight", drawn(layer), K.quantize(drawn(layer), fmt))
    ratios = [row["qsnr_db"] for row in errors.rows()]
    assert errors.summary()["weight_qsnr_db"] == pytest.approx(sum(ratios) / 2)
    assert errors.weight_bits == {"0": 4 + 8 / 16, "1": 4 + 8 / 16}


def test_what_changes_nothing_has_no_finite_ratio() -> None:
    errors = LayerErrors()
    errors("a", "weight", drawn(0), K.quantize(drawn(0), F.get("float32")))
    assert errors.rows()[0]["qsnr_db"] is None
    assert errors.summary()["weight_qsnr_db"] is None


def test_who_does_not_watch_sees_nothing() -> None:
    errors = LayerErrors()
    errors.watching = False
    errors("a", "weight", drawn(0), K.quantize(drawn(0), F.get("bfp4")))
    assert errors.rows() == []
    assert errors.summary() == {"saturated_share": 0}
    assert errors.weight_bits == {}


def test_bits_a_weight_are_a_mean_over_weights() -> None:
    """Four bits of 100 weights and eight of 300; a layer that kept float32 is not among them."""
    assert mean_bits({"a": 100, "b": 300, "c": 1000}, {"a": 4, "b": 8}) == (4 * 100 + 8 * 300) / 400
    assert mean_bits({"a": 100}, {}) is None


def test_a_layer_that_knows_a_figure_says_it() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[1].bits_per_weight = Fraction(5, 2)
    assert declared(model, ["0", "1"], "bits_per_weight") == {"1": 2.5}
    assert declared(model, ["0", "1"], "side_products") == {}
