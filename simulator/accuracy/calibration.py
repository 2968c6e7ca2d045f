"""Running a text through a model to see what its linear layers are given, and keeping what was seen."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from densimeter.formats.files import write_bytes
from densimeter.kernels.torch import Recipe, linear_layers
from densimeter.simulator.accuracy.measure import Ids, Walk
from densimeter.simulator.accuracy.moments import MappedMoments, MomentSums
from densimeter.simulator.recipes import InputStatistics

_PROBE_TOKENS = 8


def calibrate(
    model: torch.nn.Module, windows: Sequence[Ids], moments: Path | None = None, walk: Walk = iter
) -> InputStatistics:
    """Statistics of the inputs of every linear layer over the windows; a window in memory at a time.

    moments: the file that second moments are added up in and read from afterwards; without it there are none. walk:
    goes through the windows, showing progress. Raises ConfigError where the file cannot be written.
    """
    if moments is None:
        return _see(model, walk(windows), None).statistics()
    # Who shares an input is known once the layers have run; the file's layout has to be known before.
    followers = _see(model, [windows[0][:_PROBE_TOKENS]], None).followers()
    layers = linear_layers(model, Recipe(skip=()))
    inputs = {path: linear.in_features for path, linear in layers if path not in followers}
    with MomentSums(moments, inputs) as sums:
        found = _see(model, walk(windows), sums).statistics()
        sums.publish()
    return with_moments(found, moments)


def with_moments(found: InputStatistics, path: Path) -> InputStatistics:
    """The statistics with the moments of a file that `calibrate` wrote for the same text."""
    leaders = {layer: group[0] for layer, group in found.sharing.items()}
    return InputStatistics(found.largest, found.sharing, MappedMoments(path, leaders))


def save_ranges(path: Path, statistics: InputStatistics) -> None:
    """Write all but the moments as safetensors; the metadata say who shares an input."""
    write_bytes(path, save(dict(statistics.largest), {"sharing": json.dumps(dict(statistics.sharing))}))


def load_ranges(path: Path) -> InputStatistics:
    """What `save_ranges` wrote."""
    with safe_open(path, "numpy") as file:
        sharing = {layer: tuple(group) for layer, group in json.loads(file.metadata()["sharing"]).items()}
        return InputStatistics({layer: file.get_tensor(layer) for layer in sharing}, sharing)


def _see(model: torch.nn.Module, windows: Any, sums: MomentSums | None) -> "_Watch":
    """Feed the model the windows, one after the other, with a watch on its layers."""
    watch = _Watch(sums)
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
    return watch


class _Watch:
    """Sees the inputs of layers in the order of their execution."""

    def __init__(self, sums: MomentSums | None) -> None:
        self._sums = sums
        self._largest: dict[str, NDArray[np.float32]] = {}
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
            tokens: NDArray[np.float32] = x.detach().reshape(-1, x.shape[-1]).float().numpy()
            found = np.abs(tokens).max(axis=0)
            self._largest[path] = np.maximum(self._largest.get(path, found), found)
            if self._sums is not None and path == self._groups[path][0]:
                self._sums.add(path, tokens)

        return see

    def followers(self) -> set[str]:
        """Layers that were given the input of another one before them."""
        return {path for path, group in self._groups.items() if path != group[0]}

    def statistics(self) -> InputStatistics:
        return InputStatistics(self._largest, {path: tuple(group) for path, group in self._groups.items()})
