"""K-sort (Trukhanov and Soloveychik, arXiv:2403.20137): key channels of like magnitude share a block of the cache.

The rows of every key head's projection are sorted by their norm, and the rows of the queries that meet the head with
them. Scores add the same products in another order, and the order is fixed when a model is compiled. Where a rotary
embedding turns pairs of channels, pairs move together and take their angles along; the rotation then commutes with the
sorting. So emulated projections stay as they are, and keys and queries are sorted behind the rotation: the same bits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe

_KEY_PROJECTION = "k_proj"
_ROTATION = "rotary_emb"


Pairs = Literal["apart", "side_by_side"]


@dataclass(frozen=True)
class KSort:
    """For formats of `key` with blocks shorter than a head; a block as long as the head gains nothing.

    pairs: where the two channels that are turned together come to lie. apart, half a head from each other, leaves the
    rotation's wiring as it is and sorts each half, so that a block of half a head gains nothing either; side_by_side
    sorts the whole head, as the paper's gain with blocks of half a head requires.
    """

    name: Literal["ksort"] = "ksort"
    pairs: Pairs = "apart"
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = (
        "nothing: rows of the key and query projections and the angles of the rotation are stored in another order",
    )

    def __post_init__(self) -> None:
        if self.pairs not in get_args(Pairs):
            raise ConfigError(f"pairs is {self.pairs!r}, expected {' or '.join(get_args(Pairs))}")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Key projections that tell their attention the order; other layers are plain quantised ones.

        Raises:
            ConfigError: no attention of the model has a key projection of its own.
        """
        from densimeter.kernels.torch import QuantizedLinear
        from densimeter.simulator.recipes.key_projection import KeyProjection

        orders = _orders(model, self.pairs)

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            quantized = QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            return KeyProjection(quantized, orders[path]) if path in orders else quantized

        return build


def key_order(weight: NDArray[np.float32], head_channels: int, turned: int, pairs: Pairs) -> NDArray[np.int64]:
    """The channels of every key head ``[heads, head_channels]``, largest norm of their row of the projection first.

    weight: ``[heads * head_channels, inputs]``. turned: for i below, channels i and i + turned of a head are turned
    together; they are sorted by the norm of both. Channels behind them are sorted one by one.
    """
    norms = np.linalg.norm(weight, axis=1).reshape(-1, head_channels)
    first, second, alone = np.split(norms, (turned, 2 * turned), axis=1)
    ranked = np.argsort(-np.hypot(first, second), axis=1, kind="stable")
    rest = np.argsort(-alone, axis=1, kind="stable") + 2 * turned
    both = np.stack([ranked, ranked + turned], axis=1 if pairs == "apart" else 2).reshape(len(norms), 2 * turned)
    return np.concatenate([both, rest], axis=1)


def _orders(model: "torch.nn.Module", pairs: Pairs) -> dict[str, NDArray[np.int64]]:
    """By the path of the key projection."""
    orders, turned = {}, _turned_pairs(model)
    for path, part in model.named_modules():
        parent, _, name = path.rpartition(".")
        width = getattr(model.get_submodule(parent), "head_dim", None) if name == _KEY_PROJECTION else None
        if width is not None:
            orders[path] = key_order(part.weight.detach().cpu().float().numpy(), width, turned, pairs)
    if not orders:
        raise ConfigError(
            f"{type(model).__name__}: ksort finds no attention with head_dim and {_KEY_PROJECTION}, a key projection "
            "of its own; expected a model of that form"
        )
    return orders


def _turned_pairs(model: "torch.nn.Module") -> int:
    """How many pairs of a head's channels the rotary embedding turns; 0 without one."""
    rotations = (part for path, part in model.named_modules() if path.rpartition(".")[2] == _ROTATION)
    return max((int(part.inv_freq.numel()) for part in rotations), default=0)
