"""A random order of a space is a permutation of it, computed piece by piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.simulator.explore.permutation import Permutation, _WidePermutation, order


@given(st.integers(1, 5000), st.integers(0, 2**63 - 1))
def test_every_number_once(size: int, seed: int) -> None:
    assert sorted(Permutation(size, seed)(np.arange(size)).tolist()) == list(range(size))


@given(st.integers(1, 2**62), st.integers(0, 2**62))
def test_large_sizes_stay_inside_and_distinct(size: int, start: int) -> None:
    positions = (np.arange(100) + start) % size
    found = Permutation(size, 0)(positions)
    assert found.min() >= 0
    assert found.max() < size
    assert len(np.unique(found)) == len(np.unique(positions))


@given(st.integers(1, 300), st.integers(0, 2**63 - 1))
def test_wide_numbers_have_every_number_once_too(size: int, seed: int) -> None:
    assert sorted(_WidePermutation(size, seed)(np.arange(size)).tolist()) == list(range(size))


@given(st.integers(2**62 + 1, 2**700), st.integers(0, 2**62))
def test_sizes_beyond_native_numbers(size: int, start: int) -> None:
    found = order(size, 0)(np.arange(start, start + 50)).tolist()
    assert 0 <= min(found) <= max(found) < size
    assert len(set(found)) == 50


def test_pieces_are_those_of_the_whole() -> None:
    whole = Permutation(1000, 7)(np.arange(1000))
    assert Permutation(1000, 7)(np.arange(300, 400)).tolist() == whole[300:400].tolist()


def test_seeds_differ_and_spread() -> None:
    """The mean of 10,000 of a million uniform numbers is within 5 / sqrt(12 * 10,000) of the middle, nearly always."""
    one, other = (Permutation(10**6, seed)(np.arange(10**4)) / 10**6 for seed in (0, 1))
    assert not np.array_equal(one, other)
    assert [one.mean(), other.mean()] == pytest.approx([0.5, 0.5], abs=5 / np.sqrt(12 * 10**4))
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(10**4)
