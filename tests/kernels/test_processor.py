"""Which instructions a processor has, by LLVM's names of its features."""

import pytest

from densimeter.kernels import processor


@pytest.mark.parametrize(
    ("features", "byte_products", "pairs", "wide"),
    [
        ({"sse2"}, False, False, False),
        ({"avx2"}, False, True, False),
        ({"avx2", "avxvnni"}, True, True, False),
        ({"avx2", "avx512f", "avx512bw"}, False, True, True),
        ({"avx2", "avx512f", "avx512bw", "avx512vnni"}, True, True, True),
    ],
    ids=["x86-64", "haswell", "alderlake", "skylake-avx512", "cascadelake"],
)
def test_what_each_generation_offers(
    features: set[str], byte_products: bool, pairs: bool, wide: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "features", lambda: frozenset(features))
    assert processor.multiplies_bytes() == byte_products
    assert processor.multiplies_pairs() == pairs
    assert processor.has_wide_integers() == wide


def test_features_are_names_without_their_sign() -> None:
    assert processor.features()
    assert not any(name.startswith(("+", "-")) for name in processor.features())
