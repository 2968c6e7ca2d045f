"""Hooks of MkDocs: puts what the code itself knows into the pages.

A line `{{ NAME }}` or `{{ NAME: ARGUMENT }}` of a page becomes what `DIRECTIVES[NAME]` makes of the argument. Pages of
which there is one for every format are added to the site without a file. Nothing here is part of the package.
"""

import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from generated import catalog, commands, density, floors, included, literature, python_names, sweep_keys

DIRECTIVES: dict[str, Callable[[str], str]] = {
    "commands": lambda _: commands.reference(),
    "density figure": lambda _: density.figure(),
    "density table": lambda _: density.table("reference/formats"),
    "floors": lambda _: floors.drawing_of_floors(),
    "format list": lambda _: catalog.index(),
    "imports": lambda _: floors.imports_table(),
    "include": included.section,
    "literature": lambda _: literature.comparisons(),
    "names of": python_names.reference,
    "published densities": lambda _: literature.densities(),
    "rooms": lambda _: floors.rooms(),
    "sweep keys": lambda _: sweep_keys.reference(),
}
_DIRECTIVE = re.compile(r"^\{\{ (?P<name>[a-z ]+?)(?:: (?P<argument>.+?))? \}\}$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every format of the catalog."""
    for name, text in catalog.pages():
        files.append(File.generated(config, f"reference/formats/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the page's directives."""

    def made(found: re.Match[str]) -> str:
        if found["name"] not in DIRECTIVES:
            raise PluginError(f"{page.file.src_uri}: {found[0]}, expected one of {', '.join(DIRECTIVES)}")
        return DIRECTIVES[found["name"]](found["argument"] or "")

    return _DIRECTIVE.sub(made, markdown)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """A folder in the navigation, `- Tutorials: tutorials/`, stands for its pages in the order of their names.

    Those of its folders follow, one page each.
    """
    for section in config.nav or []:
        for title, target in section.items():
            if isinstance(target, str) and target.endswith("/"):
                folder = Path(config.docs_dir, target)
                pages = sorted(folder.glob("*.md"), key=lambda path: (path.stem != "index", path))
                pages += sorted(folder.glob("*/index.md"))
                section[title] = [path.relative_to(config.docs_dir).as_posix() for path in pages]
    return config
