"""The floors: which folder may import which. Changes only when the direction of imports does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW: dict[str, set[str]] = {
    "formats": set(),
    "kernels": {"formats"},
    "rtl": {"formats"},  # not kernels, nor the reverse: that the two agree is then evidence
    "hwmodels": {"formats", "kernels", "rtl"},
    "reports": {"formats"},
    "simulator": {"formats", "kernels", "rtl", "hwmodels", "reports"},
}
FOLDERS = set(BELOW)


def imported_names(module: str, is_package: bool, source: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that `source`, the text of `module`, imports, at any depth.

    Names come as written: `from a import b` gives `a.b`, whether b is a module or not.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                parents = module.split(".")[: None if is_package else -1]
                base = parents[: len(parents) - level + 1] if level else []
                prefix = ".".join([*base, origin] if origin else base)
                yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """What `source` imports against the floors; `module` is its dotted name, densimeter.* or tests.*."""
    top, folder = module.split(".")[:2]
    allowed = FOLDERS if top == "tests" else BELOW[folder] | {folder}
    found = []
    for line, name in imported_names(module, is_package, source):
        head, *rest = name.split(".")
        if head in FOLDERS:
            found.append(f"{module}:{line}: imports {name}; write densimeter.{name}")
        elif head == "densimeter" and (not rest or rest[0] not in FOLDERS):
            found.append(f"{module}:{line}: imports {name}, which names no folder")
        elif head == "densimeter" and rest[0] not in allowed:
            found.append(f"{module}:{line}: imports {name}, but {folder} may import only {sorted(allowed)}")
    return found


def sources(folder: str) -> list[Path]:
    """The site's hooks, which describe all floors from outside, are none of them."""
    return sorted(path for path in (ROOT / folder).rglob("*.py") if not path.is_relative_to(ROOT / "reports/docs"))


@pytest.mark.parametrize("folder", BELOW)
def test_package_imports_point_down(folder: str) -> None:
    found = []
    for path in sources(folder):
        module = ".".join(("densimeter", *path.relative_to(ROOT).with_suffix("").parts))
        found += violations(module.removesuffix(".__init__"), path.read_text(), path.name == "__init__.py")
    assert not found, "\n".join(found)
    assert sources(folder), f"no sources under {folder}/: nothing was checked"


def test_tests_import_through_the_namespace() -> None:
    found = []
    for path in sources("tests"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found += violations(module, path.read_text(), path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("densimeter.formats.element", "import densimeter.kernels"),
        ("densimeter.formats.element", "from densimeter import simulator"),
        ("densimeter.formats.element", "from ..hwmodels import mac"),
        ("densimeter.kernels.matmul", "import densimeter.rtl.emit as emit"),
        ("densimeter.rtl.engines.bench.checker", "from densimeter.kernels.matmul import matmul"),
        ("densimeter.rtl.engines.bench.checker", "from ....kernels import matmul"),
        ("densimeter.hwmodels.mac", "from densimeter.reports.row import Row"),
        ("densimeter.reports.page", "from densimeter.hwmodels import mac"),
        ("densimeter.reports.page", "def late() -> None:\n    import densimeter.simulator.evaluate"),
        ("densimeter.reports.page", "importlib.import_module('densimeter.kernels')"),
        ("densimeter.simulator.cli", "import formats"),
        ("densimeter.simulator.cli", "from kernels.codec import quantize"),
        ("densimeter.simulator.cli", "import densimeter"),
        ("tests.kernels.test_codec", "from formats.element import IntElement"),
    ],
)
def test_a_planted_violation_is_found(module: str, planted: str) -> None:
    assert len(violations(module, planted)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("densimeter.formats.block", "from .element import IntElement"),
        ("densimeter.kernels.codec", "from densimeter.formats import element\nimport numpy as np"),
        ("densimeter.kernels.codec", "from ..formats.element import IntElement"),
        ("densimeter.hwmodels.mac", "from densimeter import kernels, rtl"),
        ("densimeter.simulator.cli", "import densimeter.reports.page, densimeter.kernels"),
        ("tests.rtl.test_emit", "import densimeter.kernels, densimeter.rtl"),
    ],
)
def test_an_import_that_points_down_is_not_reported(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_relative_import_starts_at_the_package_of_an_init() -> None:
    assert violations("densimeter.kernels", "from .rtl import x", is_package=True) == []
    assert len(violations("densimeter.kernels", "from ..rtl import x", is_package=True)) == 1
