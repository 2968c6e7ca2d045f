"""Grid: how many blocks lie over an array, and where its rows come from."""

import pytest

from densimeter.formats import BlockFormat, FormatError, get, resolve
from densimeter.formats.grid import Grid, checked_axis, grid

TILES = get("bfp6_b4x16")
PER_TENSOR = resolve("{element: int4, block: tensor, scale: fp32}")


@pytest.mark.parametrize(
    ("fmt", "shape", "axis", "expected", "scales", "padded"),
    [
        # Blocks along rows: all axes but the blocked one are rows
        (get("bfp6"), (3, 40), 1, Grid(1, 3, 40, 1, 16, 3), (3, 3), (1, 3, 48)),
        (get("bfp6"), (3, 40), 0, Grid(1, 40, 3, 1, 16, 1), (40, 1), (1, 40, 16)),
        (get("bfp6"), (2, 5, 32), 2, Grid(1, 10, 32, 1, 16, 2), (10, 2), (1, 10, 32)),
        (get("bfp6"), (2, 32, 5), 1, Grid(1, 10, 32, 1, 16, 2), (10, 2), (1, 10, 32)),
        (get("bfp6"), (40,), 0, Grid(1, 1, 40, 1, 16, 3), (1, 3), (1, 1, 48)),
        (get("bfp6"), (0, 40), 1, Grid(1, 0, 40, 1, 16, 3), (0, 3), (1, 0, 48)),
        (get("bfp6"), (3, 0), 1, Grid(1, 3, 0, 1, 16, 0), (3, 0), (1, 3, 0)),
        # Tiles: their rows run along the axis before the blocked one, and end with it
        (TILES, (5, 40), 1, Grid(1, 5, 40, 4, 16, 3), (2, 3), (1, 8, 48)),
        (TILES, (5, 40), 0, Grid(1, 40, 5, 4, 16, 1), (10, 1), (1, 40, 16)),
        (TILES, (2, 5, 40), 2, Grid(2, 5, 40, 4, 16, 3), (4, 3), (2, 8, 48)),
        (TILES, (2, 40, 5), 1, Grid(2, 5, 40, 4, 16, 3), (4, 3), (2, 8, 48)),
        (TILES, (2, 3, 5, 40), 3, Grid(6, 5, 40, 4, 16, 3), (12, 3), (6, 8, 48)),
        (TILES, (40,), 0, Grid(1, 1, 40, 4, 16, 3), (1, 3), (1, 4, 48)),
        # Whole rows and tensors have a scale even where they are empty
        (get("int8"), (3, 40), 1, Grid(1, 3, 40, 1, 40, 1), (3, 1), (1, 3, 40)),
        (get("int8"), (3, 0), 1, Grid(1, 3, 0, 1, 0, 1), (3, 1), (1, 3, 0)),
        (PER_TENSOR, (3, 40), 0, Grid(1, 1, 120, 1, 120, 1), (1, 1), (1, 1, 120)),
        (PER_TENSOR, (3, 0), 1, Grid(1, 1, 0, 1, 0, 1), (1, 1), (1, 1, 0)),
        # No scale: every value for itself
        (get("float16"), (3, 40), 1, Grid(1, 3, 40, 1, 1, 40), (3, 40), (1, 3, 40)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_grids(
    fmt: BlockFormat,
    shape: tuple[int, ...],
    axis: int,
    expected: Grid,
    scales: tuple[int, int],
    padded: tuple[int, int, int],
) -> None:
    laid = grid(fmt, shape, axis)
    assert laid == expected
    assert laid.scales_shape == scales
    assert laid.padded_shape == padded
    assert laid.shape == (laid.matrices, laid.rows, laid.length)


@pytest.mark.parametrize(("axis", "counted"), [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_axes_count_from_either_end(axis: int, counted: int) -> None:
    assert checked_axis(axis, (2, 3, 4)) == counted


@pytest.mark.parametrize("axis", [3, -4])
def test_axes_that_are_not_there(axis: int) -> None:
    with pytest.raises(FormatError, match=rf"axis is {axis}, expected -3 to 2 for an array of shape \(2, 3, 4\)"):
        checked_axis(axis, (2, 3, 4))
