"""Arrays of float32 numbers on which quantisers differ: what the tests of other emulators are run on."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

VALUES, LENGTH = 1 << 20, 256
MATRIX = (VALUES // LENGTH, LENGTH)
RUN = 32

NAMES = ("gaussian", "heavy_tailed", "one_sided", "tiny", "ties", "sizes", "near_powers_of_two", "sparse", "zeros")


@cache
def battery(name: str) -> NDArray[np.float32]:
    """A million numbers, [4096, 256]; shared, so not to be written to.

    gaussian; heavy_tailed (Student, 1.5 degrees of freedom); one_sided (all above one); tiny (Gaussians times 1e-6);
    ties (short binary fractions); sizes (every run of 32 of another size, 2^-20 to 2^11); near_powers_of_two
    (`near_multiples` of one); sparse (one in fifty is not zero); zeros.
    """
    rng = np.random.default_rng(NAMES.index(name))
    gaussian = rng.standard_normal(MATRIX)
    numbers: dict[str, Callable[[], NDArray[np.floating]]] = {
        "gaussian": lambda: gaussian,
        "heavy_tailed": lambda: rng.standard_t(1.5, MATRIX),
        "one_sided": lambda: 1 + np.abs(gaussian),
        "tiny": lambda: 1e-6 * gaussian,
        "ties": lambda: rng.integers(-64, 65, MATRIX) * 2.0**-5,
        "sizes": lambda: np.ldexp(gaussian, rng.integers(-20, 12, (MATRIX[0], LENGTH // RUN)).repeat(RUN, axis=1)),
        "near_powers_of_two": lambda: near_multiples(1.0),
        "sparse": lambda: np.where(rng.random(MATRIX) < 0.02, gaussian, 0.0),
        "zeros": lambda: np.zeros(MATRIX),
    }
    return numbers[name]().astype(np.float32)


@cache
def near_multiples(of: float) -> NDArray[np.float32]:
    """A million numbers; the largest of every 32 is within two float32 steps of `of` times a power of two."""
    rng = np.random.default_rng(17)
    runs = VALUES // RUN
    middles = np.ldexp(of, rng.integers(-20, 12, runs)).astype(np.float32)
    largest = (middles.view(np.int32) + rng.integers(-2, 3, runs, dtype=np.int32)).view(np.float32)
    numbers = rng.uniform(-0.9, 0.9, (runs, RUN)).astype(np.float32) * middles[:, None]
    numbers[:, 0] = largest * rng.choice([-1, 1], runs)
    return numbers.reshape(MATRIX)


def any_bits(count: int) -> NDArray[np.float32]:
    """float32 numbers of any bit pattern, infinities included, NaN not."""
    numbers = np.random.default_rng(0).integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(numbers), np.float32(np.inf), numbers)


def around(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Where a rounding to these values decides, in both signs.

    The values, the middles between neighbours, the middle beyond the largest, and the float32 numbers next to each.
    """
    ascending = np.unique(np.abs(values[np.isfinite(values)].astype(np.float64)))
    beyond = ascending[-1] + (ascending[-1] - ascending[-2]) * np.array([0.5, 1.0])
    exact = np.concatenate([ascending, (ascending[:-1] + ascending[1:]) / 2, beyond])
    points = exact[exact <= np.finfo(np.float32).max].astype(np.float32)
    steps = [np.nextafter(points, np.float32(toward)) for toward in (np.inf, -np.inf)]
    every = np.concatenate([points, *steps])
    return np.concatenate([every, -every])
