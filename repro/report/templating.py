"""One jinja2 environment a format: every expression of a template is escaped for that format."""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from repro.report import text
from repro.results import verdicts

BOLD = frozenset({"holds", "fails", "differs", "outside", "diverged"})
"""Verdicts that tables set in bold: those that say something definite."""


def environment(escape: Callable[[str], str], **syntax: str) -> Environment:
    """Return an environment over ``templates/``.

    Fixed text stands in a template as such, not as a constant in an expression: jinja2 escapes those for HTML.

    Args:
        escape: returns text that the format shows as it is; markup (macros, the ``safe`` filter) passes unchanged.
        syntax: delimiters, where jinja2's own would collide with the format.
    """

    def finalize(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(escape(str(value)))  # noqa: S704 - escaped

    made = Environment(
        loader=PackageLoader("repro.report", "templates"),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **syntax,  # type: ignore[arg-type]
    )
    made.globals |= {"words": text, "verdicts": verdicts, "BOLD": BOLD}
    return made
