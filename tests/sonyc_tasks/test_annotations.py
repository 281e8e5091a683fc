from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.annotations import read_clips, read_labels
from sonyc_tasks.taxonomy import COARSE, COLUMNS

ENGINE, MUSIC, VOICE, DOG = "1_engine", "6_music", "7_human-voice", "8_dog"


@pytest.fixture
def labelled(tmp_path: Path, annotation: Any, write_annotations: Any) -> Callable[..., Path]:
    """annotations.csv from (clip number, annotator, present classes) triples, all of sensor 3."""

    def write(*answers: tuple[int, int, list[str]], **changes: object) -> Path:
        rows = [annotation(f"03_{clip:06d}.wav", 3, annotator, present) for clip, annotator, present in answers]
        rows[-1].update(changes)
        return write_annotations(tmp_path, rows)

    return write


def test_volunteers_decide_by_majority_or_minority(labelled: Any) -> None:
    file = labelled((1, 11, [ENGINE, DOG]), (1, 12, [ENGINE]), (1, 13, [MUSIC]))
    assert read_labels(file)["03_000001.wav"] == (3, (ENGINE,))
    assert read_labels(file, "minority")["03_000001.wav"] == (3, (ENGINE, MUSIC, DOG))


def test_ground_truth_overrules_volunteers_and_members_do_not_count(labelled: Any) -> None:
    file = labelled(
        (1, 11, [ENGINE]), (1, 12, [ENGINE]), (1, 13, [ENGINE]), (1, -1, [MUSIC]), (1, 0, [VOICE]), (2, 11, [DOG])
    )
    for rule in ("majority", "minority"):
        assert read_labels(file, rule)["03_000001.wav"] == (3, (VOICE,))
        assert read_labels(file, rule)["03_000002.wav"] == (3, (DOG,))
    with pytest.warns(UserWarning, match=r'annotations\.csv: 1 clips have no label under "verified"'):
        assert read_labels(file, "verified") == {"03_000001.wav": (3, (VOICE,))}


def test_a_clip_may_have_no_source(labelled: Any) -> None:
    assert read_labels(labelled((1, 11, []), (1, 12, []), (1, 13, [])))["03_000001.wav"] == (3, ())


def test_clips_that_only_members_saw_are_left_out_with_a_warning(labelled: Any) -> None:
    with pytest.warns(UserWarning, match="1 clips have no label"):
        assert list(read_labels(labelled((1, -2, [DOG]), (2, 11, [DOG])))) == ["03_000002.wav"]


def test_an_unasked_volunteer_has_no_vote(labelled: Any) -> None:
    unasked = {f"{coarse}_presence": -1 for coarse in COARSE}
    file = labelled((1, 11, [DOG]), (1, 12, [DOG]), (1, 13, []), (1, 14, []), **unasked)
    assert read_labels(file)["03_000001.wav"] == (3, (DOG,))  # 2 of the 3 who were asked


def test_audio_is_found_in_every_layout(
    tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any
) -> None:
    places = ("audio/a.wav", "b.wav", "audio-0/c.flac", "audio/audio-18/d.flac", "audio/e.flac", "audio/e.wav")
    for place in places:
        write_noise(tmp_path / place)
    names = ("e", "d", "c", "b", "a")
    write_annotations(tmp_path, [annotation(f"{name}.wav", 5, 11) for name in names])
    clips = read_clips(tmp_path)
    assert [clip.name for clip in clips] == ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav"]
    found = [clip.path.relative_to(tmp_path).as_posix() for clip in clips]
    assert found == ["audio/a.wav", "b.wav", "audio-0/c.flac", "audio/audio-18/d.flac", "audio/e.wav"]
    assert {clip.sensor for clip in clips} == {5}


def test_missing_audio_is_counted(tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any) -> None:
    write_annotations(tmp_path, [annotation(f"{name}.wav", 1, 11) for name in "abc"])
    with pytest.raises(
        ValueError, match=r"none of the 3 clips of .* is on disk \(first: a\.wav\); put the audio files"
    ):
        read_clips(tmp_path)
    write_noise(tmp_path / "audio" / "b.wav")
    with pytest.raises(ValueError, match=r"2 of the 3 clips of .* are not on disk \(first: a\.wav\); put them into"):
        read_clips(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensor_id": "x"}, r"annotations\.csv:3: sensor_id is 'x', not an integer; correct the row"),
        ({"annotator_id": "1.5"}, r"annotations\.csv:3: annotator_id is '1\.5', not an integer"),
        ({"8_dog_presence": "yes"}, r"annotations\.csv:3: 8_dog_presence is 'yes', not 1, 0 or -1"),
        ({"sensor_id": 4}, r"annotations\.csv:3: 03_000001\.wav is given sensor 4 here and sensor 3 further up"),
    ],
)
def test_bad_values_are_shown_where_they_stand(labelled: Any, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(labelled((1, 11, []), (1, 12, []), **changes))


def test_broken_files(tmp_path: Path, annotation: Any, write_annotations: Any) -> None:
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere; give the one that holds annotations\.csv"):
        read_clips(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"there is no .*annotations\.csv; give the folder of a data set"):
        read_clips(tmp_path)
    file = tmp_path / "annotations.csv"
    file.write_text("")
    with pytest.raises(ValueError, match=r"annotations\.csv is empty; fetch it again"):
        read_labels(file)
    file.write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match=r"annotations\.csv has no annotations in it"):
        read_labels(file)
    file.write_text(",".join(COLUMNS) + "\ntrain,3,x.wav\n")
    with pytest.raises(
        ValueError, match=r"annotations\.csv:2: 3 columns where the header has 78; fetch the file again"
    ):
        read_labels(file)
    write_annotations(tmp_path, [], columns=[name for name in COLUMNS if name not in ("sensor_id", "6_music_presence")])
    with pytest.raises(ValueError, match=r"lacks the columns sensor_id, 6_music_presence; fetch the file"):
        read_labels(file)
    write_annotations(tmp_path, [annotation("x.wav", 3, 11)])
    with pytest.raises(ValueError, match=r"there is no label rule 'all'; choose one of majority, minority, verified"):
        read_labels(file, "all")
    with (
        pytest.warns(UserWarning, match="1 clips have no label"),
        pytest.raises(ValueError, match=r'no clip of .* has a label under the rule "verified"; choose another'),
    ):
        read_labels(file, "verified")


def test_twice_as_many_rows_take_twice_as_many_steps(tmp_path: Path, annotation: Any) -> None:
    """The real file has 62,022 rows. Steps are lines of Python, which no processor counts differently."""
    row = ",".join(str(value) for value in annotation("NAME", 3, 11, [DOG]).values())
    steps = []
    for rows in (600, 1_200):
        lines = (row.replace("NAME", f"03_{number // 3:06d}.wav") for number in range(rows))
        (tmp_path / "annotations.csv").write_text(",".join(COLUMNS) + "\n" + "\n".join(lines) + "\n")
        steps.append(0)

        def count(*_: object) -> Any:
            steps[-1] += 1
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            labels = read_labels(tmp_path / "annotations.csv")
        finally:
            sys.settrace(before)
        assert len(labels) == rows // 3
    assert steps[1] < 2.2 * steps[0]


def test_the_real_sample(real_clips: Path) -> None:
    clips = read_clips(real_clips)
    assert len(clips) == 157
    assert {clip.sensor for clip in clips} == {1, 2, 4, 7, 17, 18, 24, 27, 31}
    assert all(clip.path.suffix == ".flac" and clip.name.endswith(".wav") for clip in clips)
