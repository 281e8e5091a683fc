"""Doctests of docstrings as code on the API pages: in Markdown, a line after ``>>>`` would be a quotation."""

from __future__ import annotations

import re
from typing import Any

import griffe

#: Indentation, and the lines from ``>>>`` to the next empty one.
_DOCTEST = re.compile(r"^( *)(>>> .*(?:\n *\S.*)*)", re.MULTILINE)


class FencedDoctests(griffe.Extension):
    """Put a fence around every doctest that is not in a section Examples, which griffe knows by itself."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring and not re.search(r"^ *Examples?:$", obj.docstring.value, re.MULTILINE):
            obj.docstring.value = _DOCTEST.sub(r"\1```pycon\n\1\2\n\1```", obj.docstring.value)
