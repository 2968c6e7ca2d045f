"""The bit-exact matrix product: equal to a plain loop over the reference, and to float32 arithmetic for float32."""

from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import (
    BlockFormat,
    Datapath,
    FloatElement,
    FloatScale,
    FormatError,
    LogElement,
    PowerOfTwoScale,
    default_lanes,
    derive,
    get,
    parse,
    resolve,
)
from densimeter.formats.reference_dot import Group, accumulate
from support import oracle, oracle_dot, reference_tensor
from support.reference_tensor import Quantized, assert_same_floats
from support.strategies import datapaths

PER_TENSOR = resolve("{element: int6, block: tensor, scale: fp32}")
PER_ROW_E4M3 = resolve("{element: {kind: int, bits: 5, encoding: sign_magnitude}, block: row, scale: e4m3}")
PLAIN_E4M3 = parse({"element": "e4m3"})


def numbers(*shape: int, seed: int = 0, spread: int = 4) -> NDArray[np.float32]:
    """Gaussians with rows and columns of different sizes, some zeros among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 2.0 ** rng.integers(-spread, spread + 1, shape)
    return np.where(rng.random(shape) < 0.1, 0, x).astype(np.float32)


def naive_matmul(a: NDArray[np.float32], w: NDArray[np.float32], datapath: Datapath) -> NDArray[np.float32]:
    """Every output on its own: the reference codec, groups padded with zeros, the reference accumulator, the scales."""
    left, right = (_quantized(x, fmt) for x, fmt in zip((a, w), datapath.operands, strict=True))
    out = np.empty((len(a), len(w)), np.float32)
    for i, j in np.ndindex(out.shape):
        groups = _groups(left, right, i, j, datapath)
        register, invalid = accumulate(groups, datapath)[-1] if groups else (0, False)
        value = np.float32(np.nan if invalid else oracle_dot.register_value(register, datapath))
        with np.errstate(all="ignore"):
            scale = _outer_scale(left, i, datapath.activation) * _outer_scale(right, j, datapath.weight)
            out[i, j] = value * scale
    return out


def _quantized(x: NDArray[np.float32], fmt: BlockFormat) -> Quantized:
    if fmt.block != "tensor":
        return reference_tensor.quantize(x, fmt)
    flat = reference_tensor.quantize(x.reshape(1, -1), fmt)
    scales = np.repeat(flat.scales, len(x), axis=0)
    return Quantized(flat.codes.reshape(x.shape), scales, flat.values.reshape(x.shape), flat.tensor_scale)


def _groups(left: Quantized, right: Quantized, i: int, j: int, datapath: Datapath) -> list[Group]:
    lanes = datapath.lanes
    padding = -left.codes.shape[1] % lanes
    rows = (left.codes[i], datapath.activation), (right.codes[j], datapath.weight)
    a, w = (np.pad(codes, (0, padding), constant_values=fmt.element.padding_code) for codes, fmt in rows)
    return [
        Group(
            a[k : k + lanes].tolist(),
            w[k : k + lanes].tolist(),
            _unit_scale(left, i, k, datapath.activation),
            _unit_scale(right, j, k, datapath.weight),
        )
        for k in range(0, len(a), lanes)
    ]


def _unit_scale(q: Quantized, row: int, k: int, fmt: BlockFormat) -> int:
    """The scale code of the block from k on: without the microexponents of parts before k, with those of parts behind
    the group, which come after its own."""
    if not (fmt.scale and fmt.block_columns):
        return 0
    code = int(q.scales[row // fmt.block_rows, k // fmt.block_columns])
    if not (isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.microexponents):
        return code
    before = k % fmt.block_columns * fmt.scale.microexponents // fmt.block_columns
    exponent = 1 << fmt.scale.bits
    return code % exponent + code // exponent // (1 << before * fmt.scale.microexponent_bits) * exponent


def _outer_scale(q: Quantized, row: int, fmt: BlockFormat) -> np.float32:
    """What stands outside the unit: a scale per row or tensor, or a second level."""
    if fmt.scale is None or fmt.has_unit_scale:
        return np.float32(q.tensor_scale)
    if int(q.scales[row, 0]) == oracle.nan_scale_code(fmt.scale):
        return np.float32(np.nan)
    return np.float32(oracle.scale_value(fmt.scale, int(q.scales[row, 0]), Fraction(1)))


UNITS = [
    ("bfp6", "bfp6", "fp32"),
    ("bfp6", "bfp6", "fixed48:-24"),
    ("bfp6", "bfp4", "aligned24"),
    ("mxfp4", "mxfp4", "fp32"),
    ("mxfp8_e4m3", "mxfp4", "fp32"),
    ("mxfp8_e5m2", "mxfp8_e4m3", "fp32_ftz"),
    ("nvfp4", "nvfp4", "fp32"),
    ("nvfp4", "bfp6", "aligned40"),
    ("bl8", "bl8", "fp32"),
    ("bm8", "bm8", "fp32"),
    ("int8", "int8", "int32"),
    ("int8", "int8", "int16"),  # wraps
    ("int8", "int8", "int16_saturate"),
    ("int8", "int8", "fp32"),
    ("int8", "bfp8", "fp32"),
    ("fixed8", "fixed8", "int24"),
    ("float32", "float32", "fp32"),
    ("float32_ftz", "float32_ftz", "fp32_ftz"),
    ("float16", "int8", "fp32"),
    ("minifloat8", "minifloat8", "fp32"),
    ("bfp6_b2x8", "bfp4", "fp32"),  # 3 and 4 rows: a ragged tile
    ("bfp6_b16x16", "bfp6_b16x16", "aligned24"),
    ("msfp12", "msfp16", "fp32"),
    ("int8_g32", "int4_g32", "fp32"),
    ("int8_tensor", "int4_e8m0", "int32"),
    ("gguf_q4_0", "gguf_q8_0", "fp32"),  # offset codes, a negative scale
    ("nf4", "int8", "fp32"),
    ("kdyn4", "bfp6", "fp32"),
    ("e4m3_fnuz", "e5m2_fnuz", "fp32"),
    ("mxfp4_rceil", "mxfp8_e4m3_even", "fp32"),
    ("mx9", "mx9", "fp32"),  # parts shifted by microexponents
    ("mx6", "mx4", "aligned24"),
    ("mx9", "int8", "fixed48:-24"),
    ("mx6", "gguf_q4_0", "fp32"),
]
NO_UNIT = ["int4_g128_affine", "gguf_q4_1", "nf4_dq"]


@pytest.mark.parametrize(("activation", "weight", "accumulator"), UNITS)
@pytest.mark.parametrize("k", [32, 37])
def test_matmul_is_the_naive_loop(activation: str, weight: str, accumulator: str, k: int) -> None:
    left, right = get(activation), get(weight)
    datapath = derive(left, right, default_lanes(left, right), accumulator)
    a, w = numbers(3, k, seed=1), numbers(4, k, seed=2)
    actual = K.matmul(a, w, activation=left, weight=right, accumulator=accumulator)
    assert_same_floats(actual, naive_matmul(a, w, datapath))


@pytest.mark.parametrize("name", NO_UNIT)
def test_formats_without_a_unit_are_refused(name: str) -> None:
    x = numbers(2, 64)
    with pytest.raises(FormatError, match=f"{name} .* no multiply-accumulate unit is defined; dequantise it first"):
        K.matmul(x, x, activation=get("int8"), weight=get(name))


@pytest.mark.parametrize("field", ["hidden_bit", "subnormals"])
def test_scales_that_no_unit_decodes_are_refused(field: str) -> None:
    stored = FloatScale(FloatElement(4, 3, 7, **{field: False}))  # type: ignore[arg-type]
    fmt = BlockFormat("odd scale", get("bfp4").element, stored, 16)
    with pytest.raises(FormatError, match="without a hidden bit or without subnormals"):
        derive(fmt, fmt, 16, "fp32")


@pytest.mark.parametrize("fmt", [PER_TENSOR, PER_ROW_E4M3, PLAIN_E4M3], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("lanes", [1, 5, 16])
def test_scales_outside_the_unit(fmt: BlockFormat, lanes: int) -> None:
    a, w = numbers(3, 37, seed=3), numbers(2, 37, seed=4)
    for accumulator in ("fp32", "fixed48:-24"):
        datapath = derive(fmt, fmt, lanes, accumulator)
        actual = K.matmul(a, w, activation=fmt, weight=fmt, lanes=lanes, accumulator=accumulator)
        assert_same_floats(actual, naive_matmul(a, w, datapath))


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_lanes_split_blocks(lanes: int) -> None:
    fmt = get("bfp6")
    a, w = numbers(2, 40, seed=5), numbers(3, 40, seed=6)
    for accumulator in ("fp32", "aligned24"):
        actual = K.matmul(a, w, activation=fmt, weight=fmt, lanes=lanes, accumulator=accumulator)
        assert_same_floats(actual, naive_matmul(a, w, derive(fmt, fmt, lanes, accumulator)))


MICRO = "{{element: {}, block: {}, scale: {{kind: power_of_two, microexponents: 4, microexponent_bits: {}}}}}"
WIDE_LOG = MICRO.format("{kind: log, exponent_bits: 6, bias: 31, zero: false}", 8, 2)


@pytest.mark.parametrize(
    ("activation", "weight", "lanes"),
    [
        (MICRO.format("int5", 12, 2), MICRO.format("int5", 12, 2), 6),  # two parts a group, of two's complement
        (MICRO.format("int5", 12, 2), "mx6", 1),
        (MICRO.format("e2m2", 16, 3), "mx9", 2),  # half a part
        (MICRO.format("e4m3", 16, 1), MICRO.format("e4m3", 16, 1), 16),  # in two planes
        (WIDE_LOG, WIDE_LOG, 8),  # a window, and padding worth more than zero
        (WIDE_LOG, "mx4", 4),
    ],
)
@pytest.mark.parametrize("accumulator", ["fp32", "fixed48:-24", "aligned48"])
def test_microexponents_of_every_element(activation: str, weight: str, lanes: int, accumulator: str) -> None:
    left, right = resolve(activation), resolve(weight)
    a, w = numbers(3, 45, seed=5), numbers(4, 45, seed=6)
    actual = K.matmul(a, w, activation=left, weight=right, lanes=lanes, accumulator=accumulator)
    assert_same_floats(actual, naive_matmul(a, w, derive(left, right, lanes, accumulator)))


@pytest.mark.parametrize("accumulator", ["fp32", "int40", "fixed48:-10"])
def test_a_ragged_last_group_is_filled_with_code_zero(accumulator: str) -> None:
    """Which is worth 2^0, not 0, in a logarithm without a zero: the unit can be given nothing else."""
    fmt = BlockFormat("no zero", LogElement(2, bias=0, zero=False))
    ones = np.ones((1, 4), np.float32)
    actual = K.matmul(ones, ones, activation=fmt, weight=fmt, lanes=3, accumulator=accumulator)
    assert actual == [[4 + 2]]


@settings(max_examples=40)
@given(datapath=datapaths(), seed=st.integers(0, 2**32 - 1))
def test_drawn_units(datapath: Datapath, seed: int) -> None:
    a, w = numbers(2, 26, seed=seed), numbers(2, 26, seed=seed + 1)
    left, right = datapath.operands
    lanes, accumulator = datapath.lanes, datapath.accumulator
    actual = K.matmul(a, w, activation=left, weight=right, lanes=lanes, accumulator=accumulator)
    assert_same_floats(actual, naive_matmul(a, w, datapath))


@pytest.mark.parametrize("name", ["mxfp8_e5m2", "mxfp4", "nvfp4", "int8", "float16", "float32"])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_specials_reach_the_outputs_of_their_row(name: str, special: float) -> None:
    fmt = get(name)
    a, w = numbers(3, 64, seed=7), numbers(2, 64, seed=8)
    a[1, 40] = special
    datapath = derive(fmt, fmt, default_lanes(fmt, fmt), "fp32")
    actual = K.matmul(a, w, activation=fmt, weight=fmt)
    assert_same_floats(actual, naive_matmul(a, w, datapath))
    assert not np.isfinite(actual[1]).any()
    assert np.isfinite(actual[[0, 2]]).all()


@pytest.mark.parametrize("name", ["float32", "float16", "mxfp8_e5m2"])
def test_every_nan_is_the_canonical_one(name: str) -> None:
    """Processors make other ones of Inf - Inf and Inf * 0, and keep the payload of a NaN that they are given."""
    negative_nan = np.uint32(0xFFC12345).view(np.float32)
    a = np.array([[np.inf, -np.inf], [np.inf, 0], [negative_nan, 1]], np.float32)
    w = np.array([[1, 1], [0, 1]], np.float32)
    nans = K.matmul(a, w, activation=get(name), weight=get(name)).view(np.uint32)
    np.testing.assert_array_equal(nans[[0, 1, 2, 2], [0, 1, 0, 1]], 0x7FC00000)


def test_an_invalid_register_is_a_nan_output() -> None:
    fmt = get("mxfp4")
    a, w = numbers(2, 64, seed=9), numbers(2, 64, seed=10)
    w[1, 3] = np.inf
    actual = K.matmul(a, w, activation=fmt, weight=fmt, accumulator="fixed48:-24")
    np.testing.assert_array_equal(np.isnan(actual), [[False, True], [False, True]])


def test_float32_units_are_float32_arithmetic_in_ascending_order() -> None:
    a, w = numbers(5, 300, spread=60, seed=11), numbers(4, 300, spread=60, seed=12)
    expected = np.zeros((5, 4), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(300):
            expected += a[:, k, None] * w[None, :, k]
    assert_same_floats(K.matmul(a, w, activation=get("float32"), weight=get("float32")), expected)


def test_wide_integer_sums_are_exact() -> None:
    a, w = numbers(9, 700, seed=13), numbers(7, 700, seed=14)
    fmt = get("fixed8_f4")
    codes = [K.quantize(x, fmt).codes.view(np.int8).astype(np.int64) for x in (a, w)]
    exact = (codes[0] @ codes[1].T) / 2.0**8
    np.testing.assert_array_equal(K.matmul(a, w, activation=fmt, weight=fmt, accumulator="int40"), exact)


# Arguments


def test_quantised_operands_are_taken_as_they_are() -> None:
    fmt, other = get("bfp6"), get("mxfp4")
    a, w = numbers(3, 48, seed=15), numbers(4, 48, seed=16)
    from_arrays = K.matmul(a, w, activation=fmt, weight=other)
    quantized = K.matmul(K.quantize(a, fmt), K.quantize(w, other), activation=fmt, weight=other)
    assert_same_floats(quantized, from_arrays)
    unpacked = K.unpack(K.quantize(a, fmt).pack(), fmt, a.shape)
    assert_same_floats(K.matmul(unpacked, w.tolist(), activation=fmt, weight=other), from_arrays)


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 16), (2, 0, 16), (2, 3, 0), (0, 0, 0)])
@pytest.mark.parametrize(
    "fmt", [get("bfp6"), get("int8"), get("float32"), get("nvfp4"), PER_TENSOR], ids=lambda f: f.name
)
def test_empty_shapes(m: int, n: int, k: int, fmt: BlockFormat) -> None:
    a, w = np.ones((m, k), np.float32), np.ones((n, k), np.float32)
    np.testing.assert_array_equal(K.matmul(a, w, activation=fmt, weight=fmt), np.zeros((m, n), np.float32))


BFP6, MXFP4 = get("bfp6"), get("mxfp4")
A, W = np.ones((2, 32), np.float32), np.ones((3, 32), np.float32)


@pytest.mark.parametrize(
    ("a", "w", "options", "message"),
    [
        (A, W[:, :16], {}, r"a is \(2, 32\) and w is \(3, 16\); expected \[M, K\] and \[N, K\] with the same K"),
        (A[0], W, {}, r"a has shape \(32,\).*expected \[rows, K\]"),
        (A, W[None], {}, r"w has shape \(1, 3, 32\)"),
        (K.quantize(A, BFP6, axis=0), W, {}, "quantised along axis 0; expected"),
        (K.quantize(A, MXFP4), W, {}, "a is quantised as mxfp4, expected bfp6"),
        (A, K.quantize(W, get("bfp4")), {}, "w is quantised as bfp4, expected bfp6"),
        (A, W, {"lanes": 5}, "5 lanes do not divide"),
        (A, W, {"lanes": 0}, "lanes is 0"),
        (A, W, {"accumulator": "int32"}, "cannot follow a scale"),
        (A, W, {"accumulator": "wide"}, "accumulator is 'wide'"),
        (A * np.nan, W, {}, "NaN in the input"),
    ],
)
def test_what_is_refused(a: object, w: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        K.matmul(a, w, activation=BFP6, weight=BFP6, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["float32", "bfp6", "nvfp4", "mxfp8_e5m2"])
def test_threads_change_no_bit(name: str) -> None:
    fmt, threads = get(name), numba.get_num_threads()
    if threads < 2:
        pytest.skip("one processor: nothing to compare")
    a, w = numbers(33, 200, seed=17), numbers(29, 200, seed=18)
    results = []
    try:
        for count in (1, 2):
            numba.set_num_threads(count)
            results.append((K.quantize(a, fmt).pack(), K.matmul(a, w, activation=fmt, weight=fmt)))
    finally:
        numba.set_num_threads(threads)
    assert results[0][0] == results[1][0]
    assert_same_floats(results[0][1], results[1][1])
