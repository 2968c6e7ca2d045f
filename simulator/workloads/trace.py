"""A workload from a torch module: it is run once, and every matrix product that it executes is written down."""

from typing import TYPE_CHECKING, Any

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.hwmodels.gemm import Workload, merged

if TYPE_CHECKING:
    import torch


def trace(
    module: "torch.nn.Module", *inputs: Any, name: str | None = None, tokens: int = 1, **keywords: Any
) -> Workload:
    """The products that ``module(*inputs, **keywords)`` executes, without gradients, in the order of first execution.

    Linear layers, matrix products, convolutions (products over unrolled patches) and fused attention are found on any
    device, "meta" included, where a model of any size takes no memory and no time. A product is named after the
    innermost module around it, with ``*`` for the positions in lists, so that equal ones of equal layers are counted
    together. The second operand is a weight where it is a parameter or buffer of the module; of two activations it is
    called "activation", in fused attention "key" and "value". Vector work is not traced.

    Raises ToolError without torch, ConfigError where nothing of the kind was executed.
    """
    try:
        from densimeter.simulator.workloads.torch_recorder import record
    except ImportError as error:
        raise ToolError(
            f"tracing needs torch, which cannot be imported ({error}); run: pip install 'densimeter[torch]'"
        ) from error
    gemms = merged(record(module, inputs, keywords))
    title = name or type(module).__name__
    if not gemms:
        raise ConfigError(
            f"{title} executed no matrix product, expected a linear layer, matmul, convolution or attention"
        )
    parameters = list(module.parameters())
    return Workload(
        name=title,
        phase="custom",
        tokens=tokens,
        gemms=gemms,
        parameters=sum(parameter.numel() for parameter in parameters),
        weight_values=sum(parameter.numel() for parameter in parameters if parameter.dim() > 1),
    )
