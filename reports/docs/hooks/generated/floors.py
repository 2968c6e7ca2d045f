"""The architecture as imports show it: a drawing of the floors, a table of imports, the rooms and what they are for.

Changes when another fact of the structure should be read from the code.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from densimeter.formats.display.palette import BLUE
from densimeter.formats.display.svg import WIDTH, drawing, text
from generated.tables import table

_ROOT = Path(__file__).parents[4]
_FLOORS = (("simulator",), ("reports",), ("hwmodels",), ("kernels", "rtl"), ("formats",))
"""From the top. Only the order of drawing stands here; whether imports agree, tests/test_floors.py judges."""
_FOLDERS = tuple(folder for floor in _FLOORS for folder in floor)
_HEIGHT, _GAP, _MARGIN = 46, 26, 70


def drawing_of_floors() -> str:
    """SVG of the folders on their floors; a line is at least one import, as wide as the logarithm of how many."""
    height = len(_FLOORS) * (_HEIGHT + _GAP)
    boxes = {folder: box for number, floor in enumerate(_FLOORS) for folder, box in _boxes(number, floor)}
    modules = Counter(folder for folder, _ in _sources())
    parts = [_arrow(boxes[origin], boxes[target], count) for (origin, target), count in imports().items()]
    for folder, (x, y, width) in boxes.items():
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_HEIGHT}" rx="4" class="dm-floor" '
            'stroke="currentColor"/>'
            f"{text(x + width / 2, y + 20, folder, anchor='middle')}"
            f"{text(x + width / 2, y + 36, f'{modules[folder]} modules', anchor='middle', muted=True)}"
        )
    return f'<div class="dm-drawing">{drawing(height, "The floors and what they import", parts)}</div>'


def _boxes(number: int, floor: tuple[str, ...]) -> Iterator[tuple[str, tuple[float, int, float]]]:
    """Left edge, top and width of every folder of a floor."""
    width = (WIDTH - 2 * _MARGIN - (len(floor) - 1) * 40) / len(floor)
    for i, folder in enumerate(floor):
        yield folder, (_MARGIN + i * (width + 40), number * (_HEIGHT + _GAP), width)


def _arrow(origin: tuple[float, int, float], target: tuple[float, int, float], count: int) -> str:
    """Straight down to the next floor, else around the floors between, on the side where there is room."""
    (x1, y1, w1), (x2, y2, w2) = origin, target
    look = f'fill="none" stroke="{BLUE}" stroke-width="{1 + count.bit_length() / 3:.1f}" stroke-linejoin="round"'
    if y2 - y1 == _HEIGHT + _GAP:
        x = min(max(x2 + w2 / 2, x1 + 20), x1 + w1 - 20)
        return f'<path d="M{x:.1f} {y1 + _HEIGHT}V{y2}" {look}/>'
    floors, from_top = round((y2 - y1) / (_HEIGHT + _GAP)), y1 == 0
    right = x2 + w2 > WIDTH / 2 and (from_top or x2 > WIDTH / 2)
    start, end = (x1 + w1, x2 + w2) if right else (x1, x2)
    out = (floors - 1) * 15 if right or not from_top else _MARGIN - 15
    side = max(start, end) + out if right else min(start, end) - out
    up, down = y1 + _HEIGHT / 2 + 6 * (floors - 2), y2 + _HEIGHT / 2 - 6 * (floors - 2)
    return f'<path d="M{start:.1f} {up:.1f}H{side:.1f}V{down:.1f}H{end:.1f}" {look}/>'


def imports_table() -> str:
    """How many imports lead from which folder to which."""
    found = imports()
    rows = ((f"`{origin}`", *(str(found.get((origin, target), "")) for target in _FOLDERS)) for origin in _FOLDERS)
    return table(("imports from", *(f">`{folder}`" for folder in _FOLDERS)), rows)


def rooms() -> str:
    """Every module with the first sentence of its docstring, a section a folder."""
    parts = []
    for folder in _FOLDERS:
        rows = [(f"`{path.relative_to(_ROOT / folder)}`", _reason(path)) for of, path in _sources() if of == folder]
        parts.append(f"### {folder}\n\n{table(('module', 'what it is for'), [row for row in rows if row[1]])}")
    return "\n\n".join(parts)


def _reason(path: Path) -> str:
    """The docstring up to the end of its first sentence or clause."""
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(words.partition("\n\n")[0].split())


@cache
def imports() -> Counter[tuple[str, str]]:
    """(from, to) of folders, and how many import statements lead there."""
    found: Counter[tuple[str, str]] = Counter()
    for folder, path in _sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _imported(node):
                target = name.split(".")[1]
                if target != folder:
                    found[folder, target] += 1
    return found


def _imported(node: ast.AST) -> Iterator[str]:
    """Dotted names below densimeter, absolute as this project writes them."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names if alias.name.startswith("densimeter."))
        case ast.ImportFrom(module=str(module)) if module.startswith("densimeter."):
            yield module


def _sources() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its folder; this site's hooks are not part of it."""
    for folder in _FOLDERS:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            if not path.is_relative_to(_ROOT / "reports" / "docs"):
                yield folder, path
