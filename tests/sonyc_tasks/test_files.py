from __future__ import annotations

from pathlib import Path

import pytest

from sonyc_tasks.files import first_line, read_json_object, replacing, write_atomic


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    write_atomic(path, "one")
    write_atomic(path, b"two")
    with replacing(path) as part:
        assert (part.suffix, part.parent) == (".txt", path.parent)
        part.write_text("three")
    with pytest.raises(IsADirectoryError), replacing(path) as part:
        path.parent.read_text()
    assert path.read_text() == "three"
    assert list(path.parent.iterdir()) == [path]


def test_objects_of_json_are_read_and_others_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError, match=r"x\.json.*do that"):
        read_json_object(path, "do that")
    for content in (b"{", b"[]", b'{"a": 1', b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.json.*do that"):
            read_json_object(path, "do that")
    path.write_text('{"a": 1}')
    assert read_json_object(path) == {"a": 1}


def test_the_first_line_of_an_error() -> None:
    assert [first_line(error) for error in (ValueError("a\nb"), ValueError(""))] == ["a", "ValueError"]
