"""What `trace` sees of torch: operators below autograd, where every spelling of a product has become one of a few."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from densimeter.hwmodels.gemm import Gemm

_FUSED_ATTENTION = "_scaled_dot_product_"


def record(module: torch.nn.Module, inputs: Sequence[Any], keywords: Mapping[str, Any]) -> list[Gemm]:
    """Every product that the module executes, one after the other."""
    recorder = _Recorder(module)
    with _fast_path_off(), recorder.following(module), torch.no_grad(), recorder:
        module(*inputs, **keywords)
    return recorder.gemms


@contextmanager
def _fast_path_off() -> Iterator[None]:
    """Without torch's fast path a MultiheadAttention takes the operators that are recorded, not one of its own."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


class _Recorder(TorchDispatchMode):  # type: ignore[misc]
    """Writes down products as they are dispatched, under the name of the module that runs."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.gemms: list[Gemm] = []
        self._running = [type(module).__name__]
        held = [*module.parameters(), *module.buffers()]
        self._weights = {tensor.untyped_storage()._cdata for tensor in held}
        self._rules: dict[str, Callable[..., None]] = {
            "mm": self._matrix,
            "addmm": lambda _, first, second, result: self._matrix(first, second, result),
            "mv": lambda matrix, vector, result: self._matrix(vector.unsqueeze(0), matrix.t(), result),
            "addmv": lambda _, matrix, vector, result: self._matrix(vector.unsqueeze(0), matrix.t(), result),
            "dot": lambda one, other, result: self._matrix(one.unsqueeze(0), other.unsqueeze(1), result),
            "bmm": self._matrix,
            "baddbmm": lambda _, first, second, result: self._matrix(first, second, result),
            "convolution": self._convolution,
        }

    @contextmanager
    def following(self, module: torch.nn.Module) -> Iterator[None]:
        """Keep track of which submodule runs."""
        hooks = []
        for path, part in module.named_modules():
            if path:
                name = re.sub(r"\b\d+\b", "*", path)
                hooks.append(part.register_forward_pre_hook(lambda _, __, name=name: self._running.append(name)))
                hooks.append(part.register_forward_hook(lambda *_: self._running.pop() and None, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def __torch_dispatch__(
        self, operator: Any, types: Any, arguments: tuple[Any, ...] = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        result = operator(*arguments, **(keywords or {}))
        name = operator.overloadpacket.__name__
        if name in self._rules:
            self._rules[name](*arguments, result)
        elif name.startswith(_FUSED_ATTENTION) and not name.endswith("_backward"):
            self._attention(*arguments[:3])
        return result

    def _add(self, **sizes: Any) -> None:
        # A dimension of no elements makes no product.
        if all(sizes[size] for size in ("m", "n", "k", "count")):
            self.gemms.append(Gemm(self._running[-1], **sizes))

    def _is_weight(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._weights

    def _matrix(self, first: torch.Tensor, second: torch.Tensor, result: torch.Tensor) -> None:
        """``[..., m, k] x [..., k, n]``; a weight on the left is the second operand of the transposed product."""
        (*batch, m, k), n = first.shape, second.shape[-1]
        if self._is_weight(first) and not self._is_weight(second):
            m, n, kind = n, m, "weight"
        else:
            kind = "weight" if self._is_weight(second) else "activation"
        self._add(m=m, n=n, k=k, count=math.prod(batch), second=kind)

    def _convolution(self, image: torch.Tensor, kernel: torch.Tensor, *rest: Any) -> None:
        """Every output position times every kernel, over the values under it; once for each group of channels."""
        *settings, result = rest
        transposed, groups = settings[4], settings[6]
        swept = image if transposed else result
        positions = swept.shape[0] * math.prod(swept.shape[2:])
        depth = kernel[0].numel()
        m, n, k = positions, kernel.shape[0] // groups, depth
        self._add(m=m, n=k if transposed else n, k=n if transposed else k, count=groups, second="weight")

    def _attention(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """``[batch, heads, tokens, width]``; heads that share a key are rows of one product."""
        *outer, queries, width = query.shape
        count, tokens = math.prod(key.shape[:-2]), key.shape[-2]
        rows = math.prod(outer) // count * queries
        self._add(m=rows, n=tokens, k=width, count=count, first="query", second="key", result="probability")
        self._add(m=rows, n=value.shape[-1], k=tokens, count=count, first="probability", second="value")
