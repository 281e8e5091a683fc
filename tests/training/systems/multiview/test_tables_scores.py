"""The score file of the result tables: every digit comes back, and what is no score is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonyc_tasks.scores.results import VIEWS
from sonyc_tasks.scores.score import MEASURES
from training.systems.multiview.tables import Row, points, read_scores_csv, table, write_scores

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

SOURCE, SENSOR = "source_jaccard_micro", "sensor_accuracy"
#: A row of none of the scores below: those that no row shows are refused too.
ROW = Row("codec", "codec, as it is", (0.583, 0.684))

AllScores = dict[tuple[str, str, str], dict[int, float]]
KEYS = st.tuples(st.text("ab,_\"' é", min_size=1), st.sampled_from(VIEWS), st.sampled_from(sorted(MEASURES)))
DRAWN = st.dictionaries(KEYS, st.dictionaries(st.integers(0, 2**40), st.floats(0, 1), min_size=1, max_size=4))


@given(DRAWN)
@settings(max_examples=50, deadline=None)
def test_scores_come_back_to_the_last_digit(tmp_path_factory: pytest.TempPathFactory, drawn: AllScores) -> None:
    path = tmp_path_factory.mktemp("scores") / "new" / "scores.csv"
    write_scores(path, drawn)
    assert read_scores_csv(path) == drawn
    text = path.read_bytes()
    write_scores(path, dict(reversed(list(drawn.items()))))
    assert path.read_bytes() == text
    assert [file.name for file in path.parent.iterdir()] == ["scores.csv"]


def test_the_score_file_is_long_and_sorted(tmp_path: Path) -> None:
    write_scores(tmp_path / "a", {("b", "joint", SENSOR): {10: 0.1, 9: 1.0}, ("a", "shared", SOURCE): {0: 1 / 3}})
    assert (tmp_path / "a").read_text(encoding="utf-8") == (
        "method,view,measure,seed,score\n"
        "a,shared,source_jaccard_micro,0,0.3333333333333333\n"
        "b,joint,sensor_accuracy,9,1.0\n"
        "b,joint,sensor_accuracy,10,0.1\n"
    )


@pytest.mark.parametrize(
    ("key", "score", "said"),
    [
        (("a", "jiont", SOURCE), 0.5, "'jiont'.*joint"),
        (("a", "joint", "accuracy"), 0.5, "'accuracy'"),
        (("a", "joint", SOURCE), math.nan, "seed 3.*nan"),
        (("a", "joint", SOURCE), 63.3, "seed 3.*63.3"),
    ],
)
def test_wrong_scores_are_refused_everywhere(
    tmp_path: Path, key: tuple[str, str, str], score: float, said: str
) -> None:
    wrong = {key: {3: score}}
    path = tmp_path / "scores.csv"
    for use in (lambda: write_scores(path, wrong), lambda: table([ROW], wrong, []), lambda: points([ROW], wrong)):
        with pytest.raises(ValueError, match=said):
            use()
    assert not list(tmp_path.iterdir())
    path.write_text(f"method,view,measure,seed,score\n{','.join(key)},3,{score}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"scores.csv, line 2: .*{said}"):
        read_scores_csv(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "method,view,measure,seed,score"),
        ("a,b\n", "method,view,measure,seed,score"),
        ("method,view,measure,seed,score\na,joint\n", "line 2"),
        ("method,view,measure,seed,score\na,joint,source_map,x,0.5\n", "line 2.*'x'"),
        ("method,view,measure,seed,score\n" + "a,joint,source_map,1,0.5\n" * 2, "line 3.*seed 1"),
    ],
)
def test_other_files_are_no_scores(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_scores_csv(path)
