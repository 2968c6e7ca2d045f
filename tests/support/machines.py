"""Machines and products for tests, as Hypothesis draws them and as compiled code takes them."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from densimeter.hwmodels.accelerator.performance import MACHINE, PRODUCT


def machine_rows(**fields: Any) -> NDArray[np.void]:
    """A row of MACHINE: a plain 4 x 4 weight-stationary array with roomy buffers, but for the fields given."""
    row = np.zeros(1, MACHINE)
    plain: dict[str, float] = {
        "rows": 4,
        "cols": 4,
        "lanes": 1,
        "activation_capacity_bits": 1e12,
        "weight_capacity_bits": 1e12,
        "sum_capacity_bits": 1e12,
        "activation_bits": 8,
        "weight_bits": 8,
        "sum_bits": 32,
        "dram_bits_per_cycle": 64,
        "conversions_per_cycle": np.inf,
    }
    for name, value in (plain | fields).items():
        row[name] = value
    return row


def product_rows(m: int, n: int, k: int, **fields: Any) -> NDArray[np.void]:
    """A row of PRODUCT: one execution, eight bits a value, the first operand and the result too large for the chip."""
    row = np.zeros(1, PRODUCT)
    sizes: dict[str, float] = {
        "m": m,
        "n": n,
        "k": k,
        "count": 1,
        "parts": 1,
        "first_bits": 8 * m * k,
        "second_bits": 8 * n * k,
    }
    sizes |= {"result_bits": 8 * m * n, "first_tensor_bits": np.inf, "result_tensor_bits": np.inf}
    for name, value in (sizes | fields).items():
        row[name] = value
    return row


@st.composite
def any_machine(draw: st.DrawFn) -> NDArray[np.void]:
    """A small machine of any dataflow, whose buffers may be too small."""
    sizes = {name: draw(st.integers(1, 9)) for name in ("rows", "cols", "lanes")}
    flags = ("double_buffered", "transfer_overlaps", "conversion_overlaps")
    buffers = ("activation_capacity_bits", "weight_capacity_bits", "sum_capacity_bits")
    return machine_rows(
        **sizes,
        dataflow=draw(st.integers(0, 2)),
        **{name: draw(st.booleans()) for name in flags},
        **{name: draw(st.sampled_from([256, 1024, 5000, 1e6])) for name in buffers},
        dram_bits_per_cycle=draw(st.sampled_from([1, 100, 1e6])),
        conversions_per_cycle=draw(st.sampled_from([1, 50, np.inf])),
    )


@st.composite
def any_product(draw: st.DrawFn) -> NDArray[np.void]:
    """A small product, some of whose tensors may stay on the chip."""
    m, n, k = (draw(st.integers(1, 40)) for _ in range(3))
    flags = ("result_cached", "first_converts", "second_converts", "result_converts")
    return product_rows(
        m,
        n,
        k,
        count=draw(st.integers(1, 3)),
        parts=draw(st.integers(1, 3)),
        first_tensor_bits=draw(st.sampled_from([1, np.inf])),
        result_tensor_bits=draw(st.sampled_from([1, np.inf])),
        **{name: draw(st.booleans()) for name in flags},
    )
