"""The frame of every page: values are escaped, files are inserted unchanged, and nothing is left out silently."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from sonyc_tasks.page import data_uri, render


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "x.css").write_text("a > b { }")
    path = tmp_path / "x.html.j2"
    path.write_text(
        '{% extends "base.html.j2" %}{% block style %}{{ source("x.css") }}{% endblock %}'
        "{% block content %}{{ value | tojson }}{{ text }}{% endblock %}"
    )
    return path


def test_values_are_escaped_and_files_are_not(template: Path) -> None:
    page = render(template, title="<t>", about=["a & b"], value={"z": "</script>", "a": 1}, text="<i>")
    assert page.startswith("<!doctype html>")
    assert page.count("&lt;t&gt;") == 2
    assert "<p>a &amp; b</p>" in page
    assert "a > b { }" in page
    assert "&lt;i&gt;" in page
    assert "</script>" not in page
    assert page.index('"z"') < page.index('"a"'), "the order of the values is kept"
    assert "script-src" not in page


def test_a_value_that_is_missing(template: Path) -> None:
    with pytest.raises(UndefinedError, match="text"):
        render(template, title="t", about=[], value=1)


def test_a_picture_is_inside_the_page() -> None:
    assert data_uri("image/png", b"\x00\xff") == "data:image/png;base64,AP8="
