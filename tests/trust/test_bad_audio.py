"""Sound files spoilt in every way, through everything that reads audio. ``make fuzz`` runs this on many more files."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import hear_multiview
import hear_multiview.__main__
import sonyc_tasks.__main__
import training.__main__
from hear_multiview.embedder import Embedder
from hear_multiview.recordings.embed import embed
from hear_multiview.recordings.reading import SUFFIXES, identify, read
from hear_multiview.recordings.table import open_table
from sonyc_tasks.dataset.audio import OVERSHOOT, read_mono
from sonyc_tasks.dataset.check import check
from sonyc_tasks.dataset.duplicates import fingerprint
from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS
from training.data.store import LatentStore

FILES, SEED = int(os.environ.get("FUZZ_FILES", "58")), int(os.environ.get("FUZZ_SEED", "0"))
RATE = 16_000

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory, make_sounds: Callable[[Path, int, int], list[Path]]) -> list[Path]:
    """Read only."""
    files = make_sounds(tmp_path_factory.mktemp("sounds") / "mixed", FILES, SEED)
    print(f"\n{len(files)} files, {len([path for path in files if sound(path)])} of them can be read")
    return files


@pytest.fixture(scope="module", params=[{}, {"view": "frontend", "frontend": "demo"}], ids=["bundled", "codec"])
def model(request: pytest.FixtureRequest) -> Embedder:
    return hear_multiview.load_model(**request.param)


def sound(path: Path) -> bool:
    """Whether a file can be read; if not, the error has to name it."""
    try:
        samples = read_mono(path, RATE)
    except ValueError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert str(path) in refused
        return False
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 2 * OVERSHOOT
    return True


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[[list[Path]], Path]:
    """``dataset(spoilt)``: five sensors with four good clips each, and the files ``spoilt`` as clips of sensor 0."""

    def make(spoilt: list[Path]) -> Path:
        root = tmp_path / "data"
        (root / "audio").mkdir(parents=True)
        names = {f"{sensor}_{number}.wav": sensor for sensor in range(5) for number in range(4)}
        for number, name in enumerate(names):
            noise = np.random.default_rng(number).uniform(-0.5, 0.5, 2000)
            soundfile.write(root / "audio" / name, noise, 8000)
        for path in spoilt:
            (root / "audio" / path.name).symlink_to(path)
            names[path.name] = 0
        with (root / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for number, (name, sensor) in enumerate(names.items()):
                row = dict.fromkeys(COLUMNS, 0) | {f"{COARSE[number % 8]}_presence": 1}
                writer.writerow({**row, "split": "train", "sensor_id": sensor, "audio_filename": name})
        return root

    return make


def written(path: Path) -> bool:
    """Whether a name can be in annotations.csv, and its suffix is one of a data set."""
    return path.name.isascii() and path.suffix.lower() in (".wav", ".flac")


def shown(path: Path) -> str:
    """The name as a message on a terminal has it."""
    return str(path).encode(errors="backslashreplace").decode()


def test_the_files_are_of_every_kind(sounds: list[Path]) -> None:
    assert {path.suffix.lower() for path in sounds} <= SUFFIXES
    readable = sum(map(sound, sounds))
    assert FILES / 5 < readable < FILES * 4 / 5


def test_check_lists_what_cannot_be_read(
    sounds: list[Path], dataset: Callable[[list[Path]], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = dataset([path for path in sounds if written(path)])
    (root / "audio" / "caf\udce9.wav").symlink_to(sounds[0])  # not in annotations.csv
    problems = check(root).problems
    listed = {name for names in problems.values() for several in names for name in several.split(" = ")}
    lost = {path.name for path in sounds if written(path) and not sound(path)}
    assert lost <= listed
    assert not {f"{sensor}_{number}.wav" for sensor in range(5) for number in range(4)} & listed
    assert not set(problems["unreadable"]) - lost
    assert sonyc_tasks.__main__.main(["check", str(root)]) == 1
    assert str(root) in capsys.readouterr().err


def test_latents_and_build_name_the_clip_or_finish(
    sounds: list[Path], dataset: Callable[[list[Path]], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One spoilt file among good ones, each in turn: nothing is half-written, and the good ones keep their numbers."""
    root = dataset([])
    annotations, split = root / "annotations.csv", tmp_path / "split.json"
    lines, kept = annotations.read_text(), set()

    def run(main: Callable[[list[str]], int], name: str, out: str, *options: str) -> int:
        """The exit status of a command on ``root``; if it is not 0, the message has ``name``."""
        command = [*options, "--split", str(split), out, str(tmp_path / name)]
        status, errors = main([command[0], str(root), *command[1:]]), capsys.readouterr().err
        assert status == 0 or name in errors
        return status

    for path in filter(written, sounds):
        (root / "audio" / path.name).symlink_to(path)
        with annotations.open("w", newline="", encoding="utf-8") as file:
            file.write(lines)
            row = {**dict.fromkeys(COLUMNS, 0), "split": "train", "sensor_id": 0, "audio_filename": path.name}
            csv.DictWriter(file, COLUMNS).writerow(row)
        split.write_text('{"train": [0, 1], "valid": [2], "probe": [3, 4]}')
        out = tmp_path / path.name
        if run(training.__main__.main, path.name, "--store", "latents", "--frontend", "log_mel_16k") == 0:
            assert sound(path)
            store = LatentStore(out)
            rendition = store.renditions["original"]
            every = range(len(store.clips))
            frames = [*rendition.read(every, [0] * len(every), rendition.length.tolist())]
            assert np.isfinite(np.concatenate(frames)).all()
            kept.add(frames[[clip.name for clip in store.clips].index("0_0.wav")].tobytes())
        shutil.rmtree(out, ignore_errors=True)
        split.write_text('{"train": [1], "valid": [2], "probe": [0, 3, 4]}')
        status = run(sonyc_tasks.__main__.main, path.name, "--tasks-dir", "build", "--sample-rate", "8000")
        assert sound(path) if status == 0 else not out.exists()
        shutil.rmtree(out, ignore_errors=True)
        (root / "audio" / path.name).unlink()
    assert len(kept) == 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)  # so that a reader gets to its end, where one opens the pipe
    threading.Timer(2, os.close, [held]).start()
    with pytest.raises(ValueError, match=r"pipe\.wav"):
        identify(str(path))
    assert fingerprint(path) == ""
    os.fstat(held)  # still open: nobody has waited


def test_embeddings_are_finite_and_know_no_neighbours(sounds: list[Path], model: Embedder, tmp_path: Path) -> None:
    """Rows are those of the HEAR API for the samples alone, to the bit, and every other file is listed."""
    failed: dict[str, str] = {}
    rows = {row.path: row.embeddings for row in embed(sounds[0].parent, model, on_error=failed.__setitem__)}
    assert failed
    assert all(path in reason for path, reason in failed.items())
    for path in (path for path in sounds if not path.is_dir()):
        assert (str(path) in rows) != (str(path) in failed)
        assert str(path) not in rows or sound(path)
        if str(path) in rows:
            assert np.isfinite(rows[str(path)]).all()
            alone = hear_multiview.get_scene_embeddings(read(path, model), model)
            np.testing.assert_array_equal(rows[str(path)], alone.numpy())


def test_the_command_skips_lists_and_fails(
    sounds: list[Path], tmp_path: Path, python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    command = ["-m", "hear_multiview", "embed", str(sounds[0].parent), "--out", str(tmp_path / "t.npy")]
    skipped = python(*command, "--on-error", "skip")
    assert skipped.returncode == 1
    assert "Traceback" not in skipped.stderr
    table = open_table(tmp_path / "t.npy")
    assert np.isfinite(table.rows(0, len(table))).all()
    for path in (path for path in sounds if not path.is_dir()):
        assert (str(path) in table.paths) != (f"left out: {shown(path)}" in skipped.stderr)
