"""A template's file -> a Jinja template whose values are escaped and must all be given.

Invariant: a value becomes text, never markup, unless it is `markupsafe.Markup`. The filter `text` leaves
quotes as they are, which is for text between tags only.
"""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup


def template(path: Path, text_of: Callable[[str], str] = str) -> Template:
    """Return the template; every text that it shows goes through `text_of` before it is escaped."""

    def finalize(value: Any) -> Any:
        return value if hasattr(value, "__html__") or not isinstance(value, str) else text_of(value)

    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = _between_tags
    return environment.get_template(path.name)


def _between_tags(text: str) -> Markup:
    return Markup(html.escape(text, quote=False))  # noqa: S704 - escaped
