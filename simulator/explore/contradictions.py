"""Constraints on results that no result can meet, as far as they compare single columns with numbers."""

import ast
from collections.abc import Sequence

import numpy as np

from densimeter.simulator.explore.expressions import Expression
from densimeter.simulator.explore.result_names import TRUTHS, result_kinds

_SHARES = ("utilisation", "top1_agreement")


def never_together(expressions: Sequence[Expression]) -> list[tuple[int, ...]]:
    """Numbers of constraints that exclude each other, or a single one that excludes all.

    Every result is 0 or more, and a share at most 1. Only constraints on one column, without arithmetic, are judged.
    """
    by_name: dict[str, list[int]] = {}
    known = result_kinds(judged=True)
    for i, expression in enumerate(expressions):
        if len(expression.names) == 1 and expression.names[0] in known and _is_plain(expression.tree):
            by_name.setdefault(expression.names[0], []).append(i)
    found: list[tuple[int, ...]] = []
    for name, numbers in by_name.items():
        alone = [i for i in numbers if not _can_hold(name, [expressions[i]])]
        if alone:
            found += [(i,) for i in alone]
        elif not _can_hold(name, [expressions[i] for i in numbers]):
            found.append(tuple(numbers))
    return found


def _is_plain(tree: ast.AST) -> bool:
    """Whether it changes only at the numbers that it names."""
    plain = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Name, ast.Attribute, ast.Constant)
    plain += (ast.boolop, ast.cmpop, ast.unaryop, ast.expr_context)  # type: ignore[assignment]
    return all(isinstance(node, plain) for node in ast.walk(tree))


def _can_hold(name: str, expressions: Sequence[Expression]) -> bool:
    """Tried at every number that they name, between these, and beyond."""
    if name in TRUTHS:
        tried = np.array([False, True])
    else:
        nodes = [node for expression in expressions for node in ast.walk(expression.tree)]
        named = [float(n.value) for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, int | float)]
        most = 1.0 if name.endswith("_share") or name in _SHARES else np.inf
        ends = np.unique(
            [0.0, *(abs(number) for number in named), *(-abs(number) for number in named), min(most, 1e308)]
        )
        tried = np.concatenate((ends, ends[:-1] + np.diff(ends) / 2))
        tried = tried[(tried >= 0) & (tried <= most)]
    holds = [np.broadcast_to(expression({name: tried}), tried.shape) for expression in expressions]
    return bool(np.logical_and.reduce(holds).any())
