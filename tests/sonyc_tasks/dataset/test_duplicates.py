from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sonyc_tasks.dataset.annotations import Clip
from sonyc_tasks.dataset.duplicates import duplicate_clips, duplicates, fingerprint
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.tasks.validate.audio import between_splits

RATE = 8000


def noise(samples: int = 12_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, samples).astype(np.int16)


def put(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), samples, rate, subtype=subtype)
    return path


def test_what_is_the_same_recording(tmp_path: Path) -> None:
    first = put(tmp_path / "a.wav", noise())
    same = [
        put(tmp_path / "coded.flac", noise()),
        put(tmp_path / "wider.wav", noise().astype(np.int32) << 16, subtype="PCM_24"),
        put(tmp_path / "float.wav", noise() / 32768, subtype="FLOAT"),
        put(tmp_path / "stereo.wav", np.stack([noise(), noise()], axis=1)),
        put(tmp_path / "padded.wav", np.pad(noise(), (0, 100_000))),
    ]
    changed = noise()
    changed[-1] += 1  # far behind the beginning
    others = [
        put(tmp_path / "other.wav", noise(seed=1)),
        put(tmp_path / "last-sample.wav", changed),
        put(tmp_path / "shorter.wav", noise()[:-1]),
        put(tmp_path / "later.wav", np.pad(noise(), (1, 0))),
        put(tmp_path / "faster.wav", noise(), RATE * 2),
        put(tmp_path / "one-sided.wav", np.stack([noise(), 0 * noise()], axis=1)),
    ]
    assert duplicates([first, *others, *same]) == [[first, *same]]


def test_silence_and_what_cannot_be_decoded_are_no_recordings(tmp_path: Path) -> None:
    silent = [put(tmp_path / f"{n}.wav", np.zeros(9000, np.int16)) for n in range(3)]
    late = np.pad(noise(), (20_000, 0))  # silent where the search begins
    twins = [put(tmp_path / f"late{n}.wav", late) for n in range(2)]
    broken = [tmp_path / "x.wav", tmp_path / "y.wav", tmp_path / "missing.wav"]
    for path in broken[:2]:
        path.write_bytes(b"no audio")
    assert duplicates([*silent, *broken, *twins]) == [twins]


@given(
    st.lists(st.integers(-3, 3), max_size=12),
    st.lists(st.integers(-3, 3), max_size=12),
    st.sampled_from([1, 3, 30_000]),
)
@settings(max_examples=60, deadline=None)
def test_equal_fingerprints_mean_equal_samples(
    tmp_path_factory: pytest.TempPathFactory, one: list[int], two: list[int], stretch: int
) -> None:
    """Against the plain comparison of all samples; runs of one value reach over the blocks that are read."""
    folder = tmp_path_factory.mktemp("pair")
    sounds = [np.repeat(np.array(values, np.int16), stretch) for values in (one, two)]
    paths = [put(folder / f"{n}.wav", sound) for n, sound in enumerate(sounds)]
    trimmed = [np.trim_zeros(sound, "b").tolist() for sound in sounds]
    expected = bool(trimmed[0]) and trimmed[0] == trimmed[1]
    assert (duplicates(paths) == [paths]) == expected
    assert [bool(fingerprint(path)) for path in paths] == [bool(sound) for sound in trimmed]


def test_parts_of_a_sensor_split_share_no_recording(tmp_path: Path) -> None:
    paths = [put(tmp_path / f"{n}.wav", noise(seed=seed)) for n, seed in enumerate((0, 1, 0, 2, 2))]
    clips = [Clip(path.name, sensor, path, ()) for path, sensor in zip(paths, (1, 1, 2, 3, 3), strict=True)]
    assert duplicate_clips(clips, SensorSplit((1, 2), (), (3,))) == [[clips[0], clips[2]], clips[3:]]
    for split in (SensorSplit((1,), (2,), (3,)), SensorSplit((1,), (3,), (2,))):
        with pytest.raises(ValueError, match=r"0\.wav \(sensor 1, train\) = 2\.wav \(sensor 2, (valid|probe)\)"):
            duplicate_clips(clips, split)
    assert duplicate_clips(clips, SensorSplit((1,), (3,), ())) == [clips[3:]]  # sensor 2 has no part


def test_one_file_under_two_names(tmp_path: Path) -> None:
    path = put(tmp_path / "0.wav", noise())
    clips = [Clip("0.wav", 1, path, ()), Clip("0.flac", 2, path, ())]
    assert duplicate_clips(clips, SensorSplit((1, 2), (), ())) == [clips]
    with pytest.raises(ValueError, match=r"0\.wav .* = 0\.flac"):
        duplicate_clips(clips, SensorSplit((1,), (), (2,)))


def test_splits_of_a_task_folder(tmp_path: Path) -> None:
    clips = {"train": ["a.wav", "b.wav", "gone.wav"], "test": ["c.wav", "d.wav"], "valid": ["e.wav"]}
    for split, name, seed in (
        ("train", "a.wav", 0),
        ("train", "b.wav", 0),
        ("test", "c.wav", 1),
        ("test", "d.wav", 2),
        ("valid", "e.wav", 2),
    ):
        put(tmp_path / str(RATE) / split / name, noise(seed=seed))
    assert between_splits(tmp_path, clips) == [[("test", "d.wav"), ("valid", "e.wav")]]
    assert between_splits(tmp_path / str(RATE), clips) == []  # no sample rate
