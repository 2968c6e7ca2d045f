"""Products, vector work and workloads as data: counts, and what is refused."""

from typing import Any

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.gemm import Gemm, VectorWork, Workload, merged

PROJECTION = Gemm("q", m=2, n=3, k=5, count=7)
SCORES = Gemm("qk", m=2, n=11, k=5, count=4, first="query", second="key", result="probability")
KEYS = Gemm("k", m=2, n=3, k=5, count=7, result="key")


def test_counts_of_a_product() -> None:
    assert PROJECTION.macs == 7 * 2 * 3 * 5
    assert PROJECTION.flops == 2 * 7 * 2 * 3 * 5
    assert PROJECTION.first_values == 7 * 2 * 5
    assert PROJECTION.second_values == 7 * 3 * 5
    assert PROJECTION.result_values == 7 * 2 * 3


def test_a_workload_sums_its_products() -> None:
    found = Workload(
        "w", "decode", 2, (PROJECTION, KEYS, SCORES), (VectorWork("softmax", 10, 5), VectorWork("x", 3, 1))
    )
    assert found.macs == 7 * 2 * 3 * 5 + 7 * 2 * 3 * 5 + 4 * 2 * 11 * 5
    assert found.flops == 2 * found.macs
    assert found.second_values("weight") == 2 * 7 * 3 * 5
    assert found.second_values("key", "value") == 4 * 11 * 5
    assert found.vector_operations == 10 * 5 + 3 * 1


def test_only_keys_and_values_are_cached_and_only_where_there_is_a_cache() -> None:
    cached = Workload("w", "decode", 2, (PROJECTION, KEYS), kv_values_per_token=21, context=100, batch=2)
    assert cached.cached_values == 7 * 2 * 3
    assert cached.kv_cache_values == 2 * 100 * 21
    assert Workload("encoder", "prefill", 2, (PROJECTION, KEYS)).cached_values == 0


def test_merged_adds_up_the_counts_of_equal_products_only() -> None:
    wider = Gemm("q", m=2, n=4, k=5)
    assert merged([PROJECTION, wider, PROJECTION]) == (Gemm("q", m=2, n=3, k=5, count=14), wider)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": 0}, "m of product 'q' is 0, expected an integer of 1 or more"),
        ({"k": 2.5}, "k of product 'q' is 2.5"),
        ({"n": 2**53}, "n of product 'q' is 9007199254740992, expected at most 9007199254740991"),
        ({"count": True}, "count of product 'q' is True"),
        ({"second": "weights"}, "did you mean 'weight'"),
        ({"first": "x"}, "first of product 'q' is 'x', expected one of activation, weight"),
    ],
)
def test_a_product_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Gemm(**{"name": "q", "m": 1, "n": 1, "k": 1, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gemms": ()}, "has no matrix product"),
        ({"phase": "prefil"}, "did you mean 'prefill'"),
        ({"tokens": 0}, "tokens of workload 'w' is 0"),
        ({"context": -1}, "context of workload 'w' is -1"),
    ],
)
def test_a_workload_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Workload(**{"name": "w", "phase": "decode", "tokens": 1, "gemms": (PROJECTION,), **changes})


def test_vector_work_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="elements of vector work 'softmax' is -1, expected an integer of 0 or more"):
        VectorWork("softmax", -1, 5)
