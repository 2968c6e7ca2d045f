"""Operands of the matrix product as its tiles read them, straight from codes.

A panel is a few rows of one operand. What one instruction multiplies of them stands together: by step, row and part
[panels, steps, rows of a panel, parts]. A group takes whole steps, filled up with zeros; scales stand by group and row
[panels, groups, rows of a panel].
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

_QUAD = 4  # the most values in a word


class Panels(NamedTuple):
    """One operand, a panel along the first axis; what a product has no use for is [panels, 0].

    values: as the adder takes them. starts: int32 [panels, groups * rows], where sums start (of the first operand).
    scales: [panels, groups * rows]. low: the second plane (`split`), as values are; marks: int32 [panels, groups], a
    bit for every step at which a row has something there.
    """

    values: NDArray[Any]
    starts: NDArray[np.int32]
    scales: NDArray[Any]
    low: NDArray[np.int16]
    marks: NDArray[np.int32]

    @classmethod
    def of(cls, values: NDArray[Any], **others: NDArray[Any]) -> "Panels":
        """With values and whatever else there is."""
        none = {"starts": np.int32, "scales": np.float32, "low": np.int16, "marks": np.int32}
        return cls(values, *(others.get(name, np.empty((len(values), 0), kind)) for name, kind in none.items()))


class Grouping(NamedTuple):
    """How k is cut up. height: rows of a panel. lanes: values of a group. parts: values of a step and row."""

    height: int
    lanes: int
    parts: int

    @property
    def steps(self) -> int:
        """Steps of a group."""
        return -(-self.lanes // self.parts)

    def groups(self, count: int) -> int:
        return -(-count // self.lanes)

    def panels(self, rows: int) -> int:
        return -(-rows // self.height)


class Factors(NamedTuple):
    """Integers that multiply the values of a block, [groups of `rows` rows, blocks of `columns` values]; and what is
    added then."""

    values: NDArray[np.int64]
    rows: int
    columns: int
    offset: int


def lay_out(
    codes: NDArray[Any],
    table: NDArray[Any] | None,
    padding: int,
    grouping: Grouping,
    factors: Factors | None = None,
    with_starts: bool = False,
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Panels of [rows, K] codes by a table of their values (or of values themselves), and where the sums of rows start.

    padding: the code (or value) that fills the last group up. with_starts: int32 [panels, groups * rows], -128 times
    the sum of a group's values (see `adders.OFFSET`); else [panels, 0].
    """
    rows, count = codes.shape
    panels, groups = grouping.panels(rows), grouping.groups(count)
    kind = codes.dtype if table is None else table.dtype
    values = np.empty((panels, groups * grouping.steps * grouping.height * grouping.parts), kind)
    starts = np.empty((panels, groups * grouping.height if with_starts else 0), np.int32)
    if table is None or factors is not None or grouping.lanes % _QUAD or grouping.parts == 1:
        _lay_out(codes, table, padding, grouping, factors, values, starts)
    else:
        _lay_out_words(codes, _words(table, grouping.parts), padding, grouping, values.view(np.uint32), starts)
    return values, starts


def _words(table: NDArray[Any], parts: int) -> NDArray[np.uint32]:
    """[parts, codes]: the value of every code at the place of each part in a word of 32 bits."""
    bits = 32 // parts
    low = table.astype(np.int64) & ((1 << bits) - 1)
    return (low << np.arange(0, 32, bits)[:, None]).astype(np.uint32)


def lay_out_scales(
    codes: NDArray[np.unsignedinteger],
    table: NDArray[Any],
    rows: int,
    block: tuple[int, int],
    groups: int,
    grouping: Grouping,
) -> NDArray[Any]:
    """Scales of `rows` rows by group and row; block: the rows and columns that share one."""
    out = np.empty((grouping.panels(rows), groups * grouping.height), table.dtype)
    owners = np.minimum(np.arange(grouping.panels(rows) * grouping.height), rows - 1) // block[0]
    _lay_out_scales(codes, table, owners, np.arange(groups) * grouping.lanes // block[1], grouping.height, out)
    return out


def mark_steps(low: NDArray[np.int16], grouping: Grouping) -> NDArray[np.int32]:
    """`Panels.marks` of a second plane."""
    marks = np.empty((len(low), low.shape[1] // (grouping.steps * grouping.height * grouping.parts)), np.int32)
    _mark_steps(low.view(np.uint32), grouping.height, grouping.steps, marks)
    return marks


def bits_of_rows(codes: NDArray[np.unsignedinteger], table: NDArray[np.int64]) -> NDArray[np.int64]:
    """All that a table says of the codes of a row, ored together."""
    bits = np.empty(len(codes), np.int64)
    _collect_bits(codes, table, bits)
    return bits


def block_spans(codes: NDArray[np.unsignedinteger], table: NDArray[np.int64], lanes: int) -> NDArray[np.int64]:
    """Of every row's groups of `lanes` values, the most bits that one spans from its largest to its lowest bit."""
    spans = np.zeros(len(codes), np.int64)
    _measure_spans(codes, np.abs(table), lanes, spans)
    return spans


@njit
def _add_up(words, steps, starts):  # type: ignore[no-untyped-def]
    """starts[group, row] = -128 times the sum of a group's bytes in words [steps, rows] of one panel."""
    for group in range(starts.shape[0]):
        starts[group] = 128 * 512 * steps  # every byte is taken for 128 more, so that none is negative
        for step in range(group * steps, (group + 1) * steps):
            for row in range(starts.shape[1]):
                raised = np.int32(words[step, row] ^ np.uint32(0x80808080))
                pairs = (raised & 0x00FF00FF) + ((raised >> 8) & 0x00FF00FF)
                starts[group, row] -= 128 * ((pairs & 0xFFFF) + (pairs >> 16))


@njit(parallel=True, nogil=True, cache=True)
def _lay_out(codes, table, padding, grouping, factors, values, starts):  # type: ignore[no-untyped-def]
    """Value by value, whatever they are."""
    height, lanes, parts = grouping
    rows, count = codes.shape
    steps = -(-lanes // parts)
    for panel in prange(values.shape[0]):
        top = panel * height
        present = min(height, rows - top)
        target = values[panel].reshape(-1, height, parts)
        if present < height or steps * parts != lanes:
            target[:] = 0
        for k in range(-(-count // lanes) * lanes):
            at = target[k // lanes * steps + k % lanes // parts, :, k % lanes % parts]
            if k >= count:
                at[:present] = padding if table is None else table[padding]
                continue
            for row in range(present):
                code = codes[top + row, k]
                value = code if table is None else table[code]
                if factors is not None:
                    value = value * factors.values[(top + row) // factors.rows, k // factors.columns] + factors.offset
                at[row] = value
        if starts.shape[1] > 0:
            _add_up(values[panel].view(np.uint32).reshape(-1, height), steps, starts[panel].reshape(-1, height))


@njit(parallel=True, nogil=True, cache=True)
def _lay_out_words(codes, tables, padding, grouping, words, starts):  # type: ignore[no-untyped-def]
    """Two or four values at once, where groups are whole steps: the words of `tables` joined."""
    height, lanes, parts = grouping
    steps_of_group = lanes // parts
    rows, count = codes.shape
    for panel in prange(words.shape[0]):
        top = panel * height
        target = words[panel].reshape(-1, height)
        for row in range(height):
            if top + row >= rows:
                target[:, row] = 0
                continue
            own = codes[top + row]
            whole = count // parts
            steps = own[: whole * parts].reshape(whole, parts)  # spares every index the question whether it is negative
            for step in range(whole):
                word = tables[0, steps[step, 0]] | tables[1, steps[step, 1]]
                if parts == _QUAD:
                    word |= tables[2, steps[step, 2]] | tables[3, steps[step, 3]]
                target[step, row] = word
            for step in range(whole, target.shape[0]):
                word = np.uint32(0)
                for part in range(parts):
                    k = step * parts + part
                    word |= tables[part, own[k] if k < count else padding]
                target[step, row] = word
        if starts.shape[1] > 0:
            _add_up(target, steps_of_group, starts[panel].reshape(-1, height))


@njit(parallel=True, nogil=True, cache=True)
def _lay_out_scales(codes, table, owners, blocks, height, out):  # type: ignore[no-untyped-def]
    """owners, blocks: the positions in `codes` of every row and every group."""
    for panel in prange(out.shape[0]):
        target = out[panel].reshape(-1, height)
        for row in range(height):
            own = codes[owners[panel * height + row]]
            for group in range(target.shape[0]):
                target[group, row] = table[own[blocks[group]]]


@njit(parallel=True, nogil=True, cache=True)
def _mark_steps(words, height, steps, marks):  # type: ignore[no-untyped-def]
    for panel in prange(words.shape[0]):
        source = words[panel].reshape(-1, height)
        for group in range(marks.shape[1]):
            mark = np.int32(0)
            for step in range(steps):
                found = np.uint32(0)
                for word in source[group * steps + step]:
                    found |= word
                mark |= np.int32(found != 0) << step
            marks[panel, group] = mark


@njit(parallel=True, nogil=True, cache=True)
def _collect_bits(codes, table, rows):  # type: ignore[no-untyped-def]
    for row in prange(codes.shape[0]):
        found = np.int64(0)
        for code in codes[row]:
            found |= table[code]
        rows[row] = found


@njit(parallel=True, nogil=True, cache=True)
def _measure_spans(codes, magnitudes, lanes, spans):  # type: ignore[no-untyped-def]
    for row in prange(codes.shape[0]):
        for start in range(0, codes.shape[1], lanes):
            bits = np.int64(0)
            for k in range(start, min(start + lanes, codes.shape[1])):
                bits |= magnitudes[codes[row, k]]
            width = 0
            if bits != 0:
                bits //= bits & -bits
                while bits:
                    bits >>= 1
                    width += 1
            spans[row] = max(spans[row], width)
