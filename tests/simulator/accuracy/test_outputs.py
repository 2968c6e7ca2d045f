"""Outputs of the reference, kept while there is room."""

import pytest

torch = pytest.importorskip("torch")

from densimeter.simulator.accuracy.outputs import ReferenceOutputs  # noqa: E402


def test_outputs_are_kept_until_the_room_is_full() -> None:
    """Two numbers of 4 bytes each fit into 8 bytes once."""
    asked: list[list[int]] = []

    def compute(ids: list[int]) -> object:
        asked.append(ids)
        return torch.tensor(ids, dtype=torch.float32)

    outputs = ReferenceOutputs(compute, room_bytes=8)
    for ids in ([1, 2], [3, 4], [1, 2], [3, 4]):
        assert outputs(ids).tolist() == ids
    assert asked == [[1, 2], [3, 4], [3, 4]]
