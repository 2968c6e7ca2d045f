"""Training the weights of a model under formats, in steps that an interruption cannot spoil; for `fine_tune`."""

import json
import math
import os
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from densimeter.formats.errors import ConfigError
from densimeter.kernels import safetensors_file
from densimeter.kernels.torch import LayerFormats, Observe, OperandQuantizer, Recipe, linear_layers, quantize_model
from densimeter.simulator.recipes.treatment import Tuned, Walk

_CHECKPOINT_SECONDS = 60
_REMEMBERED = ("step", "exp_avg", "exp_avg_sq")
"""Of a weight by AdamW, in its own names; nothing of a layer that no token has come by."""


class StraightThroughLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x) @ Q(W).T + bias`` with the weight rounded at every call, so that a gradient reaches it."""

    def __init__(
        self, weight: torch.nn.Parameter, bias: torch.Tensor | None, formats: LayerFormats, path: str, seed: int
    ) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self._activation = OperandQuantizer(path, "activation", formats.activation, -1, seed)
        self._weight = OperandQuantizer(path, "weight", formats.weight, seed=seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.bias.float()
        return torch.nn.functional.linear(self._activation(x).float(), self._weight(self.weight), bias).to(x.dtype)


def tune(
    model: torch.nn.Module,
    plan: Recipe,
    pieces: Sequence[Sequence[int]],
    steps: int,
    learning_rate: float,
    kept: Path,
    walk: Walk,
) -> Tuned:
    """A model like the given one, its linear layers that the plan does not skip trained on pieces of a text.

    The pieces come in an order drawn anew whenever all have been seen. kept: where weights and what AdamW remembers are
    written once a minute, and the weights alone at the end; a run that finds the file goes on from there, bit for bit.
    """
    _refuse_accumulators(model, plan)
    layers = linear_layers(model, plan)
    weights = {path: torch.nn.Parameter(linear.weight.detach().float().clone()) for path, linear in layers}
    optimizer = torch.optim.AdamW(weights.values(), weight_decay=0.0, fused=True)
    losses = _resume(kept, weights, optimizer)
    saved = time.monotonic()
    for step in walk(range(len(losses), steps)):
        # Stochastic rounding is seeded by the step alone, whoever came before.
        student = quantize_model(model, replace(plan, seed=plan.seed + step), build=_builder(weights))
        loss = _loss(student, _piece(pieces, step, plan.seed))
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight.grad = gradient
        optimizer.param_groups[0]["lr"] = learning_rate * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.step()
        losses.append(loss.item())
        if len(losses) == steps or time.monotonic() - saved > _CHECKPOINT_SECONDS:
            _keep(kept, weights, None if len(losses) == steps else optimizer, losses)
            saved = time.monotonic()
    return Tuned(_with_weights(model, plan, weights), losses)


def _refuse_accumulators(model: torch.nn.Module, plan: Recipe) -> None:
    for path, _ in model.named_modules():
        formats = plan.of(path)
        for accumulator in (formats.accumulator, formats.attention_accumulator):
            if accumulator is not None:
                raise ConfigError(f"accumulator is {accumulator}, expected none: products under one have no gradient")


def _builder(weights: dict[str, torch.nn.Parameter]) -> Any:
    def build(
        linear: torch.nn.Linear, formats: LayerFormats, path: str, seed: int, _: Observe | None
    ) -> StraightThroughLinear:
        return StraightThroughLinear(weights[path], linear.bias, formats, path, seed)

    return build


def _piece(pieces: Sequence[Sequence[int]], step: int, seed: int) -> Sequence[int]:
    epoch, place = divmod(step, len(pieces))
    return pieces[np.random.default_rng([seed, epoch]).permutation(len(pieces))[place]]


def _loss(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """Mean surprise at the next token, in nats."""
    logits = model(torch.tensor([ids]), use_cache=False).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits.float(), torch.tensor(ids[1:]))


def _with_weights(model: torch.nn.Module, plan: Recipe, weights: dict[str, torch.nn.Parameter]) -> torch.nn.Module:
    """The model with other weights; all else is shared with the given one."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    tuned = deepcopy(model, shared)
    for path, linear in linear_layers(tuned, plan):
        own = torch.nn.Linear(linear.in_features, linear.out_features, device="meta")
        own.weight, own.bias = torch.nn.Parameter(weights[path].detach(), requires_grad=False), linear.bias
        parent, _, name = path.rpartition(".")
        setattr(tuned.get_submodule(parent), name, own)
    return tuned


def _keep(
    path: Path, weights: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer | None, losses: list[float]
) -> None:
    """Named as a model's checkpoint names them; what the optimizer remembers stands under the same names."""
    tensors = {f"{layer}.weight": weight.detach() for layer, weight in weights.items()}
    if optimizer is not None:
        for layer, weight in weights.items():
            tensors |= {f"{layer}.{name}": tensor for name, tensor in optimizer.state[weight].items()}
    entries = {name: safetensors_file.Entry("F32", tuple(tensor.shape)) for name, tensor in tensors.items()}
    planned = safetensors_file.plan(entries, {"losses_nats": json.dumps(losses)})
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(planned.header)
                for name, tensor in tensors.items():
                    file.seek(planned.offsets[name])
                    file.write(tensor.numpy().tobytes())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; expected room in a folder of yours") from error


def _resume(path: Path, weights: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> list[float]:
    """Put back what was kept; the losses of the steps that were done."""
    if not path.is_file():
        return []
    try:
        with safe_open(path, "pt") as file:
            losses: list[float] = json.loads(file.metadata()["losses_nats"])
            names = set(file.keys())
            for layer, weight in weights.items():
                weight.data = file.get_tensor(f"{layer}.weight")
                remembered = [name for name in _REMEMBERED if f"{layer}.{name}" in names]
                optimizer.state[weight] = {name: file.get_tensor(f"{layer}.{name}") for name in remembered}
    except SafetensorError as error:
        raise ConfigError(f"{path}: {error}; delete it to train from the beginning") from error
    return losses
