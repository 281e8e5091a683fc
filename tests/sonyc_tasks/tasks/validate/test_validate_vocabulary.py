"""Names of classes that heareval, which reads them through pandas, does not have as they are written."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from sonyc_tasks.tasks.validate.task import errors_of, validate_task
from sonyc_tasks.tasks.validate.vocabulary import MISSING_VALUES, read_vocabulary

Task = Callable[..., Path]

#: Names that some reader takes for something else, and plain ones.
TRICKY = [
    *sorted(MISSING_VALUES),
    *("1", "01", "1.0", "1e3", " 1", "+1", "inf", "-inf", "Infinity", "0x10", "1_000", "1,000", "9" * 20, "true"),
    *("True", "TRUE", "false", "False", "yes", "2020-01-01", "1+2j", " nan", "Nan", "none", "dog ", " dog", "Dog"),
    *("dog", "cat", 'a "dog"', '"', "a,b", "a\nb", "a\r\nb", "#", "'", "\t", "\ufeff", "é", "e\u0301", "犬"),
]


def written(labels: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("idx", "label"), *enumerate(labels)])
    return text.getvalue()


def as_heareval(text: str) -> dict[str, int]:
    """``label_vocab_as_dict(label_vocab_nlabels(…))`` of heareval 2021.1.3, line by line."""
    table = pd.read_csv(io.StringIO(text, newline=""))
    assert len(table) == table["idx"].max() + 1
    table["label"] = table["label"].astype(str)
    return table.set_index("label").to_dict()["idx"]


def comes_back(labels: list[str]) -> bool:
    try:
        return as_heareval(written(labels)) == {label: index for index, label in enumerate(labels)}
    except Exception:
        return False


def is_sound(labels: list[str]) -> bool:
    readings, faults = read_vocabulary(written(labels))
    return not faults and readings == {label: label for label in labels}


text = st.text(st.characters(codec="utf-8"), max_size=6)
names = st.lists(st.one_of(st.sampled_from(TRICKY), text, st.integers().map(str)), min_size=1, max_size=5, unique=True)


@settings(max_examples=400, deadline=None)
@given(labels=names)
@example(labels=["nan", "dog"])
@example(labels=["1", "01"])
@example(labels=["true", "false"])
@example(labels=["\x00", "a"])
def test_sound_names_are_those_that_come_back(labels: list[str]) -> None:
    """What is called sound comes back from pandas; what comes back is called sound but for names that another release
    of pandas loses."""
    try:
        written(labels)
    except csv.Error:  # Python 3.10 cannot write a zero byte
        reject()
    assert comes_back(labels) or not is_sound(labels)
    assert is_sound(labels) == (comes_back(labels) and not MISSING_VALUES & set(labels))


def test_missing_values_are_all_of_this_pandas() -> None:
    for name in MISSING_VALUES - {""}:
        assert pd.read_csv(io.StringIO(f"idx,label\n0,{name}\n1,dog\n"))["label"].isna()[0], name
    assert "" in MISSING_VALUES


@pytest.mark.parametrize("name", ["nan", "NA", "None", "null", "N/A", ""])
def test_a_class_that_is_lost_is_named_with_its_line(task: Task, name: str) -> None:
    splits = {
        "train": {"a.wav": ["cat"], "b.wav": [name]},
        "valid": {"c.wav": ["cat"]},
        "test": {"d.wav": [name, "cat"]},
    }
    (error,) = errors_of(validate_task(task(splits=splits, vocabulary=f"0,cat\n1,{name}\n")))
    assert "labelvocabulary.csv:3: " in error
    assert repr(name) in error


def test_two_classes_that_become_one(task: Task) -> None:
    splits = {"train": {"a.wav": [1], "b.wav": [1]}, "valid": {"c.wav": [1]}, "test": {"d.wav": [1]}}
    (error,) = errors_of(validate_task(task(splits=splits, vocabulary="0,1\n1,01\n")))
    assert "labelvocabulary.csv:3: " in error
    assert "'1'" in error
    assert "'01'" in error


def test_lines_are_those_of_the_file() -> None:
    """A name may hold line breaks, and empty lines are none."""
    _, faults = read_vocabulary('idx,label\n0,"a\nb"\n\n1,NA\n')
    assert [line for line, _ in faults] == [5]


@pytest.mark.parametrize(
    "text", ["", "\n", "label,idx\ncat,0\n", "idx,label\n", "idx,label\n٣,dog\n", 'idx,label\n0,"dog\n']
)
def test_what_is_no_vocabulary(text: str) -> None:
    assert read_vocabulary(text)[1]
