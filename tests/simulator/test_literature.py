"""Published ratios: what is compared is what the source compared, and every comparison has its reason."""

from densimeter.hwmodels.literature import published_ratios
from support.command import Densimeter


def test_published_figures_and_their_arithmetic() -> None:
    ratios = {(ratio.name, ratio.quantity): ratio for ratio in published_ratios()}
    assert ratios["mxint8 / int8", "area"].value == round(110692.4 / 100177.3, 3)
    assert ratios["mxfp4 / int4", "area"].value == round(35967.0 / 27905.5, 3)
    assert ratios["float32 / int8", "energy"].value == round((0.9 + 3.7) / (0.03 + 0.2))
    assert [ratios[f"float32 / msfp{bits}", "area"].value for bits in range(16, 10, -1)] == [
        8.8,
        10.8,
        13.9,
        18.3,
        31.9,
        50.9,
    ]
    assert ratios["float32 / int8", "luts"].value == round(19.2 / 2.5, 1)
    assert all(ratio.reason and ratio.source for ratio in ratios.values())


def test_like_is_compared_with_like() -> None:
    for ratio in published_ratios():
        stands_alone = ratio.name.startswith("float32") or ratio.name == "int8 / bfp6"
        assert ratio.dividend.lanes == (1 if stands_alone else ratio.divisor.lanes)


def test_every_ratio_of_ours_is_on_record(densimeter: Densimeter) -> None:
    shown = densimeter("literature", "--json").json
    assert all(comparison["ours"] > 0 for comparison in shown["comparisons"])
    table = densimeter("literature")
    assert table.code == 0
    assert "FormatScope" in table.out
