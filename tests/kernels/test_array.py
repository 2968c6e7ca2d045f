"""MAC arrays of integers with finite accumulators: against loops over Python integers, and against `matmul`."""

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, FormatError, IntElement, PowerOfTwoScale, get, parse, resolve
from densimeter.formats.accumulator import IntAccumulator
from densimeter.formats.element import IntEncoding
from densimeter.kernels.array_loops import widest_panel

ENCODINGS: tuple[IntEncoding, ...] = ("twos_complement", "sign_magnitude", "offset", "unsigned")
INT8 = get("int8")


def integers(element: IntElement, rows: int, k: int, seed: int) -> NDArray[np.float32]:
    """Numbers that are such integers, the extremes among them more often than chance."""
    rng = np.random.default_rng(seed)
    low, high = element.smallest_integer, element.largest_integer
    x = rng.integers(low, high + 1, (rows, k))
    return np.where(rng.random((rows, k)) < 0.3, rng.choice([low, high], (rows, k)), x).astype(np.float32)


@dataclass(frozen=True)
class Register:
    """What one register did: its last value, additions that overflowed, their first k, the sums it should have held."""

    value: int
    overflows: int
    first: int
    sums: list[int]


def register(a: list[int], w: list[int], lanes: int, accumulator: IntAccumulator, first_k: int = 0) -> Register:
    """One dot product by the definition of wrapping and saturation."""
    half = 1 << (accumulator.bits - 1)
    groups = [
        sum(x * y for x, y in zip(a[k : k + lanes], w[k : k + lanes], strict=True)) for k in range(0, len(a), lanes)
    ]
    value, overflows, first = 0, 0, -1
    for index, group in enumerate(groups):
        exact = value + group
        if not -half <= exact < half:
            overflows += 1
            first = first_k + index * lanes if first < 0 else first
        saturated = max(-half, min(exact, half - 1))
        value = saturated if accumulator.overflow == "saturate" else (exact + half) % (2 * half) - half
    return Register(value, overflows, first, list(accumulate(groups)))


def needed_bits(sums: list[int]) -> int:
    return next(bits for bits in range(2, 99) if all(-(1 << bits - 1) <= total < 1 << bits - 1 for total in sums))


@st.composite
def elements(draw: st.DrawFn) -> IntElement:
    return IntElement(
        draw(st.integers(2, 10)), draw(st.sampled_from(ENCODINGS)), draw(st.integers(-3, 3)), draw(st.booleans())
    )


@settings(max_examples=60)
@given(
    left=elements(),
    right=elements(),
    k=st.integers(1, 40),
    lanes=st.integers(1, 9),
    bits=st.integers(2, 26),
    saturate=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_output_is_that_of_a_loop_over_integers(
    left: IntElement, right: IntElement, k: int, lanes: int, bits: int, saturate: bool, seed: int
) -> None:
    activation, weight = BlockFormat("a", left), BlockFormat("w", right)
    accumulator = IntAccumulator(bits, "saturate" if saturate else "wrap")
    a, w = integers(left, 2, k, seed), integers(right, 3, k, seed + 1)
    scaled = a * np.float32(2.0**left.lsb_exponent), w * np.float32(2.0**right.lsb_exponent)
    options = {"activation": activation, "weight": weight, "accumulator": accumulator, "lanes": lanes}
    found = K.run_mac_array(*scaled, **options)  # type: ignore[arg-type]
    unit = 2.0 ** (left.lsb_exponent + right.lsb_exponent)
    for i, j in np.ndindex(2, 3):
        expected = register(a[i].astype(int).tolist(), w[j].astype(int).tolist(), lanes, accumulator)
        assert found.product[i, j] == expected.value * unit
        assert found.overflows[i, j] == expected.overflows
        assert found.first_overflow[i, j] == expected.first
        assert found.needed_bits[i, j] == needed_bits(expected.sums)
    np.testing.assert_array_equal(found.product, K.matmul(*scaled, **options))  # type: ignore[arg-type]
    assert found.smallest_bits <= found.weight_bound_bits <= found.worst_case_bits
    assert found.additions == math.ceil(k / lanes)


@settings(max_examples=60)
@given(
    bits=st.integers(2, 8),
    block=st.sampled_from((4, 8, 12)),
    k=st.integers(1, 40),
    lanes=st.sampled_from((1, 2, 4)),
    width=st.integers(2, 20),
    saturate=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_blocks_start_at_zero_and_are_added_in_float32(
    bits: int, block: int, k: int, lanes: int, width: int, saturate: bool, seed: int
) -> None:
    fmt = BlockFormat("drawn", IntElement(bits, symmetric=True), PowerOfTwoScale(8, 127), block)
    accumulator = IntAccumulator(width, "saturate" if saturate else "wrap")
    rng = np.random.default_rng(seed)
    x = [(rng.standard_normal((n, k)) * 2.0 ** rng.integers(-9, 9, (n, k))).astype(np.float32) for n in (2, 3)]
    a, w = (K.quantize(each, fmt) for each in x)
    found = K.run_mac_array(a, w, activation=fmt, weight=fmt, accumulator=accumulator, lanes=lanes)
    unscaled = [
        np.pad(each.code_rows().reshape(each.shape).astype(np.int64), ((0, 0), (0, -k % block))) for each in (a, w)
    ]
    left, right = (np.where(each >= 1 << bits - 1, each - (1 << bits), each) for each in unscaled)
    scales = [2.0 ** (each.scale_rows().astype(np.float64) - 127) for each in (a, w)]
    for i, j in np.ndindex(2, 3):
        parts = [
            register(left[i, s : s + block].tolist(), right[j, s : s + block].tolist(), lanes, accumulator, s)
            for s in range(0, k, block)
        ]
        value = np.float32(0)
        for index, part in enumerate(parts):
            value += np.float32(part.value * (scales[0][i, index] * scales[1][j, index]))
        assert found.product[i, j] == value
        assert found.overflows[i, j] == sum(part.overflows for part in parts)
        assert found.first_overflow[i, j] == next((part.first for part in parts if part.first >= 0), -1)
        assert found.needed_bits[i, j] == max(needed_bits(part.sums) for part in parts)
    wide = K.run_mac_array(a, w, activation=fmt, weight=fmt, accumulator="int32", lanes=lanes)
    np.testing.assert_array_equal(wide.product, K.matmul(a, w, activation=fmt, weight=fmt, lanes=block))
    assert wide.smallest_bits <= wide.weight_bound_bits <= wide.worst_case_bits


@pytest.mark.parametrize(
    ("activation", "weight"),
    [
        ("int8", "int8"),
        ("int8_tensor", "int4_e8m0"),
        ("fixed8", "int4"),
        ("bfp6", "bfp4"),
        ("bfp6_b2x8", "bfp4"),  # 37 rows: a ragged tile
        ("bfp6_b16x16", "bfp6_b16x16"),
        ("int8", "bfp8"),
        ("int8_g32", "int4_g32"),
        ("gguf_q4_0", "gguf_q8_0"),  # offset codes, negative scales
        ("mx9", "mx6"),  # parts shifted by microexponents
    ],
)
@pytest.mark.parametrize("shape", [(37, 300, 70), (1, 16, 1), (17, 64, 271)])
def test_without_overflow_it_is_the_matrix_product(activation: str, weight: str, shape: tuple[int, int, int]) -> None:
    left, right = get(activation), get(weight)
    m, k, n = shape
    rng = np.random.default_rng(3)
    a = K.quantize(rng.standard_normal((m, k)).astype(np.float32), left)
    w = K.quantize(rng.standard_normal((n, k)).astype(np.float32), right)
    found = K.run_mac_array(a, w, activation=left, weight=right, accumulator="int40")
    accumulator = "fp32" if left.has_unit_scale or right.has_unit_scale else "int40"
    np.testing.assert_array_equal(found.product, K.matmul(a, w, activation=left, weight=right, accumulator=accumulator))
    assert found.total_overflows == 0
    assert found.overflowed_share == 0


def test_the_worst_case_of_microexponents() -> None:
    """Of 16 products: 7 * 7, each side twice that where the microexponent is zero; 16 * 14 * 14 = 3136 < 2^12."""
    fmt = resolve(
        "{element: {kind: int, bits: 4, encoding: sign_magnitude, fraction_bits: 2}, block: 16,"
        " scale: {kind: power_of_two, microexponents: 8}}"
    )
    largest = np.full((1, 16), 1.75, np.float32)
    run = K.run_mac_array(largest, largest, activation=fmt, weight=fmt)
    assert run.worst_case_bits == run.weight_bound_bits == run.smallest_bits == 13


@pytest.mark.parametrize("lanes", [1, 3, 16])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_the_smallest_width_is_the_first_without_overflow(lanes: int, overflow: str) -> None:
    rng = np.random.default_rng(5)
    a, w = (K.quantize(rng.standard_normal((n, 200)).astype(np.float32), INT8) for n in (9, 11))

    def run(bits: int) -> K.MacArrayRun:
        accumulator = parse_width(bits, overflow)
        return K.run_mac_array(a, w, activation=INT8, weight=INT8, accumulator=accumulator, lanes=lanes)

    smallest = run(40).smallest_bits
    for narrow, wide in pairwise(run(bits) for bits in range(smallest - 4, smallest + 2)):
        assert narrow.overflowed_share >= wide.overflowed_share
        assert narrow.overflowed_share == wide.share_beyond(narrow.accumulator.bits)
        assert narrow.overflowed_share == np.mean(narrow.overflows > 0)
    assert run(smallest).total_overflows == 0
    assert run(smallest - 1).total_overflows > 0


def parse_width(bits: int, overflow: str) -> IntAccumulator:
    return IntAccumulator(bits, "saturate" if overflow == "saturate" else "wrap")


# Bounds


@pytest.mark.parametrize(
    ("left", "right", "length", "bits"),
    [
        # 100 * 127 * 127 = 1 612 900 < 2^21 = 2 097 152
        (IntElement(8, symmetric=True), IntElement(8, symmetric=True), 100, 22),
        (IntElement(8, "sign_magnitude"), IntElement(8, "sign_magnitude"), 100, 22),
        # 128 * 128 * 128 = 2^21, which takes a bit more than -2^21 would
        (IntElement(8), IntElement(8), 128, 23),
        (IntElement(8, symmetric=True), IntElement(8), 129, 22),  # 129 * 127 * -128 = -2 097 024 >= -2^21
        (IntElement(8, "offset"), IntElement(8, "unsigned"), 64, 22),  # 64 * -128 * 255 = -2 088 960
        (IntElement(8, "unsigned"), IntElement(8, "unsigned"), 32, 22),  # 32 * 255 * 255 = 2 080 800
        (IntElement(4, symmetric=True), IntElement(8, symmetric=True), 1, 11),  # 7 * 127 = 889
    ],
)
def test_the_worst_case_is_reached(left: IntElement, right: IntElement, length: int, bits: int) -> None:
    ends = [(low.smallest_integer, low.largest_integer) for low in (left, right)]
    needed = []
    for x in ends[0]:
        for y in ends[1]:
            a, w = np.full((1, length), x, np.float32), np.full((1, length), y, np.float32)
            run = K.run_mac_array(a, w, activation=BlockFormat("a", left), weight=BlockFormat("w", right))
            assert run.worst_case_bits == bits
            needed.append(run.smallest_bits)
    assert max(needed) == bits


@pytest.mark.parametrize(
    ("element", "bits"),
    [
        (IntElement(8, symmetric=True), 11),  # 127 * (3 + 1 + 2) = 762 < 2^10
        (IntElement(8, "unsigned"), 12),  # 255 * (3 + 2) = 1275 < 2^11, the one of the other sign for itself
        (IntElement(8), 11),  # -128 * (3 + 2) - 127 * 1 = -767
    ],
)
def test_the_bound_of_given_weights_is_their_l1_norm(element: IntElement, bits: int) -> None:
    fmt = BlockFormat("a", element)
    w = np.array([[3, -1, 2], [1, 0, 0]], np.float32)
    extreme = np.where(w[:1] > 0, element.largest_integer, element.smallest_integer).astype(np.float32)
    for a in (np.zeros((1, 3), np.float32), extreme):
        run = K.run_mac_array(a, w, activation=fmt, weight=BlockFormat("w", IntElement(4)))
        assert run.weight_bound_bits == bits
    assert run.smallest_bits in (bits - 1, bits)  # the other sign of extremes may need one more


def test_sums_beyond_float32_are_exact() -> None:
    fmt = BlockFormat("wide", IntElement(16, "unsigned"))
    a = np.full((1, 600), 65535, np.float32)
    found = K.run_mac_array(a, a, activation=fmt, weight=fmt, accumulator="int41")
    exact = 600 * 65535 * 65535  # 2^41.2
    assert found.smallest_bits == 43
    assert found.first_overflow == [[256]]  # 256 products are 2^40 - 33 553 920, one more is above 2^40
    assert found.product == np.float32((exact + 2**40) % 2**41 - 2**40)


def test_a_block_without_a_number_is_not_a_number() -> None:
    fmt = resolve("{element: int6, block: 8, scale: e8m0}")
    a, w = np.ones((2, 24), np.float32), np.ones((3, 24), np.float32)
    a[1, 9] = np.nan
    found = K.run_mac_array(a, w, activation=fmt, weight=fmt, accumulator="int16")
    np.testing.assert_array_equal(found.product, K.matmul(a, w, activation=fmt, weight=fmt))
    assert np.isnan(found.product[1]).all()


# Arguments


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 16), (2, 0, 16), (2, 3, 0), (0, 0, 0)])
@pytest.mark.parametrize("name", ["int8", "bfp6"])
def test_empty_shapes(m: int, n: int, k: int, name: str) -> None:
    a, w = np.ones((m, k), np.float32), np.ones((n, k), np.float32)
    found = K.run_mac_array(a, w, activation=get(name), weight=get(name))
    np.testing.assert_array_equal(found.product, np.zeros((m, n), np.float32))
    assert (found.smallest_bits, found.total_overflows, found.overflowed_share) == (2, 0, 0)


A, W = np.ones((2, 32), np.float32), np.ones((3, 32), np.float32)


@pytest.mark.parametrize(
    ("a", "activation", "options", "message"),
    [
        (A[:, :16], "int8", {}, r"a is \(2, 16\) and w is \(3, 32\); expected \[M, K\] and \[N, K\] with the same K"),
        (A, "int8", {"accumulator": "fp32"}, "accumulator is fp32, expected a finite one of integers"),
        (A, "int8", {"accumulator": "int61"}, "61 bits wide, expected 2 to 60"),
        (A, "int8", {"lanes": 0}, "lanes is 0"),
        (A, "bfp6", {"lanes": 5}, "5 lanes do not divide"),
        (A, "mxfp8_e4m3", {}, "mxfp8_e4m3 has elements e4m3 .*, expected integers"),
        (A, "int4_g128_affine", {}, "no multiply-accumulate unit is defined"),
    ],
)
def test_what_is_refused(a: NDArray[np.float32], activation: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        K.run_mac_array(a, W, activation=get(activation), weight=INT8, **options)  # type: ignore[arg-type]


def test_scales_too_wide_to_stay_exact_are_refused() -> None:
    fmt = parse({"element": "int8", "block": 32, "scale": "fp32"})
    with pytest.raises(FormatError, match="48 significand bits together are more than 53 bits; use scales"):
        K.run_mac_array(A, W, activation=fmt, weight=fmt)


def test_threads_change_no_bit() -> None:
    threads = numba.get_num_threads()
    if threads < 2:
        pytest.skip("one processor: nothing to compare")
    rng = np.random.default_rng(7)
    a, w = (rng.standard_normal((n, 100)).astype(np.float32) for n in (50, 300))
    runs = []
    try:
        for count in (1, 2):
            numba.set_num_threads(count)
            runs.append(K.run_mac_array(a, w, activation=INT8, weight=INT8, accumulator="int16"))
    finally:
        numba.set_num_threads(threads)
    for field in ("product", "overflows", "first_overflow", "needed_bits"):
        np.testing.assert_array_equal(*(getattr(run, field) for run in runs))


@pytest.mark.parametrize(
    ("rows", "columns", "threads", "widest"),
    [
        (1, 4096, 2, 256),  # 4096 / 8 is more than a panel takes
        (1, 1024, 2, 128),  # 1024 / 8
        (1, 100, 2, 32),  # a panel is not narrower than two vectors
        (512, 1024, 2, 256),  # 512 / 16 rows a task are enough
        (17, 1024, 16, 32),  # 64 tasks over two of rows: 1024 / 32
    ],
)
def test_few_rows_are_shared_out_by_columns(
    rows: int, columns: int, threads: int, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba, "get_num_threads", lambda: threads)
    assert widest_panel(rows, columns) == widest
