"""The datapath of a unit: its widths with their arithmetic, and the units that cannot exist."""

import pytest

from densimeter.formats import BlockFormat, Datapath, FormatError, default_lanes, derive, get, resolve


@pytest.mark.parametrize(
    ("activation", "weight", "lanes", "largest_product"),
    [
        ("bfp6", "bfp6", 16, 31 * 31),
        ("bfp6", "bfp4", 8, 31 * 7),
        ("int8", "int8", 16, 128 * 128),  # the most negative code is decoded even where it is never produced
        ("fixed8", "fixed8", 1, 128 * 128),
        ("mxint8", "mxint8", 32, 128 * 128),
        ("mxfp4", "mxfp4", 32, 12 * 12),  # 6 in steps of 1/2
        ("mxfp6_e2m3", "mxfp6_e2m3", 32, 60 * 60),  # 7.5 in steps of 1/8
        ("mxfp6_e3m2", "mxfp6_e3m2", 32, 448 * 448),  # 28 in steps of 1/16
        ("mxfp8_e4m3", "mxfp8_e4m3", 32, (448 * 2**9) ** 2),
        ("mxfp8_e5m2", "mxfp8_e5m2", 32, (57344 * 2**16) ** 2),
        ("minifloat8", "minifloat8", 4, (480 * 2**9) ** 2),
        ("dmf8", "dmf8", 4, (224 * 2**10) ** 2),
        ("nvfp4", "nvfp4", 16, 12 * 12),
        ("gguf_q4_0", "gguf_q8_0", 32, 8 * 128),  # code 0 of an offset integer is -8
        ("e4m3_fnuz", "e4m3_fnuz", 4, (240 * 2**10) ** 2),
        ("bfp6_b4x8", "mxfp4_rceil", 8, 31 * 12),  # rows of tiles and scale rules change no width
        ("int8", "bfp8", 4, 128 * 127),
        ("bl8", "bl8", 16, 2**24),  # one bit times one bit, at the top of a window of 24 bits
        ("bl8", "bfp6", 16, 31 * 2**24),
        ("mx9", "mx9", 16, 254 * 254),  # 127, one place higher under a microexponent of zero
        ("mx9", "int8", 8, 254 * 128),
    ],
)
def test_products_and_sums_hold_their_largest_value(
    activation: str, weight: str, lanes: int, largest_product: int
) -> None:
    datapath = derive(get(activation), get(weight), lanes, "fp32")
    assert datapath.product_bits == largest_product.bit_length()
    assert datapath.sum_bits == (lanes * largest_product).bit_length() + 1  # and a sign


@pytest.mark.parametrize(
    ("activation", "weight", "exponent", "windowed"),
    [
        ("bfp6", "bfp4", -5 - 3, False),
        ("int8", "int8", 0, False),
        ("mxfp4", "mxfp8_e4m3", -1 - 9, False),
        ("dmf8", "dmf8", -10 - 10, False),
        ("bl8", "bl8", 0 + 0 - 24, True),  # the largest element of both is 2^0
        ("bl8", "bfp6", 0 - 5 - 24, True),
        ("mx9", "int8", -7 - 1, False),  # a place lower than the element's
        ("mx9", "mx4", -7 - 1 - 2 - 1, False),
    ],
)
def test_weight_of_a_products_lowest_bit(activation: str, weight: str, exponent: int, windowed: bool) -> None:
    datapath = derive(get(activation), get(weight), 1, "aligned48")
    assert datapath.product_lsb_exponent == exponent
    assert (datapath.windowed, datapath.window_bits) == (windowed, 24 if windowed else 0)


@pytest.mark.parametrize(
    ("activation", "weight", "scaled_sum_bits", "exponent_bits", "offset"),
    [
        # two 8-bit codes: up to 255 + 255 = 510; lowest bit 2^(-5-5) under biases of 127 each
        ("bfp6", "bfp6", (16 * 31 * 31).bit_length() + 1, 9, -5 - 5 - 127 - 127),
        ("bfp6", "int8", (16 * 31 * 128).bit_length() + 1, 8, -5 - 127),
        ("int8", "int8", (16 * 128 * 128).bit_length() + 1, 0, 0),
        # E4M3 scales: 4-bit significands multiply in, fields up to 15 + 15 = 30 add up; bias 7, 3 mantissa bits each
        ("nvfp4", "nvfp4", (16 * 12 * 12).bit_length() + 1 + 4 + 4, 5, -1 - 1 - 2 * (7 + 3)),
        # 255 + 15 = 270
        ("mxfp4", "nvfp4", (16 * 12 * 12).bit_length() + 1 + 4, 9, -1 - 1 - 127 - (7 + 3)),
    ],
)
def test_scale_stage(activation: str, weight: str, scaled_sum_bits: int, exponent_bits: int, offset: int) -> None:
    datapath = derive(get(activation), get(weight), 16, "fp32")
    assert datapath.scaled_sum_bits == scaled_sum_bits
    assert datapath.exponent_bits == exponent_bits
    assert datapath.exponent_offset == offset


@pytest.mark.parametrize(
    ("accumulator", "activation", "weight", "register_bits", "lsb_exponent"),
    [
        ("fp32", "bfp6", "bfp6", 32, None),
        ("int24", "int8", "int8", 24, 0),
        ("int24", "fixed8", "fixed8", 24, -14),
        ("fixed40:-20", "bfp6", "bfp6", 40, -20),
        # 24 bits for a sum of 15 leave 9 guard bits; an exponent of 9 bits and one of headroom
        ("aligned24", "bfp6", "bfp6", 24 + 9 + 1, -5 - 5 - 127 - 127 - 9),
        # without scales the exponent only counts increments: 6 bits of it
        ("aligned24", "int8", "int8", 24 + 6, 0 - (24 - 20)),
    ],
)
def test_register(accumulator: str, activation: str, weight: str, register_bits: int, lsb_exponent: int | None) -> None:
    datapath = derive(get(activation), get(weight), 16, accumulator)
    assert datapath.register_bits == register_bits
    if lsb_exponent is not None:
        assert datapath.register_lsb_exponent == lsb_exponent


@pytest.mark.parametrize(
    ("fmt", "lanes", "accumulator", "is_mac"),
    [
        ("float32", 1, "fp32", True),
        ("minifloat8", 1, "fp32_ftz", True),
        ("minifloat8", 4, "fp32", False),  # an exact sum first
        ("minifloat8", 1, "aligned48", False),
        ("int8", 1, "fp32", False),  # an exact product
        ("bfp6", 1, "fp32", False),
        ("mxfp4", 1, "fp32", False),
    ],
)
def test_which_units_are_conventional_float_macs(fmt: str, lanes: int, accumulator: str, is_mac: bool) -> None:
    assert derive(get(fmt), get(fmt), lanes, accumulator).float_mac == is_mac


@pytest.mark.parametrize(
    ("fmt", "accumulator", "specials", "invalid"),
    [
        ("mxfp4", "fp32", True, False),  # the register itself can be NaN
        ("mxfp4", "aligned40", True, True),  # a NaN scale
        ("mxfp8_e5m2", "fixed48:-24", True, True),
        ("bfp6", "aligned40", False, False),
        ("minifloat8", "fixed48:-18", False, False),
        ("int8", "int32", False, False),  # the NaN of a row's scale stays outside the unit
    ],
)
def test_who_has_an_invalid_flag(fmt: str, accumulator: str, specials: bool, invalid: bool) -> None:
    datapath = derive(get(fmt), get(fmt), 16, accumulator)
    assert (datapath.has_specials, datapath.has_invalid_flag) == (specials, invalid)


@pytest.mark.parametrize(
    ("activation", "weight", "lanes"),
    [
        ("bfp6", "bfp6", 16),
        ("bfp6", "mxfp4", 16),
        ("mxfp4", "int8", 32),
        ("int8", "int8", 1),
        ("float32", "bl8", 16),
        ("bfp6_b16x8", "mxfp4", 8),  # the columns of a tile
        ("int8_tensor", "int4_g32", 32),
    ],
)
def test_default_lanes_take_one_block(activation: str, weight: str, lanes: int) -> None:
    assert default_lanes(get(activation), get(weight)) == lanes


MX_OF_SIX = resolve("{name: six, element: int4, block: 24, scale: {kind: power_of_two, microexponents: 4}}")
WIDE_SCALE = resolve("{element: e5m2, block: 16, scale: fp32}")


@pytest.mark.parametrize(
    ("activation", "weight", "lanes", "accumulator", "message"),
    [
        (get("bfp6"), get("bfp6"), 0, "fp32", "lanes is 0, expected 1 to 256"),
        (get("bfp6"), get("bfp6"), 257, "fp32", "lanes is 257"),
        (get("bfp6"), get("bfp6"), 5, "fp32", r"5 lanes do not divide the block of bfp6 \(16\).* a divisor of 16"),
        (get("bfp6"), get("bfp6"), 32, "fp32", r"32 lanes do not divide the block of bfp6"),
        (get("mxfp4"), get("bfp6"), 32, "fp32", r"the block of bfp6 \(16\)"),
        (get("bfp6"), get("bfp6"), 16, "int32", "int32 cannot follow a scale .* use fixed, aligned or fp32"),
        (get("int8"), get("bfp8"), 16, "int32_saturate", "int32_saturate cannot follow a scale"),
        (get("bfp6"), get("bfp6"), 16, "aligned14", "narrower than the sum of one group; use aligned15 or wider"),
        (get("float32"), get("float32"), 2, "fp32", "float32: its range .* too wide .*; use lanes 1"),
        (get("bfloat16"), get("int8"), 1, "int32", "bfloat16: its range spans more than 48 bits"),
        (get("mxfp8_e5m2"), get("mxfp8_e5m2"), 1, "aligned48", "use aligned65 or wider"),
        (WIDE_SCALE, WIDE_SCALE, 16, "fp32", r"the sum times both scale significands is \d+ bits wide"),
        (get("bfp6"), get("bfp6"), 16, "int", "accumulator is 'int', expected something like"),
        (get("mx9"), get("mx9"), 32, "fp32", r"32 lanes do not divide the block of mx9 \(16\)"),
        (MX_OF_SIX, MX_OF_SIX, 4, "fp32", "4 lanes neither divide the 6 values of six under one microexponent nor"),
        (
            get("int8"),
            get("int4_g32_affine"),
            16,
            "fp32",
            "int4_g32_affine adds a zero point or a minimum to every pro",
        ),
        (get("int8"), get("gguf_q4_1"), 16, "fp32", "gguf_q4_1 adds a zero point .*; dequantise it first, or use a fo"),
        (get("nf4_dq"), get("int8"), 16, "fp32", "nf4_dq has scales that are themselves quantised"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_units_that_cannot_exist(
    activation: BlockFormat, weight: BlockFormat, lanes: int, accumulator: str, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        derive(activation, weight, lanes, accumulator)


@pytest.mark.parametrize(
    ("lanes", "codes"),
    [
        (16, [0b10110001_01111111]),  # the whole block's: an exponent of 127, and microexponents from the low bits on
        (8, [0b0001_01111111, 0b1011_01111111]),
        (2, [0b1_01111111, 0b0_01111111, 0b0_01111111, 0b0_01111111, 0b1_01111111]),
        (1, [0b1_01111111, 0b1_01111111, 0b0_01111111]),  # two groups in one part
    ],
)
def test_a_group_comes_with_its_own_microexponents(lanes: int, codes: list[int]) -> None:
    mx9 = get("mx9")
    datapath = derive(mx9, get("int8"), lanes, "fp32")
    assert datapath.scale_code_bits(mx9) == 8 + max(lanes // 2, 1)
    found = [datapath.group_scale(mx9, 0b10110001_01111111, group * lanes) for group in range(len(codes))]
    assert found == codes


def test_other_scales_come_with_every_group_whole() -> None:
    datapath = derive(get("nvfp4"), get("int8"), 4, "fp32")
    assert [datapath.scale_code_bits(fmt) for fmt in datapath.operands] == [8, 0]
    assert datapath.group_scale(get("nvfp4"), 0x7E, 8) == 0x7E


def test_every_width_is_reached_by_some_group() -> None:
    """The largest sum of a small unit, computed from its codes: one bit less would not hold it."""
    datapath: Datapath = derive(get("mxfp4"), get("mxfp4"), 2, "fp32")
    element = datapath.activation.element
    values = [element.decode(code).value / 2**-1 for code in range(16)]
    largest = max(2 * a * w for a in values for w in values)
    assert largest == 2 * 12 * 12
    assert 1 << (datapath.sum_bits - 2) <= largest < 1 << (datapath.sum_bits - 1)
