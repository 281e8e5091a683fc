from __future__ import annotations

import itertools
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.dataset.annotations import find_audio, read_clips, read_labels
from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS

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
    with pytest.warns(UserWarning, match=r"annotations\.csv.*\b1\b.*verified"):
        assert read_labels(file, "verified") == {"03_000001.wav": (3, (VOICE,))}


def test_a_clip_may_have_no_source(labelled: Any) -> None:
    assert read_labels(labelled((1, 11, []), (1, 12, []), (1, 13, [])))["03_000001.wav"] == (3, ())


def test_clips_that_only_members_saw_are_left_out_with_a_warning(labelled: Any) -> None:
    with pytest.warns(UserWarning, match=r"annotations\.csv.*\b1\b"):
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
    with pytest.raises(ValueError, match=r"\b3\b.*annotations\.csv.*a\.wav"):
        read_clips(tmp_path)
    write_noise(tmp_path / "audio" / "b.wav")
    with pytest.raises(ValueError, match=r"\b2\b.*\b3\b.*annotations\.csv.*a\.wav"):
        read_clips(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensor_id": "x"}, r"annotations\.csv:3: .*sensor_id.*'x'"),
        ({"annotator_id": "1.5"}, r"annotations\.csv:3: .*annotator_id.*'1\.5'"),
        ({"8_dog_presence": "yes"}, r"annotations\.csv:3: .*8_dog_presence.*'yes'"),
        ({"sensor_id": 4}, r"annotations\.csv:3: .*03_000001\.wav.*\b4\b.*\b3\b"),
    ],
)
def test_bad_values_are_shown_where_they_stand(labelled: Any, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(labelled((1, 11, []), (1, 12, []), **changes))


def test_broken_files(tmp_path: Path, annotation: Any, write_annotations: Any) -> None:
    with pytest.raises(ValueError, match=r"nowhere.*annotations\.csv"):
        read_clips(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"annotations\.csv"):
        read_clips(tmp_path)
    file = tmp_path / "annotations.csv"
    file.write_text("")
    with pytest.raises(ValueError, match=r"annotations\.csv.*empty"):
        read_labels(file)
    file.write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match=r"annotations\.csv.*no annotations"):
        read_labels(file)
    file.write_text(",".join(COLUMNS) + "\ntrain,3,x.wav\n")
    with pytest.raises(ValueError, match=r"annotations\.csv:2: .*\b3\b.*\b78\b"):
        read_labels(file)
    write_annotations(tmp_path, [], columns=[name for name in COLUMNS if name not in ("sensor_id", "6_music_presence")])
    with pytest.raises(ValueError, match=r"annotations\.csv.*sensor_id, 6_music_presence"):
        read_labels(file)
    write_annotations(tmp_path, [annotation("x.wav", 3, 11)])
    with pytest.raises(ValueError, match=r"'all'.*majority, minority, verified"):
        read_labels(file, "all")
    with (
        pytest.warns(UserWarning, match=r"annotations\.csv.*\b1\b"),
        pytest.raises(ValueError, match=r"annotations\.csv.*verified"),
    ):
        read_labels(file, "verified")


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_two_folders_may_hold_one_name(tmp_path: Path, annotation: Any, write_annotations: Any) -> None:
    names = [f"{folder}/rec_{k}.wav" for folder in ("audio-0", "audio-1", "a/b") for k in range(3)]
    for name in names:
        touch(tmp_path / ("audio" if name.startswith("audio-1") else "") / name)
    write_annotations(tmp_path, [annotation(name, 5, 11) for name in names])
    clips = read_clips(tmp_path)
    assert sorted(clip.name for clip in clips) == sorted(names)
    assert len({clip.path for clip in clips}) == len(names)
    assert all(clip.path.as_posix().endswith(f"/{clip.name}") for clip in clips)


def test_every_layout_gives_the_file_or_names_the_two(tmp_path: Path) -> None:
    """Files of one name in random places with random endings, against the rule in words."""
    places = [
        f"{folder}/x{end}" for folder in (".", "audio", "audio-0", "audio/audio-7") for end in (".wav", ".WAV", ".flac")
    ]
    draw = random.Random(0)
    for case in range(150):
        root = tmp_path / str(case)
        files = [touch(root / place) for place in draw.sample(places, draw.choice([0, 1, 1, 2, 3]))]
        fits = [file for file in files if file.name == "x.wav"] or files
        found = find_audio(root, ["x.wav"])
        assert found.missing == ([] if fits else ["x.wav"])
        assert found.paths == ({"x.wav": fits[0]} if len(fits) == 1 else {})
        named = [file for file in fits if str(file) in found.ambiguous.get("x.wav", "")]
        assert len(named) == (2 if len(fits) > 1 else 0)
        assert sorted(found.extra) == sorted(set(files) - set(fits))


def test_a_name_with_folders_is_looked_for_nowhere_else(tmp_path: Path) -> None:
    for place in ("audio/x.wav", "audio-0/x.wav", "audio-1/x.FLAC"):
        touch(tmp_path / place)
    absolute, above = str(tmp_path / "audio" / "x.wav"), f"../{tmp_path.name}/audio/x.wav"
    found = find_audio(tmp_path, ["audio-0/x.wav", "audio-1\\x.wav", "audio-2/x.wav", absolute, above])
    assert found.paths == {
        "audio-0/x.wav": tmp_path / "audio-0/x.wav",
        "audio-1\\x.wav": tmp_path / "audio-1/x.FLAC",  # written on Windows
    }
    assert found.missing == ["audio-2/x.wav", absolute, above]


def test_only_the_ending_is_no_part_of_a_name(tmp_path: Path) -> None:
    for name in ("rec.wav", "rec.001.wav", "rec.002.wav"):
        touch(tmp_path / "audio" / name)
    names = ["rec.001", "rec.002.wav", "rec"]
    found = find_audio(tmp_path, names)
    assert {name: path.name for name, path in found.paths.items()} == {
        "rec.001": "rec.001.wav",
        "rec.002.wav": "rec.002.wav",
        "rec": "rec.wav",
    }


def test_one_file_for_two_names_is_refused(
    tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any
) -> None:
    write_noise(tmp_path / "audio" / "x.flac")
    for other in ("audio/x.wav", "x.flac", "x.WAV"):
        write_annotations(tmp_path, [annotation(name, 1, 11) for name in ("x.wav", other)])
        with pytest.raises(ValueError, match=r"x\.wav.*x\.flac"):
            read_clips(tmp_path)


def test_two_files_for_one_name_are_refused(
    tmp_path: Path, annotation: Any, write_annotations: Any, write_noise: Any
) -> None:
    write_annotations(tmp_path, [annotation("x.wav", 1, 11)])
    files = [tmp_path / place for place in ("audio/audio-0/x.wav", "audio/audio-1/x.wav")]
    for seed, file in enumerate(files):
        write_noise(file, seed=seed)
    with pytest.raises(ValueError, match=r"x\.wav") as caught:
        read_clips(tmp_path)
    assert all(str(file) in str(caught.value) for file in files)
    files[1].unlink()
    os.link(files[0], files[1])  # the same file, not another
    assert read_clips(tmp_path)[0].path == files[0]


def test_every_case_of_an_ending_is_found(tmp_path: Path) -> None:
    endings = [
        "".join(letters)
        for ending in (".wav", ".flac")
        for letters in itertools.product(*zip(ending.lower(), ending.upper(), strict=True))
    ]
    for number, ending in enumerate(sorted(set(endings))):
        touch(tmp_path / "audio" / f"{number}{ending}")
        found = find_audio(tmp_path, [f"{number}.wav"])
        assert found.paths[f"{number}.wav"].suffix == ending


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
