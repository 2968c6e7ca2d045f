"""The site builds without a warning, its links lead somewhere, and it needs neither a server nor a network."""

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from densimeter.formats import names
from docs.console import ROOT
from support.pages import CHROMIUM, HEADLESS

LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Links(HTMLParser):
    """A page's anchors, the links that a reader follows and the addresses that a browser loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.followed: list[str] = []
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.followed.append(given["href"])
        if tag in LOADED and LOADED[tag] in given and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Links]:
    """Every page of the site, built as `make docs` does but for the tensors behind its QSNR."""
    folder = tmp_path_factory.mktemp("site")
    np.save(folder / "weights.npy", np.random.default_rng(1).normal(size=(64, 64)).astype(np.float32))
    environment = os.environ | {
        "DENSIMETER_DOCS_TENSORS": str(folder / "weights.npy"),
        "NO_MKDOCS_2_WARNING": "1",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder / "out")]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=900)
    assert done.returncode == 0, done.stderr
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in (folder / "out").rglob("*.html")}
    assert len(pages) > len(names())
    return pages


def targets(site: dict[Path, Links]) -> Iterator[tuple[Path, str, Path, str]]:
    """(page, link, file that it means, anchor) for every link inside the site."""
    for page, links in site.items():
        if page.name == "404.html":  # served from any folder, so its links are absolute
            continue
        for link in links.followed + links.loaded:
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc:
                target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
                yield page, link, target, unquote(parts.fragment)


def test_every_link_inside_the_site_leads_to_a_page_and_an_anchor_of_it(site: dict[Path, Links]) -> None:
    found = [
        (page.name, link)
        for page, link, target, anchor in targets(site)
        if not target.is_file() or (anchor and target in site and anchor not in site[target].anchors)
    ]
    assert not found


def test_no_page_loads_anything_from_a_network(site: dict[Path, Links]) -> None:
    loaded = {address for links in site.values() for address in links.loaded}
    assert not [address for address in loaded if urlsplit(address).netloc]


def test_every_format_has_a_page_that_the_catalog_links_to(site: dict[Path, Links]) -> None:
    (catalog,) = (page for page in site if page.match("reference/formats/index.html"))
    assert {f"{name}.html" for name in names()} <= set(site[catalog].followed)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_search_answers_without_a_server(site: dict[Path, Links], tmp_path: Path) -> None:
    (start,) = (page for page in site if page.name == "index.html" and (page.parent / "sitemap.xml").exists())
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(CHROMIUM), *HEADLESS, profile, "--dump-dom", f"{start.as_uri()}?q=subnormals"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "md-search-result__item" in done.stdout
