"""The front of a set of rows, against the definition written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from densimeter.simulator.explore.pareto import as_costs, grouped, non_dominated, non_dominated_in_groups


def by_definition(costs: NDArray[np.float64]) -> list[bool]:
    """Every row against every other one."""

    def dominates(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
        return bool((one <= other).all() and (one < other).any())

    return [not np.isnan(row).any() and not any(dominates(other, row) for other in costs) for row in costs]


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(0, 60), st.integers(1, 4)),
        elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, 1e300, np.inf, -np.inf, np.nan]),
    )
)
def test_front_is_what_the_definition_says(costs: NDArray[np.float64]) -> None:
    assert non_dominated(costs).tolist() == by_definition(costs)


@pytest.mark.parametrize("objectives", [1, 2, 3, 5])
def test_front_of_many_rows(objectives: int) -> None:
    costs = np.random.default_rng(objectives).random((600, objectives))
    assert non_dominated(costs).tolist() == by_definition(costs)


def test_front_of_fronts_is_the_front() -> None:
    """What lets a run keep the front as it goes, and shards be merged."""
    costs = np.random.default_rng(0).random((3000, 3)).round(2)
    parts = [part[non_dominated(part)] for part in np.array_split(costs, 7)]
    joined = np.concatenate(parts)
    whole = costs[non_dominated(costs)]
    assert sorted(map(tuple, joined[non_dominated(joined)])) == sorted(map(tuple, whole))


def test_directions() -> None:
    columns = {"speed": np.array([1.0, 3.0, 2.0]), "area": np.array([1.0, 3.0, 3.0])}
    costs = as_costs(columns, {"speed": "max", "area": "min"})
    assert non_dominated(costs).tolist() == [True, True, False]  # the third is slower than the second, as large


@given(
    arrays(np.float64, st.tuples(st.integers(0, 40), st.integers(1, 3)), elements=st.sampled_from([0.0, 1.0, 2.0])),
    st.data(),
)
def test_groups_are_not_compared(costs: NDArray[np.float64], data: st.DataObject) -> None:
    """The same as each group on its own."""
    words = np.array([data.draw(st.sampled_from(["prefill", "decode"])) for _ in costs], str)
    numbers = np.array([data.draw(st.sampled_from([1.0, 8.0, np.nan])) for _ in costs], float)
    groups = grouped([words, numbers], len(costs))
    expected = np.zeros(len(costs), bool)
    for key in {(word, str(number)) for word, number in zip(words, numbers, strict=True)}:
        rows = [i for i in range(len(costs)) if (words[i], str(numbers[i])) == key]
        assert len(set(groups[rows])) == 1
        expected[rows] = by_definition(costs[rows])
    assert non_dominated_in_groups(costs, groups).tolist() == expected.tolist()


def test_equal_rows_stay_together() -> None:
    costs = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [2.0, 2.0]])
    assert non_dominated(costs).tolist() == [True, True, True, False]
