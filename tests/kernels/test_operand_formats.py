"""Which operand of which layer is held in which format."""

from typing import Any

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, FormatError
from densimeter.kernels.operand_formats import LayerFormats, Recipe


def test_overrides_change_single_fields_of_the_layers_they_match() -> None:
    bfp6, bfp8, mxfp4 = F.get("bfp6"), F.get("bfp8"), F.get("mxfp4")
    overrides = (("model.*", {"weight": mxfp4}), ("*.down", {"weight": None}))
    recipe = Recipe(LayerFormats(weight=bfp6, activation=bfp8), overrides)
    assert recipe.of("model.up") == LayerFormats(weight=mxfp4, activation=bfp8)
    assert recipe.of("model.down") == LayerFormats(weight=None, activation=bfp8)
    assert recipe.of("head") == LayerFormats(weight=bfp6, activation=bfp8)


def test_an_accumulator_needs_both_formats_and_a_unit() -> None:
    fp32 = F.parse_accumulator("fp32")
    with pytest.raises(FormatError, match="expected a weight and an activation format"):
        LayerFormats(weight=F.get("bfp6"), accumulator=fp32)
    with pytest.raises(FormatError):
        LayerFormats(weight=F.get("bfp6"), activation=F.get("bfp6"), accumulator=F.parse_accumulator("int32"))


def test_an_attention_accumulator_needs_every_operand_along_the_contraction_axis() -> None:
    bfp6, fp32 = F.get("bfp6"), F.parse_accumulator("fp32")
    operands: dict[str, Any] = dict.fromkeys(("query", "key", "probability", "value"), bfp6)
    assert LayerFormats(**operands, attention_accumulator=fp32).attends
    wanted = "expected formats of query, key, probability and value beside it, and value_axis"
    with pytest.raises(FormatError, match=wanted):
        LayerFormats(**{**operands, "probability": None}, attention_accumulator=fp32)
    with pytest.raises(FormatError, match=wanted):
        LayerFormats(**operands, attention_accumulator=fp32, value_axis="channels")
    with pytest.raises(FormatError):
        LayerFormats(**operands, attention_accumulator=F.parse_accumulator("int32"))


def test_output_embeddings_of_both_kinds_of_language_models_are_skipped() -> None:
    assert [path for path in ("lm_head", "cls.predictions.decoder", "model.layers.0.mlp") if Recipe().skips(path)] == [
        "lm_head",
        "cls.predictions.decoder",
    ]


def test_the_last_override_wins() -> None:
    overrides = (("*.down", {"weight": F.get("bfp8")}), ("a.*", {"weight": F.get("bfp4")}))
    assert Recipe(overrides=overrides).of("a.down").weight == F.get("bfp4")


def test_an_override_that_makes_no_unit_is_an_error_where_it_applies() -> None:
    recipe = Recipe(overrides=(("*.down", {"accumulator": F.parse_accumulator("fp32")}),))
    assert recipe.of("a.up") == LayerFormats()
    with pytest.raises(FormatError, match="expected a weight and an activation format"):
        recipe.of("a.down")


def test_an_override_of_nothing_is_an_error_that_names_the_nearest() -> None:
    recipe = Recipe(overrides=(("*.donw", {}),))
    with pytest.raises(ConfigError, match=r"'\*\.donw': matches none of the model's 2 modules; did you mean 'a.down'"):
        recipe.check(["a.down", "a.gate"])


def test_the_output_embedding_is_skipped_unless_asked_for() -> None:
    assert Recipe().skips("lm_head")
    assert not Recipe().skips("model.lm_head.proj")
    assert not Recipe(skip=()).skips("lm_head")
