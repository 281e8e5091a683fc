from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sonyc_tasks.tasks.validate.located_json import parse


@given(st.dictionaries(st.text(), st.lists(st.text(max_size=5), max_size=2), max_size=8))
@settings(max_examples=100, deadline=None)
def test_one_key_a_line(content: dict[str, list[str]]) -> None:
    text = "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()) + "\n}"
    parsed, lines, faults = parse(text)
    assert parsed == content
    assert lines == {key: number for number, key in enumerate(content, start=2)}
    assert faults == []


def test_faults_stand_where_they_are() -> None:
    assert parse('{"a": 1,\n"b": }') == (
        None,
        {"a": 1, "b": 2},
        [(2, "this is not JSON (Expecting value); correct the line")],
    )
    assert parse("3") == (None, {}, [(1, "this is not a JSON object; write { … }")])
    content, lines, faults = parse('{"x":\n{"a": 1, "a": 2}}')
    assert content == {"x": {"a": 2}}
    assert lines == {"x": 1, "a": 2}
    assert faults == [(2, "a is there 2 times and only the last one counts; keep one")]
