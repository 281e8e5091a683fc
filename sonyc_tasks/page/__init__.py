"""HTML pages, each a single file that loads nothing else, so that it opens from a disk and without a network.

`base.html.j2` and `base.css` in this folder are the frame of every page. What a page shows is in a template of
its own that extends the frame. All values are escaped, unless a template says otherwise.
"""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


def render(template: Path, **values: object) -> str:
    """Render a page.

    Args:
        template: extends ``base.html.j2``; ``source("name")`` in it inserts a file next to it, unchanged.
        values: what the template shows; ``title`` and ``about``, a list of sentences, in any case.

    Returns:
        The page as HTML.
    """
    loader = FileSystemLoader([template.parent, _HERE])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["source"] = lambda name: Markup(loader.get_source(environment, name)[0])
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    return environment.get_template(template.name).render(values)


def data_uri(kind: str, content: bytes) -> str:
    """``content`` of the media type ``kind`` as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
