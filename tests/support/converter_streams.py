"""Streams for converters of floats: values drawn so that every part of a quantiser is used, run against the exact
codec."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.reference import quantize_block
from densimeter.rtl.conversion.quantizer import emit_converter
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.stream import StreamResult, Words, run_stream
from support.unit_streams import any_format

Bits = NDArray[np.uint32]

SIGN = np.uint32(0x80000000)
NAN, INFINITY = 0x7FC00000, 0x7F800000
SUBNORMALS = [0x00000001, 0x00200000, 0x003FFFFF, 0x00400000, 0x00400001, 0x007FFFFF, 0x00800000, 0x00800001]
LARGE = [0x7F7FFFFF, 0x7F7FFFFE, 0x7F000000, 0x7EFFFFFF]
NEAR_POWERS = [0x3F800000, 0x3F7FFFFF, 0x3F800001, 0x40FFFFFF, 0x41000000, 0x41000001, 0x3F7F8000, 0x3F780000]
CORNERS = np.array([0, *SUBNORMALS, *LARGE, *NEAR_POWERS], dtype=np.uint32)

Fault = tuple[str, str]
"""A piece of Verilog and what stands there instead."""

Draw = Callable[[F.BlockFormat, int, int, int], NDArray[np.uint64]]
"""Codes of a source, [cycles, lanes], from source, cycles, lanes and seed."""


def in_one_pass(
    source_name: str,
    written: str,
    *,
    cycles: int = 80,
    seed: int = 0,
    fault: Fault | None = None,
    draw: Draw | None = None,
) -> StreamResult:
    """Blocks one a cycle, now and then held; `cycles` are compared."""
    source, target = any_format(source_name), any_format(written)
    lanes = target.block_values if target.scale else 4
    assert lanes is not None
    values = (draw or draw_values)(source, cycles, lanes, seed)
    factors = draw_factors(target, cycles, seed)
    rows = [reference(row, source, target, float(factor)) for row, factor in zip(values, factors, strict=True)]
    enable = np.random.default_rng(seed).random(cycles) < 0.9
    enable[0] = True
    latest = np.maximum.accumulate(np.where(enable, np.arange(cycles), 0))
    expected = {"code": np.array([codes for _, codes, _ in rows], np.uint64)[latest]}
    expected["scale"] = np.array([scale for scale, _, _ in rows], np.uint64)[latest]
    expected["invalid"] = np.array([invalid for _, _, invalid in rows], np.uint64)[latest]
    inputs: Words = {"en": enable.astype(np.uint64), "value": values, "tensor_scale": factors.view(np.uint32)}
    result = _run(source, target, lanes, inputs, expected, fault)
    assert result.cycles_compared == cycles
    return result


def in_two_passes(
    source_name: str, written: str, *, lanes: int = 4, blocks: int = 16, seed: int = 0, fault: Fault | None = None
) -> StreamResult:
    """Blocks of which `lanes` values come a cycle, first to be measured, then to be converted."""
    source, target = any_format(source_name), any_format(written)
    cycles = target.block_values // lanes if target.block_values else 5
    values = draw_values(source, blocks, cycles * lanes, seed)
    factors = draw_factors(target, blocks, seed)
    rows = [reference(row, source, target, float(factor)) for row, factor in zip(values, factors, strict=True)]
    passes = np.tile(np.repeat([1, 0], cycles), blocks).astype(np.uint64)
    given = np.tile(values.reshape(blocks, 1, cycles, lanes), (1, 2, 1, 1)).reshape(-1, lanes)
    inputs: Words = {
        "en": np.ones(len(passes), np.uint64),
        "measure": passes,
        "clear": np.tile(np.arange(2 * cycles) == 0, blocks).astype(np.uint64),
        "value": given,
        "tensor_scale": np.repeat(factors.view(np.uint32), 2 * cycles),
    }
    converting = np.flatnonzero(passes == 0)
    # In the first pass outputs hold; before the first conversion they are unknown.
    latest = np.maximum.accumulate(np.where(passes == 0, np.arange(len(passes)), converting[0]))
    codes = np.zeros((len(passes), lanes), np.uint64)
    codes[converting] = np.array([codes for _, codes, _ in rows], np.uint64).reshape(-1, lanes)
    scales = np.repeat(np.array([scale for scale, _, _ in rows], np.uint64), 2 * cycles)
    refused = np.array([any(map(np.isnan, floats(row, source))) for row in given], np.uint64)
    expected = {"code": codes[latest], "scale": scales[latest], "invalid": refused[latest]}
    result = _run(source, target, lanes, inputs, expected, fault, skip=int(converting[0]))
    assert result.cycles_compared == len(latest) - converting[0]
    return result


def _run(
    source: F.BlockFormat,
    target: F.BlockFormat,
    lanes: int,
    inputs: Words,
    expected: Words,
    fault: Fault | None,
    skip: int = 0,
) -> StreamResult:
    """A converter, with a fault or without, on the words of those ports that it has."""
    has = {"tensor_scale": target.has_tensor_scale, "scale": target.scale is not None}
    has["invalid"] = target.refuses_nan and source.element.has_nan
    inputs, expected = ({port: words[port] for port in words if has.get(port, True)} for words in (inputs, expected))
    bits = {"en": 1, "measure": 1, "clear": 1, "value": source.element.bits, "tensor_scale": 32}
    bits |= {"code": target.element.bits, "invalid": 1, "scale": target.scale.code_bits if target.scale else 0}
    return run_stream(_with(fault, emit_converter(source, target, lanes)), inputs, expected, bits, skip=skip)


def _with(fault: Fault | None, emitted: EmittedModule) -> EmittedModule:
    if fault is None:
        return emitted
    assert emitted.text.count(fault[0]) == 1
    return EmittedModule(emitted.name, emitted.text.replace(*fault))


def draw_factors(target: F.BlockFormat, cycles: int, seed: int) -> NDArray[np.float32]:
    """A tensor's factor for each block, where the format has one: of any size, and now and then zero."""
    if not target.has_tensor_scale:
        return np.ones(cycles, np.float32)
    rng = np.random.default_rng(seed)
    exponents = np.select(
        [rng.random(cycles) < 0.1, rng.random(cycles) < 0.2],
        [-300, rng.integers(-149, 128, cycles)],
        rng.integers(-14, 3, cycles),
    )
    return (rng.uniform(1, 2, cycles) * 2.0**exponents).astype(np.float32)


def draw_values(source: F.BlockFormat, cycles: int, lanes: int, seed: int) -> NDArray[np.uint64]:
    """Codes of a float format, [cycles, lanes]: corners, ties, blocks of one binade and of all, rarely NaN and Inf."""
    rng = np.random.default_rng(seed)
    shape = (cycles, lanes)
    anything = rng.integers(0, 1 << 32, shape, dtype=np.uint32)
    # Blocks around an exponent of their own, any there is, with few bits so that ties are common.
    middle = rng.choice([0, 1, 8, 40, 118, 127, 135, 254], (cycles, 1))
    field = np.clip(middle + np.rint(rng.normal(0, 4, shape)), 0, 254).astype(np.uint32)
    short = (anything & np.uint32(0x80000000)) | field << 23 | (anything & np.uint32(0x7C0000))
    near = (short.astype(np.int64) + rng.integers(-1, 2, shape)).astype(np.uint32)
    fine = (short & np.uint32(0xFF800000)) | (anything & np.uint32(0x7FFFFF))
    corner = rng.choice(CORNERS, shape) ^ (anything & SIGN)
    kind = rng.integers(0, 6, (cycles, 1))
    values = np.select([kind == 0, kind == 1, kind == 2, kind == 3], [short, near, fine, corner], short)
    values = np.where(rng.random(shape) < 0.1, anything & np.uint32(0xC0FFFFFF), values)
    special = rng.random((cycles, 1)) < 0.15
    strange = rng.choice(np.array([NAN, INFINITY, 0x7F800001], np.uint32), shape) ^ (anything & SIGN)
    values = np.where(special & (rng.random(shape) < 0.5), strange, values)
    values = np.where(~special & ((values & 0x7F800000) == 0x7F800000), corner, values)
    values[1], values[2] = 0, SIGN
    return _codes(values, source)


def _codes(values: Bits, source: F.BlockFormat) -> NDArray[np.uint64]:
    """Float32 bits cut down to the source; of its narrower exponent all fields occur."""
    element = source.element
    assert isinstance(element, F.FloatElement)
    if element.exponent_bits == 8:
        return (values >> np.uint32(23 - element.mantissa_bits)).astype(np.uint64)
    exponent = (values >> 23 & 0xFF).astype(np.int64)
    top = (1 << element.exponent_bits) - 1
    moved = np.where(exponent == 255, top, exponent % top)
    mantissa = values >> np.uint32(23 - element.mantissa_bits) & np.uint32((1 << element.mantissa_bits) - 1)
    sign = (values >> 31).astype(np.uint64) << np.uint64(element.bits - 1)
    codes = sign | moved.astype(np.uint64) << np.uint64(element.mantissa_bits) | mantissa.astype(np.uint64)
    return np.asarray(codes, np.uint64)


def floats(codes: NDArray[np.uint64], source: F.BlockFormat) -> list[float]:
    """Values of codes; NaNs with their sign."""
    element = source.element
    decoded = [float(element.decode(int(code))) for code in codes]
    return [
        float(np.copysign(np.nan, -1.0 if int(code) >> (element.bits - 1) else 1.0)) if np.isnan(value) else value
        for code, value in zip(codes, decoded, strict=True)
    ]


def reference(
    codes: NDArray[np.uint64], source: F.BlockFormat, target: F.BlockFormat, tensor_factor: float = 1.0
) -> tuple[int, list[int], bool]:
    """Scale code, codes, and whether a refused NaN was taken for zero."""
    values = floats(codes, source)
    invalid = target.refuses_nan and any(map(np.isnan, values))
    if target.refuses_nan:
        values = [0.0 if np.isnan(value) else value for value in values]
    if target.scale is None:
        return 0, [quantize_block([value], target)[1][0] for value in values], invalid
    scale, found = quantize_block(values, target, tensor_factor)
    return scale, found, invalid
