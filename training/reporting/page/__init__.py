"""The results page: tables, figures, a map of the embeddings, and clips to listen to.

Its frame is `sonyc_tasks.page`: one file that loads nothing else. `page.html.j2` says what stands in it, `page.css` how
it looks and `page.js` what moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup

from sonyc_tasks.files import write_atomic
from sonyc_tasks.page import data_uri, render
from training.reporting.page.gallery import Gallery, gallery_contents


def write_page(
    path: Path,
    title: str,
    about: Sequence[str],
    sections: Sequence[tuple[str, str]],
    figures: Sequence[tuple[str, Path]],
    gallery: Gallery | None = None,
    sounds: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: the file to write.
        title: its heading.
        about: sentences that say what the numbers are based on; they come first.
        sections: (heading, Markdown) of the tables.
        figures: (caption, PNG file).
        gallery: what the map and the listening panel show; None leaves both out.
        sounds: (caption, data address as `sonyc_tasks.page.sound.encode` makes it), below the figures.

    Returns:
        ``path``.

    Raises:
        ValueError: the audio of a clip cannot be read.
    """
    extra = None if gallery is None else gallery_contents(gallery)
    if extra is not None:
        extra["counts"] = markdown_html(extra["counts"])
    page = render(
        Path(__file__).with_name("page.html.j2"),
        title=title,
        about=about,
        sections=[(heading, markdown_html(text)) for heading, text in sections],
        figures=[(caption, data_uri("image/png", png.read_bytes())) for caption, png in figures],
        sounds=sounds,
        gallery=extra,
    )
    write_atomic(path, page)
    return path


def markdown_html(text: str) -> Markup:
    """Markdown with tables as HTML. Links, pictures and HTML in it stay text, since the page loads nothing.

    >>> markdown_html("a < *b*")
    Markup('<p>a &lt; <em>b</em></p>\\n')
    """
    return Markup(_MARKDOWN.render(text))


def _mark_tables(state: StateCore) -> None:
    """Scroll a table that is too wide for the window, and make the first cell of each row its heading."""
    first = False
    for token in state.tokens:
        if token.type == "tr_open":
            first = True
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type in ("td_open", "td_close") and first:
            token.tag = "th"
            if token.type == "td_open":
                token.attrSet("scope", "row")
            else:
                first = False


_MARKDOWN = MarkdownIt("zero").enable(["table", "heading", "list", "emphasis", "backticks", "escape"])
_MARKDOWN.core.ruler.push("mark_tables", _mark_tables)
_MARKDOWN.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
_MARKDOWN.add_render_rule("table_close", lambda *_: "</table></div>\n")
