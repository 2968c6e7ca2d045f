"""Formats of single layers: which products of a workload have which, and what then stands in memory.

Layers are named by their dotted paths in the checkpoint (`model.layers.3.mlp.down_proj`), patterns match as in a shell,
and the last match wins, format by format: the rules of `kernels.operand_formats.Recipe`. An activation has the format
of the layer that reads it, from the moment it is produced; where several layers read it, each reads it in its own
format, and the first of them says in which it is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property

from densimeter.formats import BlockFormat
from densimeter.formats.errors import ConfigError, nearest
from densimeter.hwmodels.accelerator.machine import ProductFormats, Storage
from densimeter.hwmodels.gemm import Gemm, Workload
from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.layers import linears, module_paths

# Which layer of the same number reads what a product makes, the first of those that a model has.
_READERS: Mapping[str, tuple[str, ...]] = {
    "av": ("o",),
    "o": ("up", "expert_up"),
    "gate": ("down",),
    "up": ("down",),
    "expert_gate": ("expert_down",),
    "expert_up": ("expert_down",),
    "project_out": ("lm_head",),
}
_BEFORE_NEXT_LAYER = ("project_in", "down", "expert_down")
_BEHIND_STACK = ("project_out", "lm_head")
_NONE = ProductFormats()


@dataclass(frozen=True)
class LayerFormat:
    """What layers that match a pattern have in place of the storage's own formats; None for no change."""

    pattern: str
    weight: BlockFormat | None
    activation: BlockFormat | None


def with_layer_formats(
    workload: Workload, storage: Storage, config: ModelConfig, layers: tuple[LayerFormat, ...]
) -> tuple[Workload, Storage]:
    """The workload with a product for each group of layers that are stored alike, and the storage that tells them.

    Raises ConfigError for a pattern that matches no layer of the model.
    """
    plan = _Plan(config, layers)
    plan.check()
    gemms: list[Gemm] = []
    products: dict[str, ProductFormats] = {}
    for gemm in workload.gemms:
        for part, formats in plan.parts(gemm):
            gemms.append(part)
            if formats != _NONE:
                products[part.name] = formats
    stored = replace(storage, products=tuple(products.items()), apart=tuple(plan.weights()))
    return replace(workload, gemms=tuple(gemms)), stored


@dataclass(frozen=True)
class _Plan:
    config: ModelConfig
    layers: tuple[LayerFormat, ...]

    def check(self) -> None:
        known = [path for linear in linears(self.config) for path in module_paths(self.config, linear.name)]
        for layer in self.layers:
            if not any(fnmatchcase(path, layer.pattern) for path in known):
                near = nearest(layer.pattern.replace("*", ""), known)
                raise ConfigError(
                    f"layers {layer.pattern!r}: matches none of the {len(known)} linear layers of {self.config.name}"
                    f"{near}; expected a pattern such as '*.{known[0].rpartition('.')[2]}'"
                )

    def parts(self, gemm: Gemm) -> Iterator[tuple[Gemm, ProductFormats]]:
        """The product once for each group of layers whose tensors have the same formats."""
        places = len(self._of.get(gemm.name, range(self.config.layers)))
        groups: dict[ProductFormats, list[int]] = {}
        for place in range(places):
            groups.setdefault(self._formats(gemm, place), []).append(place)
        for formats, members in groups.items():
            name = gemm.name if len(groups) == 1 else f"{gemm.name} {_ranges(members)}"
            yield replace(gemm, name=name, count=gemm.count * len(members) // places), formats

    def weights(self) -> Iterator[tuple[BlockFormat, int]]:
        """Values of matrices that have a format of their own, by format; a tied lm_head is the token embedding."""
        counts: dict[BlockFormat, int] = {}
        for linear in linears(self.config):
            places = self._of[linear.name]
            for fmt in (own.weight for own in places if own.weight is not None):
                counts[fmt] = counts.get(fmt, 0) + linear.outputs * linear.inputs * linear.count // len(places)
        yield from counts.items()

    @cached_property
    def _of(self) -> dict[str, list[LayerFormat]]:
        """What the patterns together say of the layers of each name: of one in each layer of the stack, or of one."""
        names = [linear.name for linear in linears(self.config)]
        return {name: [self._matched(path) for path in module_paths(self.config, name)] for name in names}

    def _matched(self, path: str) -> LayerFormat:
        found = LayerFormat(path, None, None)
        for layer in self.layers:
            if fnmatchcase(path, layer.pattern):
                found = LayerFormat(path, layer.weight or found.weight, layer.activation or found.activation)
        return found

    def _formats(self, gemm: Gemm, place: int) -> ProductFormats:
        own = self._of[gemm.name][place] if gemm.name in self._of else None
        return ProductFormats(
            own.activation if own and gemm.first == "activation" else None,
            own.weight if own and gemm.second == "weight" else None,
            self._reader(gemm.name, place) if gemm.result == "activation" else None,
        )

    def _reader(self, product: str, place: int) -> BlockFormat | None:
        """The format in which the layer that reads a product's result has it."""
        readers = _READERS.get(product, ())
        if product in _BEFORE_NEXT_LAYER:
            place = 0 if product == "project_in" else place + 1
            readers = ("q",) if place < self.config.layers else _BEHIND_STACK
        found = next((self._of[reader] for reader in readers if reader in self._of), None)
        return None if found is None else found[place if len(found) > 1 else 0].activation


def _ranges(places: list[int]) -> str:
    """Numbers of layers as people write them: ``0-3,7``."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
