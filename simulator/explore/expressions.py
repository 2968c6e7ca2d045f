"""The small language of conditions, constraints and derived values: ``rows * lanes <= 4096 and format != 'int8'``.

Numbers, texts in quotes, `true`, `false`, names with dots, ``+ - * / // % **``, comparisons, `and`, `or`, `not`, `in` a
list, ``a if c else b``, and FUNCTIONS: nothing else of Python's syntax. Names and kinds are checked when an expression
is read. Values are columns, a row a design: an expression is evaluated for all of them at once. Numbers are float64,
exact for integers up to 2**53. What is undefined (a setting that is not given, 0 / 0) is a NaN, for which every
comparison but ``!=`` is false.
"""

import ast
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError, nearest

Kind = Literal["number", "text", "truth"]
Values = NDArray[Any]

FUNCTIONS: Mapping[str, Callable[..., Values]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "log2": np.log2,
    "max": np.maximum,
    "min": np.minimum,
    "sqrt": np.sqrt,
}
_OF_SEVERAL = ("min", "max")
_LONGEST = 1000
_ARITHMETIC: Mapping[type[ast.operator], Callable[..., Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_ORDER: Mapping[type[ast.cmpop], Callable[..., Values]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_EQUALITY: Mapping[type[ast.cmpop], Callable[..., Values]] = {ast.Eq: np.equal, ast.NotEq: np.not_equal}
_EXAMPLES: Mapping[Kind, str] = {
    "number": "a number, such as array.rows * 2",
    "text": "a text, such as 'int8'",
    "truth": "a condition, such as lanes <= 16",
}
_WORDS: Mapping[Kind, str] = {"number": "a number", "text": "a text", "truth": "a condition"}
_NAMES = "expected a setting or, in constraints, a result column; texts stand in quotes"
_TRUTHS = {"true": True, "false": False, "True": True, "False": False}


@dataclass(frozen=True)
class Expression:
    """An expression that was read and found to make sense. names: what it mentions, in order of appearance."""

    text: str
    kind: Kind
    names: tuple[str, ...]
    tree: ast.expr = field(repr=False, compare=False)

    def __call__(self, values: Mapping[str, Values]) -> Values:
        """Its value in every row; a single one where it mentions no name. values: a column for each of `names`."""
        with np.errstate(all="ignore"):
            return np.asarray(_evaluate(self.tree, values))


def compile_expression(text: str, kinds: Mapping[str, Kind], expected: Kind) -> Expression:
    """Read an expression over the names in `kinds`. Raises ConfigError that says what is wrong and at which column."""
    tree = _parse(text)
    kind = _kind(tree, kinds)
    if kind != expected:
        raise _error(tree, f"{ast.unparse(tree)} is {_WORDS[kind]}, expected {_EXAMPLES[expected]}")
    return Expression(text, kind, tuple(dict.fromkeys(_names(tree))), tree)


def _parse(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ConfigError(f"{len(text)} characters, expected an expression of at most {_LONGEST}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # What Python finds odd is refused below, with our words.
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        column = f" at column {error.offset}" if error.offset else ""
        raise ConfigError(
            f"{error.msg}{column}, expected an expression such as 'array.rows * lanes <= 4096'"
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConfigError("cannot be read, expected an expression such as 'array.rows * lanes <= 4096'") from error


def _error(node: ast.expr, text: str) -> ConfigError:
    return ConfigError(f"column {node.col_offset + 1}: {text}")


def _names(node: ast.AST) -> Iterator[str]:
    name = _dotted(node)
    if name is not None:
        if name not in _TRUTHS:
            yield name
        return
    children = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for child in children:
        yield from _names(child)


def _dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value)) is not None:
        return f"{owner}.{node.attr}"
    return None


def _kind(node: ast.expr, kinds: Mapping[str, Kind]) -> Kind:
    """The kind of a part's values; ConfigError where a part makes no sense."""
    if (name := _dotted(node)) is not None:
        return _kind_of_name(node, name, kinds)
    match node:
        case ast.Constant(value=value):
            return _kind_of_constant(node, value)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            _expect((left, right), "number", kinds)
            return "number"
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _expect((operand,), "number", kinds)
            return "number"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            _expect((operand,), "truth", kinds)
            return "truth"
        case ast.BoolOp(values=values):
            _expect(values, "truth", kinds)
            return "truth"
        case ast.Compare():
            return _kind_of_comparison(node, kinds)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            _expect((test,), "truth", kinds)
            kind = _kind(body, kinds)
            _expect((orelse,), kind, kinds)
            return kind
        case ast.Call():
            return _kind_of_call(node, kinds)
    raise _error(node, f"{ast.unparse(node)!r} is not part of this language, expected arithmetic and comparisons")


def _expect(nodes: Any, expected: Kind, kinds: Mapping[str, Kind]) -> None:
    for node in nodes:
        if (kind := _kind(node, kinds)) != expected:
            raise _error(node, f"{ast.unparse(node)} is {_WORDS[kind]}, expected {_WORDS[expected]}")


def _kind_of_name(node: ast.expr, name: str, kinds: Mapping[str, Kind]) -> Kind:
    if name in _TRUTHS:
        return "truth"
    if name not in kinds:
        raise _error(node, f"unknown name {name!r}{nearest(name, kinds)}; {_NAMES}")
    return kinds[name]


def _kind_of_constant(node: ast.expr, value: object) -> Kind:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        try:
            float(value)
        except OverflowError as error:
            raise _error(node, "a number too large, expected one below 1.8e308") from error
        return "number"
    if isinstance(value, str):
        return "text"
    raise _error(node, f"{value!r} is neither a number nor a text, expected one of them")


def _kind_of_comparison(node: ast.Compare, kinds: Mapping[str, Kind]) -> Kind:
    operands = [node.left, *node.comparators]
    for left, op, right in zip(operands, node.ops, operands[1:], strict=False):
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple) or not right.elts:
                raise _error(right, f"{ast.unparse(right)!r} after 'in', expected a list such as ['bfp6', 'bfp8']")
            _expect(right.elts, _kind(left, kinds), kinds)
        elif type(op) in _ORDER:
            _expect((left, right), "number", kinds)
        elif type(op) in _EQUALITY:
            _expect((right,), _kind(left, kinds), kinds)
        else:
            raise _error(right, "'is' compares nothing here, expected == or !=")
    return "truth"


def _kind_of_call(node: ast.Call, kinds: Mapping[str, Kind]) -> Kind:
    name = _dotted(node.func) or ""
    if name not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise _error(node, f"unknown function {name!r}{nearest(name, FUNCTIONS)}; expected one of {known}")
    wanted = "two or more numbers" if name in _OF_SEVERAL else "one number"
    if node.keywords or (len(node.args) < 2 if name in _OF_SEVERAL else len(node.args) != 1):
        raise _error(node, f"{name} takes {wanted}, expected as many")
    _expect(node.args, "number", kinds)
    return "number"


def _evaluate(node: ast.expr, values: Mapping[str, Values]) -> Any:
    if (name := _dotted(node)) is not None:
        return _TRUTHS[name] if name in _TRUTHS else values[name]
    match node:
        case ast.Constant(value=value):
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return np.logical_not(_evaluate(operand, values))
        case ast.UnaryOp(op=op, operand=operand):
            value = _evaluate(operand, values)
            return np.negative(value) if isinstance(op, ast.USub) else value
        case ast.BoolOp(op=op, values=parts):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return join.reduce(np.broadcast_arrays(*(_evaluate(part, values) for part in parts)))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return np.where(_evaluate(test, values), _evaluate(body, values), _evaluate(orelse, values))
        case ast.Compare():
            return _compare(node, values)
        case ast.Call(args=arguments):
            function = FUNCTIONS[_dotted(node.func) or ""]
            found = [_evaluate(argument, values) for argument in arguments]
            result = function(*found[:2])
            for more in found[2:]:
                result = function(result, more)
            return result
    raise AssertionError(f"{node} was accepted and cannot be evaluated")


def _compare(node: ast.Compare, values: Mapping[str, Values]) -> Values:
    left = _evaluate(node.left, values)
    holds: Values = np.asarray(True)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        if isinstance(op, ast.In | ast.NotIn) and isinstance(comparator, ast.List | ast.Tuple):
            right: Any = [_evaluate(element, values) for element in comparator.elts]
            found = np.logical_or.reduce(np.broadcast_arrays(*(np.equal(left, element) for element in right)))
            step = found if isinstance(op, ast.In) else np.logical_not(found)
        else:
            right = _evaluate(comparator, values)
            step = (_ORDER.get(type(op)) or _EQUALITY[type(op)])(left, right)
        holds = np.logical_and(holds, step)
        left = right
    return holds
