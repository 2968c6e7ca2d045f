"""From a template to a page that holds everything it needs; changes when all pages should be made differently."""

from typing import Any

import plotly.offline
from jinja2 import Environment, PackageLoader, StrictUndefined

from densimeter.reports.columns import text
from densimeter.reports.theme import DARK, LIGHT


def render(template: str, **context: object) -> str:
    """The page, with plotly.js and both themes' colours at the template's hand; text of `context` is escaped."""
    environment = Environment(
        loader=PackageLoader("densimeter.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = text
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    given: dict[str, Any] = {"light": LIGHT, "dark": DARK, "plotly_js": plotly.offline.get_plotlyjs(), **context}
    return environment.get_template(template).render(given)
