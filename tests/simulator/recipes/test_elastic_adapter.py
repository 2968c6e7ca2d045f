"""The elastic connection: what it passes on, and that it vanishes into the adapter's weights."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from densimeter.simulator.recipes.elastic_adapter import ElasticAdapter, connection  # noqa: E402


def trained(inputs: int, outputs: int, rank: int) -> Any:
    """Every parameter a small integer, so that float32 sums are exact in any order."""
    torch.manual_seed(0)
    adapter = ElasticAdapter(inputs, outputs, rank, strength=2.0)
    for parameter in adapter.parameters():
        parameter.data = torch.randint(-4, 5, parameter.shape).float()
    adapter.beta_down.data, adapter.beta_up.data = torch.tensor(3.0), torch.tensor(-2.0)
    return adapter


def test_inputs_are_averaged_in_runs() -> None:
    x = torch.tensor([[1.0, 3, 5, 7, 0, 8]])
    assert connection(x, 3).tolist() == [[2, 6, 4]]  # (1 + 3) / 2, (5 + 7) / 2, (0 + 8) / 2


def test_ranks_are_repeated_over_runs_of_outputs() -> None:
    assert connection(torch.tensor([[1.0, 2]]), 6).tolist() == [[1, 1, 1, 2, 2, 2]]


def test_widths_that_do_not_divide_meet_in_their_common_divisor() -> None:
    assert connection(torch.tensor([[1.0, 3, 5, 7, 0, 8]]), 4).tolist() == [[3, 3, 5, 5]]  # gcd(6, 4) = 2 runs


@pytest.mark.parametrize(("inputs", "outputs", "rank"), [(64, 32, 8), (64, 48, 16), (96, 40, 16)])
def test_the_connection_merges_into_the_adapter_bit_for_bit(inputs: int, outputs: int, rank: int) -> None:
    adapter = trained(inputs, outputs, rank)
    down, up = adapter.merged()
    x = 8.0 * torch.randint(-4, 5, (10, inputs))
    assert (down.shape, up.shape) == ((rank, inputs), (outputs, rank))
    assert torch.equal(adapter(x), x @ down.T @ up.T)


def test_it_passes_on_what_lies_outside_its_weights() -> None:
    """With both weights zero an ordinary adapter adds nothing whatever its input."""
    adapter = trained(8, 8, 4)
    adapter.down.data.zero_(), adapter.up.data.zero_()
    assert torch.equal(adapter(torch.ones(1, 8)), torch.full((1, 8), 2.0 * 3 * -2))


def test_it_starts_by_adding_nothing_and_learns() -> None:
    adapter = ElasticAdapter(8, 8, 4)
    x = torch.randn(16, 8)
    assert not adapter(x).any()
    optimizer = torch.optim.Adam(adapter.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.mse_loss(adapter(x), x.flip(-1))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2
    assert adapter.beta_up != 0
