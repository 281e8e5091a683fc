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
    content, lines, faults = parse('{"a": 1,\n"b": }')
    assert (content, lines, [line for line, _ in faults]) == (None, {"a": 1, "b": 2}, [2])
    content, lines, faults = parse("3")
    assert (content, lines, [line for line, _ in faults]) == (None, {}, [1])
    content, lines, faults = parse('{"x":\n{"a": 1, "a": 2}}')
    assert content == {"x": {"a": 2}}
    assert lines == {"x": 1, "a": 2}
    ((line, fault),) = faults
    assert line == 2
    assert fault.startswith("a ")
    assert "2 times" in fault
