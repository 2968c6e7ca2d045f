"""Running a text through a model to see what its linear layers are given, and keeping what was seen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from densimeter.formats.files import write_bytes
from densimeter.kernels.torch import Recipe, linear_layers
from densimeter.simulator.recipes import InputStatistics

_LARGEST, _MOMENTS = "largest ", "moments "


def calibrate(model: torch.nn.Module, windows: list[list[int]], with_moments: bool = False) -> InputStatistics:
    """Statistics of the inputs of every linear layer over the windows; a window in memory at a time."""
    watch = _Watch(with_moments)
    hooks = [
        model.get_submodule(path).register_forward_pre_hook(watch.of(path))
        for path, _ in linear_layers(model, Recipe(skip=()))
    ]
    try:
        with torch.no_grad():
            for window in windows:
                model(torch.tensor([window]), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return watch.statistics()


def save_statistics(path: Path, statistics: InputStatistics) -> None:
    """Write them as safetensors, moments once for all layers that share an input; the metadata say who does."""
    tensors = {f"{_LARGEST}{layer}": largest for layer, largest in statistics.largest.items()}
    leaders = {group[0] for group in statistics.sharing.values()}
    tensors |= {f"{_MOMENTS}{layer}": statistics.moments[layer] for layer in leaders & statistics.moments.keys()}
    write_bytes(path, save(tensors, {"sharing": json.dumps(dict(statistics.sharing))}))


def load_statistics(path: Path) -> InputStatistics:
    """What `save_statistics` wrote."""
    with safe_open(path, "numpy") as file:
        sharing = {layer: tuple(group) for layer, group in json.loads(file.metadata()["sharing"]).items()}
        names = file.keys()
        kept = {name: file.get_tensor(name) for name in names}
    largest = {layer: kept[_LARGEST + layer] for layer in sharing}
    leaders = {layer: _MOMENTS + group[0] for layer, group in sharing.items()}
    return InputStatistics(largest, sharing, {layer: kept[name] for layer, name in leaders.items() if name in kept})


class _Watch:
    """Sees the inputs of layers in the order of their execution."""

    def __init__(self, with_moments: bool) -> None:
        self._with_moments = with_moments
        self._largest: dict[str, NDArray[np.float32]] = {}
        self._sums: dict[str, NDArray[np.float32]] = {}
        self._tokens: dict[str, int] = {}
        self._groups: dict[str, list[str]] = {}
        self._last: tuple[Any, list[str]] = (None, [])

    def of(self, path: str) -> Any:
        def see(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            (x, *_) = inputs
            # The very tensor, kept meanwhile so that no other can take its identity: what follows it shares the input.
            group = self._last[1] if self._last[0] is x else []
            self._last = (x, group)
            if path not in self._groups:
                group.append(path)
                self._groups[path] = group
            tokens = x.detach().reshape(-1, x.shape[-1]).float()
            found = tokens.abs().amax(dim=0).numpy()
            self._largest[path] = np.maximum(self._largest.get(path, found), found)
            if self._with_moments and path == self._groups[path][0]:
                self._add(path, tokens)

        return see

    def _add(self, leader: str, tokens: torch.Tensor) -> None:
        products: NDArray[np.float32] = (tokens.T @ tokens).numpy()
        self._tokens[leader] = self._tokens.get(leader, 0) + len(tokens)
        if leader in self._sums:
            self._sums[leader] += products
        else:
            self._sums[leader] = products

    def statistics(self) -> InputStatistics:
        """Once, at the end."""
        sharing = {path: tuple(group) for path, group in self._groups.items()}
        for leader, tokens in self._tokens.items():
            self._sums[leader] /= np.float32(tokens)  # in place: all of them twice would not fit beside a large model
        moments = {path: self._sums[group[0]] for path, group in sharing.items() if group[0] in self._sums}
        return InputStatistics(self._largest, sharing, moments)
