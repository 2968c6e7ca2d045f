"""IR-QLoRA's information elastic connection (Qin et al., arXiv:2402.05445): an adapter with paths around its weights.

A low-rank adapter multiplies its input x by A, then by B. Here each factor also passes on what it is given without
weights: x averaged in as many runs as there are ranks, and each rank repeated over a run of outputs, times one learned
factor each. Both are linear, so that a trained adapter is an ordinary one with other weights (`merged`).
"""

import math

import torch


class ElasticAdapter(torch.nn.Module):  # type: ignore[misc]
    """``strength * U2(U1(x))`` to be added to a layer's output, with ``U(x) = W x + beta * connection(x)``."""

    def __init__(self, inputs: int, outputs: int, rank: int, strength: float = 1.0) -> None:
        """Starts as LoRA does, with random `down`, and `up` and both betas zero: it adds nothing."""
        super().__init__()
        self.strength = strength
        self.down = torch.nn.Parameter(torch.empty(rank, inputs))
        self.up = torch.nn.Parameter(torch.zeros(outputs, rank))
        self.beta_down, self.beta_up = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
        torch.nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ranks = torch.nn.functional.linear(x, self.down) + self.beta_down * connection(x, len(self.down))
        added = torch.nn.functional.linear(ranks, self.up) + self.beta_up * connection(ranks, len(self.up))
        return self.strength * added

    def merged(self) -> tuple[torch.Tensor, torch.Tensor]:
        """``(A [rank, inputs], B [outputs, rank])`` of the plain adapter ``B @ A @ x`` that computes the same."""
        (rank, inputs), outputs = self.down.shape, len(self.up)
        down = self.down + self.beta_down * connection(torch.eye(inputs).to(self.down), rank).T
        up = self.up + self.beta_up * connection(torch.eye(rank).to(self.up), outputs).T
        return down.detach(), self.strength * up.detach()


def connection(x: torch.Tensor, width: int) -> torch.Tensor:
    """x ``[..., n]`` as ``[..., width]`` without weights: means of gcd(n, width) runs, each repeated to fill a run."""
    runs = math.gcd(x.shape[-1], width)
    return x.unflatten(-1, (runs, -1)).mean(dim=-1).repeat_interleave(width // runs, dim=-1)
