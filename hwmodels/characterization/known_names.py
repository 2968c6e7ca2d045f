"""Under which name records know a format: several of the catalog's are one circuit, and it is on record once."""

from dataclasses import replace
from functools import lru_cache

from densimeter.formats import BlockFormat, Datapath, get, names


def known_unit(datapath: Datapath) -> Datapath:
    """The unit with its operands as `known_operand` has them, so that int8_channel and int8 are one."""
    return replace(datapath, activation=known_operand(datapath.activation), weight=known_operand(datapath.weight))


@lru_cache(maxsize=256)
def known_operand(fmt: BlockFormat) -> BlockFormat:
    """The first of the catalog with the same element, where scales are of rows or tensors: they are applied outside the
    unit."""
    if fmt.scale is None or fmt.has_unit_scale:
        return fmt
    alike = (known for known in map(get, names()) if known.element == fmt.element and not known.has_unit_scale)
    return next(alike, fmt)


@lru_cache(maxsize=256)
def known_format(fmt: BlockFormat) -> BlockFormat:
    """The first of the catalog that differs in no more than words: of rows, int8 stands for int8_token."""
    named = ((known, replace(known, name=fmt.name, title=fmt.title, source=fmt.source)) for known in map(get, names()))
    return next((known for known, alike in named if alike == fmt), fmt)
