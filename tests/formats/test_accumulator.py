"""Accumulators: their text forms, there and back, and the ones that do not exist."""

import pytest

from densimeter.formats import (
    Accumulator,
    AlignedAccumulator,
    FixedAccumulator,
    FormatError,
    Fp32Accumulator,
    IntAccumulator,
    parse_accumulator,
)

FORMS = [
    ("int32", IntAccumulator(32)),
    ("int20_saturate", IntAccumulator(20, "saturate")),
    ("fixed48:-24", FixedAccumulator(48, -24)),
    ("fixed16:3", FixedAccumulator(16, 3)),
    ("aligned24", AlignedAccumulator(24)),
    ("fp32", Fp32Accumulator()),
    ("fp32_ftz", Fp32Accumulator(subnormals=False)),
]


@pytest.mark.parametrize(("text", "accumulator"), FORMS)
def test_text_forms_there_and_back(text: str, accumulator: Accumulator) -> None:
    assert parse_accumulator(text) == accumulator
    assert str(accumulator) == text


@pytest.mark.parametrize(
    ("text", "accumulator"),
    [
        ("int(32)", IntAccumulator(32)),
        ("int(32,saturate)", IntAccumulator(32, "saturate")),
        ("int(32, saturate)", IntAccumulator(32, "saturate")),
        ("int32_wrap", IntAccumulator(32)),
        ("fixed(48,-24)", FixedAccumulator(48, -24)),
        ("fixed(48, -24)", FixedAccumulator(48, -24)),
        ("aligned(24)", AlignedAccumulator(24)),
        (" FP32 ", Fp32Accumulator()),
    ],
)
def test_other_spellings(text: str, accumulator: Accumulator) -> None:
    assert parse_accumulator(text) == accumulator


@pytest.mark.parametrize(
    "text", ["", "int", "uint32", "int32_clip", "fixed48", "fixed48:x", "aligned", "fp16", "fp 32"]
)
def test_a_text_of_no_form_is_told_the_forms(text: str) -> None:
    with pytest.raises(FormatError, match=r"expected something like int32, .* or fp32_ftz"):
        parse_accumulator(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("int1", "1 bits wide, expected 2 to 60"),
        ("int61", "61 bits wide"),
        ("fixed0:0", "0 bits wide"),
        ("fixed64:-24", "64 bits wide, expected 2 to 60"),
        ("aligned49", "49 bits wide, expected 2 to 48"),
        ("fixed24:-99999999", "-99999999"),
    ],
)
def test_widths_out_of_range(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_accumulator(text)
