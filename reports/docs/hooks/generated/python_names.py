"""The public names of a module for mkdocstrings; changes when it is decided otherwise which names are public.

`__all__` is read from the source, so that nothing heavy is imported.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from mkdocs.exceptions import PluginError

_ROOT = Path(__file__).parents[4]


def reference(module: str) -> str:
    """An entry for every name in `__all__` of `densimeter.formats` or another module, in its order.

    Each goes by where it is defined: `densimeter.kernels.matmul` is a function and a module.
    """
    path = _ROOT.joinpath(*module.split(".")[1:])
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")
    tree = ast.parse(source)
    homes = {name: home for node in ast.walk(tree) for name, home in _imported(node)}
    return "\n\n".join(f"::: {homes.get(name, module)}.{name}" for name in _public(module, tree))


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that an import statement brings, and the module that each is from."""
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from ((alias.name, node.module) for alias in node.names)


def _public(module: str, tree: ast.Module) -> list[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=names):
                return list(ast.literal_eval(names))
    raise PluginError(f"{module} has no __all__")
