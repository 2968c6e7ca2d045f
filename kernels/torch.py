"""Formats in torch: quantise-dequantise with the kernels' bits, and models whose products take operands in formats.

Changes when torch or the shape of its models does; the numbers are those of `kernels.quantize`. Needs extra `torch`.
"""

import copy
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels.given_scales import quantize_under
from densimeter.kernels.matmul import matmul
from densimeter.kernels.operand_formats import LayerFormats, Operand, Recipe
from densimeter.kernels.tensor import QuantizedTensor, quantize
from densimeter.kernels.torch_codec import round_tensor, supports

__all__ = [
    "Builder",
    "LayerFormats",
    "Observe",
    "OperandQuantizer",
    "QuantizedLinear",
    "Recipe",
    "linear_layers",
    "quantize_dequantize",
    "quantize_model",
]

Observe = Callable[[str, Operand, NDArray[np.float32], QuantizedTensor], None]
"""Told of an operand whenever it is quantised: path of its module, which operand, values before, codes after."""


def quantize_dequantize(tensor: torch.Tensor, fmt: BlockFormat, axis: int = -1, *, seed: int = 0) -> torch.Tensor:
    """The tensor as `fmt` holds it, ``kernels.quantize(tensor, fmt, axis).dequantize()`` bit for bit, in its own dtype.

    float32 on the CPU is read in place; other dtypes become float32 first and the result is rounded to them once more.
    Tensors of other devices stay there (`torch_codec`), in the few formats that it leaves out they go by way of the
    CPU. The gradient passes straight through.
    """
    quantized: torch.Tensor = OperandQuantizer("", "activation", fmt, axis, seed)(tensor)
    return quantized


class OperandQuantizer:
    """Quantise-dequantise for one operand of one layer, stochastic rounding with noise of its own each call."""

    def __init__(
        self,
        path: str,
        operand: Operand,
        fmt: BlockFormat | None,
        axis: int = -1,
        seed: int = 0,
        observe: Observe | None = None,
        scales: QuantizedTensor | None = None,
    ) -> None:
        """`scales`: of a tensor of this format, kept whatever comes (`kernels.given_scales.quantize_under`)."""
        self._path, self._operand = path, operand
        self._scales = scales
        self._format, self._axis = fmt, axis
        # Alike for all operands, the errors of tensors of one shape would be correlated.
        self._next_seed = seed + zlib.crc32(f"{path}.{operand}".encode()) if path else seed
        self._observe = observe
        self._last: LastInput | None = None

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values that the format holds; the tensor itself without a format."""
        return tensor if self._format is None else _StraightThrough.apply(tensor, self)

    def codes(self, tensor: torch.Tensor) -> QuantizedTensor:
        """The codes and scales of a tensor."""
        assert self._format is not None
        values = tensor.detach().cpu().float().numpy()
        known = None if self._last is None else self._last.codes(tensor, self._format)
        if known is not None:
            quantized = known
        elif self._scales is None:
            quantized = quantize(values, self._format, self._axis, seed=self._next_seed)
        else:
            quantized = quantize_under(values, self._scales, seed=self._next_seed)
        if self._last is not None:
            self._last.keep(tensor, quantized)
        self._next_seed += 1
        if self._observe is not None:
            self._observe(self._path, self._operand, values, quantized)
        return quantized

    def held(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values that the format holds, in the tensor's dtype, without a gradient."""
        if self._format is not None and self._stays_on_its_device(tensor, self._format):
            return round_tensor(tensor, self._format, self._axis).to(tensor.dtype)
        codes = self.codes(tensor)
        values = torch.from_numpy(codes.dequantize()) if self._last is None else self._last.values(codes)
        return values.to(tensor.device, tensor.dtype)

    def _stays_on_its_device(self, tensor: torch.Tensor, fmt: BlockFormat) -> bool:
        """Whether nobody asks for codes, which are NumPy's, of a tensor that NumPy cannot reach."""
        wants_codes = self._observe is not None or self._scales is not None
        return tensor.device.type != "cpu" and not wants_codes and supports(fmt)

    def share(self, last: "LastInput") -> None:
        """Look there first from now on; not where rounding has noise of its own or the scales are given."""
        if self._format is not None and self._format.rounding != "stochastic" and self._scales is None:
            self._last = last


class LastInput:
    """What the last tensor was quantised to, for layers that are given the very same one (query, key and value)."""

    def __init__(self) -> None:
        self._tensor: Any = None  # kept, so that no other can take its identity
        self._version = 0
        self._codes: QuantizedTensor | None = None
        self._values: torch.Tensor | None = None

    def codes(self, tensor: torch.Tensor, fmt: BlockFormat) -> QuantizedTensor | None:
        """Those of this tensor in this format, unless it was another or has been written to since."""
        if self._codes is None or self._tensor is not tensor or tensor._version != self._version:
            return None
        return self._codes if self._codes.format is fmt else None

    def keep(self, tensor: torch.Tensor, codes: QuantizedTensor) -> None:
        """Remember these, but for tensors that do not count how often they were written to."""
        if codes is not self._codes and not tensor.is_inference():
            self._tensor, self._version, self._codes, self._values = tensor, tensor._version, codes, None

    def values(self, codes: QuantizedTensor) -> torch.Tensor:
        """What codes stand for, float32; a view of what is remembered."""
        if codes is not self._codes:
            return torch.from_numpy(codes.dequantize())
        if self._values is None:
            self._values = torch.from_numpy(codes.dequantize())
        return self._values.detach()


class _StraightThrough(torch.autograd.Function):  # type: ignore[misc]
    """Rounding has no useful derivative; the usual stand-in is the identity's (Bengio et al., arXiv:1308.3432)."""

    @staticmethod
    def forward(_: Any, tensor: torch.Tensor, quantizer: OperandQuantizer) -> torch.Tensor:
        return quantizer.held(tensor)

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


class QuantizedLinear(torch.nn.Module):  # type: ignore[misc]
    """A linear layer that multiplies what formats hold: its weight quantised once, its input at every call.

    Products are float32 whatever the model's dtype, and the bias is added in float32. Under an accumulator the product
    is `kernels.matmul`, bit for bit as its unit computes, and has no gradient.
    """

    def __init__(
        self,
        weight: torch.Tensor | QuantizedTensor,
        bias: torch.Tensor | None,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
        input_scales: QuantizedTensor | None = None,
    ) -> None:
        """`weight`: [outputs, inputs], or its codes where they were chosen already (`observe` is not told of those).

        path: what `observe` is told, and the seed of stochastic rounding besides. input_scales: of a tensor in the
        activation format, kept for every input instead of chosen for each.
        """
        super().__init__()
        self.formats = formats
        self.bias = bias
        self._activation = OperandQuantizer(path, "activation", formats.activation, -1, seed, observe, input_scales)
        weight_quantizer = OperandQuantizer(path, "weight", formats.weight, seed=seed, observe=observe)
        self._codes: QuantizedTensor | None = None
        if isinstance(weight, torch.Tensor):
            if formats.weight is None:
                self.weight = weight
                return
            codes, device = weight_quantizer.codes(weight), weight.device
        else:
            codes, device = weight, torch.get_default_device()
        self.register_buffer("weight", torch.from_numpy(codes.dequantize()).to(device))
        if formats.accumulator is not None:
            self._codes = codes

    @classmethod
    def from_linear(
        cls,
        linear: torch.nn.Linear,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> "QuantizedLinear":
        """The layer with its operands in formats; what has none is shared with it."""
        return cls(linear.weight, linear.bias, formats, path, seed, observe)

    def share_input(self, last: LastInput) -> None:
        """Quantise no input again that another layer with the same `last` has just quantised."""
        self._activation.share(last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.bias.float()
        if self._codes is None:
            return torch.nn.functional.linear(self._activation(x).float(), self.weight.float(), bias).to(x.dtype)
        product = self._multiply(self._activation.codes(x.reshape(-1, x.shape[-1])), self._codes).to(x.device)
        if bias is not None:
            product += bias.detach()
        return product.reshape(*x.shape[:-1], -1).to(x.dtype)

    def _multiply(self, a: QuantizedTensor, w: QuantizedTensor) -> torch.Tensor:
        accumulator = self.formats.accumulator
        assert accumulator is not None
        return torch.from_numpy(matmul(a, w, activation=a.format, weight=w.format, accumulator=accumulator))


class Builder(Protocol):
    """Makes the layer that stands in for a linear one; `QuantizedLinear.from_linear` is one."""

    def __call__(
        self, linear: torch.nn.Linear, formats: LayerFormats, path: str, seed: int, observe: Observe | None
    ) -> torch.nn.Module: ...


def quantize_model(
    model: torch.nn.Module,
    recipe: Recipe,
    *,
    build: Builder = QuantizedLinear.from_linear,
    observe: Observe | None = None,
) -> Any:
    """A model like the given one with its operands in the recipe's formats; the given one stays as it is.

    Linear layers (and the Conv1D of GPT-2) are replaced by what `build` makes of them; products inside attention take
    part where the model is one of transformers' that dispatch on its attention interface. Whatever is not quantised is
    shared, so the new model costs the memory of its weights.

    Raises:
        ConfigError: an override matches no module, or attention has formats and cannot be reached in this model.
        FormatError: formats and accumulator of a layer make no unit.
    """
    recipe.check(path for path, _ in model.named_modules())
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    copied = copy.deepcopy(model, shared)
    for path, linear in linear_layers(copied, recipe):
        parent, _, name = path.rpartition(".")
        setattr(copied.get_submodule(parent), name, build(linear, recipe.of(path), path, recipe.seed, observe))
    last = LastInput()
    for part in copied.modules():
        if isinstance(part, QuantizedLinear):
            part.share_input(last)
    if any(recipe.of(path).attends for path, _ in copied.named_modules()):
        from densimeter.kernels.torch_attention import quantize_attention

        quantize_attention(copied, recipe, observe)
    return copied


def linear_layers(model: torch.nn.Module, recipe: Recipe) -> Iterator[tuple[str, torch.nn.Linear]]:
    """Path and layer of every linear layer that the recipe does not skip; ConfigError where there is none."""
    found = [(path, _as_linear(part)) for path, part in model.named_modules() if path and not recipe.skips(path)]
    linears = [(path, linear) for path, linear in found if linear is not None]
    if not linears:
        raise ConfigError(f"{type(model).__name__}: the recipe leaves no linear layer, expected at least one")
    yield from linears


def _as_linear(part: torch.nn.Module) -> torch.nn.Linear | None:
    """The module as a linear layer, if it is one: transformers' Conv1D is, with its weight [inputs, outputs]."""
    if type(part) is torch.nn.Linear:
        return part
    if type(part).__name__ != "Conv1D" or not type(part).__module__.startswith("transformers."):
        return None
    linear = torch.nn.Linear(*part.weight.shape, device="meta")
    linear.weight, linear.bias = torch.nn.Parameter(part.weight.detach().T.contiguous()), part.bias
    return linear
