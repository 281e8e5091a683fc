"""Embeddings of recordings are those of the HEAR API for the same samples, to the bit on a CPU."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hear_multiview
from hear_multiview.embedder import Embedder
from hear_multiview.recordings import embed as embedding
from hear_multiview.recordings import reading
from hear_multiview.recordings.embed import Division
from hear_multiview.recordings.table import Rows
from tests.hear_multiview.recordings.conftest import Write


@pytest.fixture(params=["memory", "streamed"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether recordings are in memory or read while they are embedded."""
    if request.param == "streamed":
        monkeypatch.setattr(reading, "MAX_SAMPLES", 0)
    return str(request.param)


def joined(parts: list[Rows]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, end and embeddings of one recording's parts."""
    assert len({(part.path, part.sha256) for part in parts}) == 1
    columns = ([getattr(part, name) for part in parts] for name in ("start", "end", "embeddings"))
    return tuple(map(np.concatenate, columns))  # type: ignore[return-value]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000]),
    channels=st.integers(1, 8),
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]),
    milliseconds=st.integers(30, 400),
    streamed=st.booleans(),
)
def test_a_row_is_what_the_api_gives_for_the_samples(
    write: Write, model: Embedder, rate: int, channels: int, subtype: str, milliseconds: int, streamed: bool
) -> None:
    """The samples by hand: soundfile, the mean of the channels, soxr."""
    path = write("x.wav", rate, channels, milliseconds / 1000, subtype)
    decoded, _ = soundfile.read(path, dtype="float32", always_2d=True)
    mono = decoded.mean(axis=1, dtype=np.float32)
    by_hand = torch.from_numpy(soxr.resample(mono, rate, model.sample_rate, quality="HQ"))[None]
    assert torch.equal(hear_multiview.read(path, model), by_hand)
    with pytest.MonkeyPatch.context() as patch:
        if streamed:
            patch.setattr(reading, "MAX_SAMPLES", 0)
        (rows,) = hear_multiview.embed(path, model)
    assert rows.path == str(path)
    assert (rows.start.tolist(), rows.end.tolist()) == ([0.0], [len(decoded) / rate])
    np.testing.assert_array_equal(rows.embeddings, hear_multiview.get_scene_embeddings(by_hand, model).numpy())


def test_heareval_gives_the_same_row_for_a_file_at_the_models_rate(
    write: Write, bundled: Embedder, tmp_path: Path
) -> None:
    """Task folders hold 16-bit files at the model's rate, and heareval's own code reads them as they are."""
    tasks = pytest.importorskip("heareval.embeddings.task_embeddings")
    path = write("x.wav", bundled.sample_rate, 1, 0.7, "PCM_16")
    audio, _ = tasks.AudioFileDataset({path.name: None}, tmp_path, bundled.sample_rate)[0]
    module = tasks.Embedding("hear_multiview")
    by_heareval = module.get_scene_embedding_as_numpy(audio[None])
    (rows,) = hear_multiview.embed([path], bundled)
    np.testing.assert_array_equal(rows.embeddings, by_heareval)


def test_frames_are_those_of_the_api(write: Write, model: Embedder, place: str) -> None:
    path = write("x.flac", 48_000, 2, 13.0)  # more than a chunk of the codec
    start, end, embeddings = joined(list(hear_multiview.embed(path, model, frames=True)))
    expected, times = hear_multiview.get_timestamp_embeddings(hear_multiview.read(path, model), model)
    np.testing.assert_array_equal(embeddings, expected[0].numpy())
    np.testing.assert_allclose((start + end) / 2, times[0].numpy() / 1000, atol=0.01)
    np.testing.assert_allclose(
        start, np.arange(len(start)) * model.frontend.hop * model.stride / model.sample_rate, rtol=1e-12
    )
    assert end.max() <= 13.0


@pytest.mark.parametrize(("window", "hop"), [(0.3, None), (0.4, 0.25), (0.2, 0.5), (5.0, 1.0)])
def test_a_window_is_a_clip_of_its_own(
    write: Write, model: Embedder, place: str, window: float, hop: float | None
) -> None:
    path, rate = write("x.wav", 32_000, 1, 1.1), model.sample_rate
    audio = hear_multiview.read(path, model)
    start, end, embeddings = joined(list(hear_multiview.embed(path, model, window=window, hop=hop)))
    for a, b, row in zip(np.rint(start * rate).astype(int), np.rint(end * rate).astype(int), embeddings, strict=True):
        clip = hear_multiview.get_scene_embeddings(audio[:, a:b], model)
        np.testing.assert_array_equal(row, clip[0].numpy())
    np.testing.assert_allclose(np.diff(start), hop or window, atol=1e-4)
    assert end[-1] == 1.1 or (hop or 0) > window


@given(st.integers(1, 500), st.integers(10, 60), st.integers(1, 60), st.integers(1, 10))
def test_windows_cover_a_recording(samples: int, window: int, hop: int, shortest: int) -> None:
    clips = list(Division("window", window, hop).clips(samples, 1, shortest))
    assert clips[0][0] == 0
    assert all(b[0] - a[0] == hop for a, b in pairwise(clips))
    assert all(stop - start == window for start, stop in clips[:-1])
    assert all(stop <= samples for _, stop in clips)
    assert all(stop - start >= shortest for start, stop in clips) or len(clips) == 1
    if hop <= window:  # nothing but a rest too short to embed is left out
        assert samples - clips[-1][1] < shortest
    assert [stop for _, stop in clips].count(samples) <= 1


def test_batches_of_equal_clips_give_each_its_own_row(write: Write, model: Embedder) -> None:
    """As on a GPU, where rounding may depend on the batch."""
    paths = [write(f"{k}.wav", seconds=0.3 if k < 3 else 0.4) for k in range(5)]
    batches = embedding._Batches(model, Division())
    batches._size = 4
    recordings = [reading.open_recording(str(path), str(k), model.sample_rate) for k, path in enumerate(paths)]
    pieces = [piece for recording in recordings for piece in batches.add(recording)] + list(batches.flush())
    assert [piece.recording.path for piece in pieces if isinstance(piece, embedding.Piece)] == list(map(str, paths))
    for piece, path in zip(pieces, paths, strict=True):
        assert isinstance(piece, embedding.Piece)
        alone = hear_multiview.get_scene_embeddings(hear_multiview.read(path, model), model)[0].numpy()
        np.testing.assert_allclose(piece.rows.embeddings[0], alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_recording_on_which_the_model_fails_is_out_as_a_whole(
    write: Write, model: Embedder, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The second of three windows of the second recording; in a batch with others it is found."""
    paths = [write(f"{k}.wav", seconds=0.6) for k in range(3)]
    recordings = [reading.open_recording(str(path), str(k), model.sample_rate) for k, path in enumerate(paths)]
    bad = recordings[1].audio[:, model.sample_rate // 5 : 2 * model.sample_rate // 5]

    def scene(audio: torch.Tensor) -> torch.Tensor:
        if any(torch.equal(clip[None], bad) for clip in audio):
            raise ValueError("no such sound")
        return torch.zeros(len(audio), model.scene_embedding_size)

    monkeypatch.setattr(model, "scene", scene)
    batches = embedding._Batches(model, Division("window", 0.2, 0.2))
    batches._size = size
    items = [item for recording in recordings for item in batches.add(recording)] + list(batches.flush())
    told = [item.path if isinstance(item, embedding.Failure) else item.recording.path for item in items]  # type: ignore[union-attr]
    good = [str(paths[0])] * 3, [str(paths[2])] * 3
    (failed,) = (index for index, item in enumerate(items) if isinstance(item, embedding.Failure))
    assert told[failed] == str(paths[1])
    assert told[:3] == good[0]
    assert told[failed + 1 :] == good[1]  # nothing of the second one comes after its failure


def test_folders_are_searched_and_files_taken_as_they_are(mixed: tuple[list[str], list[str]], tmp_path: Path) -> None:
    sound, broken = mixed
    assert sorted(reading.find_recordings(tmp_path)) == sorted(sound + broken)
    text = tmp_path / "mixed" / "notes.txt"
    assert reading.find_recordings([text, sound[0], tmp_path / "mixed", sound[0]])[:2] == [str(text), sound[0]]
    for nothing in ([], [tmp_path / "mixed" / "deep" / "none"]):
        with pytest.raises((ValueError, FileNotFoundError)):
            reading.find_recordings(nothing)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match="bare"):
        reading.find_recordings([tmp_path / "bare"])


def test_broken_recordings_are_named_or_left_out(
    mixed: tuple[list[str], list[str]], tmp_path: Path, model: Embedder, place: str
) -> None:
    sound, broken = mixed
    with pytest.raises(ValueError, match=r"cut\.wav"):
        list(hear_multiview.embed(broken, model))
    failures: dict[str, str] = {}
    rows = list(hear_multiview.embed(tmp_path / "mixed", model, on_error=failures.__setitem__))
    assert [row.path for row in rows] == [path for path in reading.find_recordings(tmp_path / "mixed") if path in sound]
    assert sorted(failures) == broken
    assert all(path in reason for path, reason in failures.items())


def test_a_recording_that_changes_while_it_is_embedded_fails_alone(
    write: Write, model: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_SAMPLES", 0)
    paths = [write(f"{k}.wav", seconds=2) for k in range(3)]
    failures: dict[str, str] = {}
    for options in ({"window": 0.5}, {"frames": True}, {}):
        write("1.wav", seconds=2)
        opened = embedding.open_recording

        def and_change(path: str, *rest: object, opened=opened) -> object:  # type: ignore[no-untyped-def]
            recording = opened(path, *rest)
            if path == str(paths[1]):
                write("1.wav", seconds=1)
            return recording

        monkeypatch.setattr(embedding, "open_recording", and_change)
        rows = hear_multiview.embed(paths, model, on_error=failures.__setitem__, **options)  # type: ignore[arg-type]
        assert {row.path for row in rows} >= {str(paths[0]), str(paths[2])}
        assert set(failures) == {str(paths[1])}
        monkeypatch.undo()
        monkeypatch.setattr(reading, "MAX_SAMPLES", 0)
        failures.clear()


@pytest.mark.parametrize(
    "options",
    [
        *[{"hop": 1.0}, {"window": 0.0}, {"window": 1.0, "hop": -1.0}, {"window": 1.0, "frames": True}],
        *[{"workers": 0}, {"window": 0.005}, {"window": 1.0, "hop": 1e-6}],
    ],
)
def test_options_that_cannot_be_are_refused(write: Write, model: Embedder, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"give|leave"):
        list(hear_multiview.embed(write("x.wav"), model, **options))  # type: ignore[arg-type]


def test_gradients_stay_on_between_the_rows(write: Write, model: Embedder) -> None:
    for options in ({}, {"frames": True}):
        for _ in hear_multiview.embed([write("x.wav"), write("y.wav")], model, **options):  # type: ignore[arg-type]
            assert torch.is_grad_enabled()
