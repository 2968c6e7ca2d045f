"""The closed form of the least DRAM traffic against an exhaustive search, and its limits by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from densimeter.hwmodels.accelerator.tiling import Operand, Sums, Tiling, tile
from densimeter.hwmodels.systolic import DATAFLOWS
from support.tiling_search import Tensor, least_traffic_bits

WEIGHT, OUTPUT, INPUT = (DATAFLOWS.index(f"{what}_stationary") for what in ("weight", "output", "input"))


def cut(first: Operand, second: Operand, *, k: int, sums: float = 1e9, dataflow: int = WEIGHT) -> Tiling:
    return tile(first, second, Sums(32, sums), k, 8, dataflow)


@settings(max_examples=60)
@given(
    m=st.integers(1, 5),
    n=st.integers(1, 6),
    k=st.integers(1, 12),
    fold_rows=st.integers(1, 4),
    k_fold=st.integers(2, 9),
    first_bits=st.sampled_from([4, 8]),
    second_bits=st.sampled_from([4, 8]),
    capacities=st.tuples(*[st.integers(8, 600)] * 3),
)
def test_the_closed_form_finds_what_an_exhaustive_search_finds(
    m: int,
    n: int,
    k: int,
    fold_rows: int,
    k_fold: int,
    first_bits: int,
    second_bits: int,
    capacities: tuple[int, int, int],
) -> None:
    first, second, sums = capacities
    found = tile(
        Operand(m, m * k * first_bits, 1, first, False),
        Operand(n, n * k * second_bits, fold_rows, second, False),
        Sums(16, sums),
        k,
        k_fold,
        WEIGHT,
    )
    least = least_traffic_bits(
        Tensor(m, m * k * first_bits, first),
        Tensor(n, n * k * second_bits, second),
        fold_rows=fold_rows,
        k=k,
        k_fold=k_fold,
        sum_bits=16,
        sum_capacity_bits=sums,
    )
    assert found.traffic_bits == least
