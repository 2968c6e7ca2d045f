"""Suffixes that vary a catalog format: ``int4_g128_affine``, ``mxfp4_rceil``, ``bfp6_b16x16``, ``nf4_dq``.

    _b32 _b16x16                     another block, or a tile of rows x columns: formats with a counted block
    _floor _ceil _even _rceil        another scale rule: MX formats
    _tensor _channel _token _g128    one scale for the tensor, an output channel, a token, a group: absmax integers
    _fp32 _fp16 _bf16 _e8m0          what the scale is stored as: absmax integers
    _affine                          unsigned, with a zero point of as many bits: absmax integers
    _dq                              scales quantised in turn (QLoRA): codebooks

Order does not matter. A group's scale is fp16, another one fp32, unless the name says otherwise. A channel of a weight
and a token of an activation are both a row: all values along the contraction axis.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import get_args

from densimeter.formats.block import BlockFormat
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import FLOAT32, FloatElement, IntElement
from densimeter.formats.levels import levels
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale, ScaleRule

_RULES: dict[str, ScaleRule] = {rule: rule for rule in get_args(ScaleRule)}
_FLOATS = {
    "fp32": FLOAT32,
    "fp16": FloatElement(5, 10, 15, specials="ieee"),
    "bf16": FloatElement(8, 7, 127, specials="ieee"),
}
_WHOLES = ("tensor", "channel", "token")
_GROUP = re.compile(r"g(\d+)")
_BLOCK = re.compile(r"b(\d+)(?:x(\d+))?")
_E8M0 = "e8m0"

SUFFIXES = (*_RULES, *_WHOLES, "g128", "g64", "g32", *_FLOATS, _E8M0, "affine", "dq", "b32", "b16x16")
"""Suffixes to suggest; groups and blocks take any number."""


def vary(base: BlockFormat, name: str, suffixes: list[str]) -> BlockFormat | None:
    """The variant of `base` that these suffixes name, in any order; None where one of them does not apply to it."""
    if len(set(map(_family, suffixes))) < len(suffixes):
        return None  # two of a kind contradict each other
    for applies, apply in ((_is_absmax, _absmax), (_is_codebook, _codebook), (_has_counted_block, _counted)):
        if applies(base):
            varied = apply(base, suffixes)
            return replace(varied, name=name) if varied else None
    return None


def _family(suffix: str) -> str:
    kinds: Iterable[tuple[str, Callable[[str], object]]] = (
        ("rule", _RULES.__contains__),
        ("scale", {*_FLOATS, _E8M0}.__contains__),
        ("block", lambda s: s in _WHOLES or _GROUP.fullmatch(s) or _BLOCK.fullmatch(s)),
    )
    return next((kind for kind, matches in kinds if matches(suffix)), suffix)


def _is_absmax(fmt: BlockFormat) -> bool:
    return isinstance(fmt.element, IntElement) and isinstance(fmt.scale, FloatScale) and fmt.block == "row"


def _absmax(base: BlockFormat, suffixes: list[str]) -> BlockFormat | None:
    assert isinstance(base.element, IntElement)
    block, stored, affine, extent = base.block, "", False, "per row"
    for suffix in suffixes:
        group = _GROUP.fullmatch(suffix)
        if group:
            block, extent = int(group[1]), f"groups of {group[1]}"
        elif suffix in _WHOLES:
            block, extent = "tensor" if suffix == "tensor" else "row", f"per {suffix}"
        elif suffix in _FLOATS or suffix == _E8M0:
            stored = suffix
        elif suffix == "affine":
            affine = True
        else:
            return None
    stored = stored or ("fp16" if isinstance(block, int) else "fp32")
    kind = "affine" if affine else "symmetric absmax"
    title = f"int{base.element.bits}, {kind}, {extent}, {stored} scale"
    varied = replace(base, block=block, title=title)
    unsigned = IntElement(base.element.bits, "unsigned")
    if stored == _E8M0:  # the smallest power of two under which nothing saturates
        exponent = PowerOfTwoScale(nan=True, rule="rceil")
        return (
            replace(varied, element=unsigned, scale=AffineScale(exponent, unsigned))
            if affine
            else replace(varied, scale=exponent)
        )
    if not affine:
        return replace(varied, scale=FloatScale(_FLOATS[stored]))
    return replace(varied, element=unsigned, scale=AffineScale(_FLOATS[stored], unsigned))


def _is_codebook(fmt: BlockFormat) -> bool:
    return isinstance(fmt.element, CodebookElement)


def _codebook(base: BlockFormat, suffixes: list[str]) -> BlockFormat | None:
    rest = [suffix for suffix in suffixes if suffix != "dq"]
    varied = _counted(base, rest) if rest else base
    if varied is None or len(rest) == len(suffixes):
        return varied
    if isinstance(base.scale, DoubleScale):
        return None  # they are quantised in turn already
    return replace(varied, scale=DoubleScale(CodebookElement(levels("dynamic8"))), title=f"{base.title}, double scales")


def _has_counted_block(fmt: BlockFormat) -> bool:
    return fmt.block_values is not None and fmt.scale is not None


def _counted(base: BlockFormat, suffixes: list[str]) -> BlockFormat | None:
    varied = base
    for suffix in suffixes:
        block = _BLOCK.fullmatch(suffix)
        if block:
            size = (int(block[1]), int(block[2])) if block[2] else int(block[1])
            varied = replace(varied, block=size)
        elif suffix in _RULES and isinstance(base.scale, PowerOfTwoScale) and base.scale.offset is None:
            scale = replace(base.scale, rule=_RULES[suffix])
            varied = replace(varied, scale=scale, title=f"{base.title}, scale rule {suffix}")
        else:
            return None
    return varied
