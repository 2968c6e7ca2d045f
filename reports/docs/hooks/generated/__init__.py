"""Parts of pages as Markdown and HTML, each made from what the package says of itself when the site is built."""
