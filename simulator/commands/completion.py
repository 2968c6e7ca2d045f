"""What a shell offers behind Tab for values of options; changes when an option should complete other values.

`densimeter --install-completion` sets the shell up.
"""

from densimeter.formats import names

_ACCUMULATORS = ("int32", "int32_saturate", "fixed48:-24", "aligned24", "fp32", "fp32_ftz")


def format_names(incomplete: str) -> list[str]:
    """The catalog's names; variants and declarations are for the user to write."""
    return [name for name in names() if name.startswith(incomplete)]


def accumulator_names(incomplete: str) -> list[str]:
    """One of each kind, with its usual widths."""
    return [name for name in _ACCUMULATORS if name.startswith(incomplete)]


def example_names(incomplete: str) -> list[str]:
    """What `densimeter init --example` can write."""
    from densimeter.simulator.commands.init import examples

    return [name for name in ("list", *examples()) if name.startswith(incomplete)]
