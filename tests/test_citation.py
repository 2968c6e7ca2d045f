"""CITATION.cff says what the package is, by the rules of the Citation File Format 1.2.0."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
REQUIRED = {"authors", "cff-version", "message", "title"}  # schema 1.2.0
KNOWN = REQUIRED | {
    "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url",
    "preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url",
    "version",
}  # fmt: skip


def test_it_is_valid_and_agrees_with_the_package() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert REQUIRED <= cited.keys() <= KNOWN
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["keywords"] == project["keywords"]
    for author in cited["authors"]:
        assert author.keys() == {"name"} or {"family-names", "given-names"} <= author.keys()
    for reference in cited["references"]:
        assert {"authors", "title", "type"} <= reference.keys()
