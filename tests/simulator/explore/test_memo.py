"""A memo gives equal combinations equal slots, however they come and however large their numbers grow."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from densimeter.simulator.explore.memo import Memo, interned

_NUMBERS = st.sampled_from([0, 1, 2, 3, 100, 5000, 2**20])


@given(st.lists(st.lists(st.tuples(_NUMBERS, _NUMBERS, st.integers(0, 3)), min_size=1, max_size=20), max_size=6))
def test_slots_stand_for_combinations(chunks: list[list[tuple[int, int, int]]]) -> None:
    memo: Memo[tuple[int, ...]] = Memo()
    made: list[tuple[int, ...]] = []
    for chunk in chunks:
        columns = [np.array(column) for column in zip(*chunk, strict=True)]

        def make(row: int, chunk: list[tuple[int, int, int]] = chunk) -> tuple[int, ...]:
            made.append(chunk[row])
            return chunk[row]

        slots = memo.slots(columns, make)
        assert [memo.found[slot] for slot in slots] == chunk
    assert len(made) == len(set(made)) == len(memo.found)  # each once


def test_equal_values_are_one_number() -> None:
    known: dict[Any, int] = {}
    assert interned([2.5, 7, 2.5], known).tolist() == [0, 1, 0]
    assert interned([7, 9], known).tolist() == [1, 2]
