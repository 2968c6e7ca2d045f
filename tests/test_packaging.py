"""The distribution: a wheel that holds every file of the package folders and needs no repository to run."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("formats", "hwmodels", "kernels", "reports", "rtl", "simulator")
SITE = Path("reports/docs")


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def package_files() -> set[Path]:
    """Every file of the package folders, relative to the root, less the site's and what interpreters leave."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file())
    relative = (path.relative_to(ROOT) for path in found)
    clean = {path for path in relative if not any(p == "__pycache__" or p[0] == "." for p in path.parts)}
    return {path for path in clean if not path.is_relative_to(SITE)}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that has to succeed."""
    variables = os.environ | environment
    done = subprocess.run(command, cwd=cwd, env=variables, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy: nothing that an earlier build left in the repository gets in."""
    copy = tmp_path_factory.mktemp("wheel")
    top_level = {Path(path.name) for path in ROOT.iterdir() if path.is_file()}
    for file in top_level | package_files() | {SITE / "index.md", SITE / "hooks/pages.py"}:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, copy / file)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_every_folder_with_python_files_is_a_listed_package() -> None:
    folders = {path.parent for path in package_files() if path.suffix == ".py"}
    packages = {"densimeter." + ".".join(folder.parts): folder.as_posix() for folder in folders}
    listed = settings()["tool"]["setuptools"]
    assert listed["package-dir"] == packages
    assert listed["packages"] == sorted(packages)
    assert not [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()]


def test_type_checkers_see_every_folder() -> None:
    links = {link.name: link.readlink() for link in (ROOT / "tests/typing/densimeter").iterdir()}
    assert links == {folder: Path("../../..") / folder for folder in FOLDERS}


def test_wheel_holds_exactly_the_files_of_the_package_folders(wheel: Path) -> None:
    held = {Path(name) for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {Path("densimeter") / path for path in package_files()}


IMPORT_ALL = """
import importlib, sys
from importlib.metadata import distribution
for name in sys.argv[1:]:
    print(importlib.import_module(name).__file__)
for script in distribution("densimeter").entry_points:
    print(sys.modules[script.load().__module__].__file__)
"""


def test_wheel_imports_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    target, empty = tmp_path / "target", tmp_path / "empty"
    empty.mkdir()
    offline = ("--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "install", *offline, "--target", target, wheel, cwd=empty)
    # -S: an editable densimeter gets in through a .pth file, and without `site` none is read.
    search_path = os.pathsep.join([str(target), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    packages = settings()["tool"]["setuptools"]["packages"]
    origins = run(sys.executable, "-S", "-c", IMPORT_ALL, *packages, cwd=empty, PYTHONPATH=search_path)
    outside = [line for line in origins.splitlines() if not Path(line).is_relative_to(target / "densimeter")]
    assert len(origins.splitlines()) > len(packages)
    assert not outside
