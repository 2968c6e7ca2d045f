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
from densimeter.simulator.recipes import InputRanges


def input_ranges(model: torch.nn.Module, windows: list[list[int]]) -> InputRanges:
    """max |x| of every input channel of every linear layer over the windows; a window in memory at a time."""
    watch = _Watch()
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
    return watch.ranges()


def save_ranges(path: Path, ranges: InputRanges) -> None:
    """Write them as safetensors: the maxima under the layers' paths, and in the metadata who shares an input."""
    write_bytes(path, save(dict(ranges.largest), {"sharing": json.dumps(dict(ranges.sharing))}))


def load_ranges(path: Path) -> InputRanges:
    """What `save_ranges` wrote."""
    with safe_open(path, "numpy") as file:
        sharing = {layer: tuple(group) for layer, group in json.loads(file.metadata()["sharing"]).items()}
        return InputRanges({layer: file.get_tensor(layer) for layer in sharing}, sharing)


class _Watch:
    """Sees the inputs of layers in the order of their execution."""

    def __init__(self) -> None:
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
            found = x.detach().abs().reshape(-1, x.shape[-1]).amax(dim=0).float().numpy()
            self._largest[path] = np.maximum(self._largest.get(path, found), found)

        return see

    def ranges(self) -> InputRanges:
        return InputRanges(self._largest, {path: tuple(group) for path, group in self._groups.items()})
