"""Parts of pages that are made from the code say what the code says."""

import re

import pytest
from mkdocs.exceptions import PluginError

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.display.svg import WIDTH
from densimeter.simulator.explore.json_schema import json_schema
from generated import catalog, commands, error_curve, floors, included, python_names, sweep_keys


def test_every_public_name_has_an_entry() -> None:
    for module in (F, K):
        entries = python_names.reference(module.__name__).split("\n\n")
        assert [entry.rpartition(".")[2] for entry in entries] == list(module.__all__)


def test_an_entry_names_the_function_and_not_the_module_of_its_name() -> None:
    assert "::: densimeter.kernels.matmul.matmul\n" in python_names.reference("densimeter.kernels")


def test_every_command_has_a_section_with_its_options() -> None:
    sections = commands.reference().split("\n## ")
    titles = [section.splitlines()[0] for section in sections]
    assert {"densimeter density", "densimeter rtl emit"} <= {title.removeprefix("## ") for title in titles}
    (density,) = (section for section in sections if section.startswith("densimeter density\n"))
    assert "--tensors" in density


def test_every_object_of_the_schema_has_a_section_with_all_its_keys() -> None:
    page = sweep_keys.reference()
    for name, definition in json_schema()["$defs"].items():
        _, _, section = page.partition(f"## {name}\n")
        section, _, _ = section.partition("\n## ")
        assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(definition.get("properties", ()))


def test_an_included_section_is_the_one_under_its_heading() -> None:
    text = included.section("formats/README.md#Rounding")
    assert "nearest_even" in text
    assert "\n## " not in text
    with pytest.raises(PluginError, match="has no heading 'Ronding'"):
        included.section("formats/README.md#Ronding")


def test_links_to_files_of_the_repository_become_their_words() -> None:
    assert "](reference.py)" not in included.section("formats/README.md")


def test_the_floors_count_the_imports_of_the_code() -> None:
    found = floors.imports()
    assert found["simulator", "formats"] > 1
    assert not found["kernels", "rtl"]
    assert not any(origin == "formats" for origin, _ in found)


def test_a_page_of_a_format_has_all_its_codes() -> None:
    page = catalog.page(F.get("mxfp4"))
    assert page.count("<li><code>") == 2**4
    assert "<code>7</code> 6</li>" in page  # 0.111: 1.5 * 2^2


def test_the_error_curve_ends_where_a_format_ends() -> None:
    """int4: the largest is 7 steps of 1/7, so below half a step, 1/14, nothing is left: an error of 1, at the top."""
    curve = error_curve.error_curve(F.get("int4"))
    points = re.findall(r'<polyline points="([^"]*)"', curve)[1].split()
    errors_at = {float(x): float(y) for x, y in (point.split(",") for point in points)}
    top = min(errors_at.values())
    left = 52 + (-20 - -20) / 20 * (WIDTH - 60)
    vanished = [y for x, y in errors_at.items() if x < left + (20 - 4) / 20 * (WIDTH - 60)]  # below 2^-4 < 1/14
    assert vanished == [top] * len(vanished)
    assert errors_at[max(errors_at)] > top
