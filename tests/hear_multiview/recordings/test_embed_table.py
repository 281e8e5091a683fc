"""`python -m hear_multiview embed`: tables grow, resume to the same bytes, and are not mixed."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tqdm import tqdm

import hear_multiview
from hear_multiview.__main__ import main
from hear_multiview.recordings import embed_table as command
from hear_multiview.recordings.embed import Division
from hear_multiview.recordings.embed_table import Summary, embed_table
from hear_multiview.recordings.parts import Parts
from hear_multiview.recordings.reading import find_recordings
from hear_multiview.recordings.table import Rows, companions, open_table
from tests.hear_multiview.codec_checkpoint import saved_checkpoint
from tests.hear_multiview.recordings.conftest import Write

WINDOWS = Division("window", 0.2, 0.1)
#: Embeds a folder, and is killed when the rows of recording ``count`` are written but not yet said to be done; with a
#: count of 0 it ends, and prints how many recordings were done before and now.
EMBED = """
import os, signal, sys
from pathlib import Path
from hear_multiview.recordings import parts
from hear_multiview.recordings.embed import Division
from hear_multiview.recordings.embed_table import embed_table
folder, out, count = sys.argv[1:]
finish, seen = parts.Parts.finish, []
def or_die(self, sha256):
    seen.append(sha256)
    if len(seen) == int(count):
        self._rows.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    finish(self, sha256)
parts.Parts.finish = or_die
summary = embed_table([folder], Path(out), division=Division("window", 0.2, 0.1))
print(summary.kept, summary.embedded)
"""


def environment() -> dict[str, str]:
    """For processes whose rows are compared to the bit: the last ones depend on the number of threads."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=300)


def rows_of(path: Path) -> dict[str, np.ndarray]:
    """The embeddings of each recording in a table, by the name of its file."""
    table = open_table(path)
    every = table.rows(0, len(table))
    return {Path(name).name: every[[p == name for p in table.paths]] for name in dict.fromkeys(table.paths)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "tables" / "embeddings.npy"


@pytest.mark.parametrize("suffix", [".parquet", ".npy", ".zarr"])
def test_every_format_holds_the_rows_of_the_api(
    write: Write, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    paths = [write("f/x.wav", 48_000, 2), write("f/y.flac", 8000, 1, 0.3)]
    out = tmp_path / f"e{suffix}"
    assert main(["embed", str(tmp_path / "f"), "--out", str(out), "--view", "private"]) == 0
    assert str(out) in capsys.readouterr().out
    table, model = open_table(out), hear_multiview.load_model(view="private")
    assert table.paths == list(map(str, paths))
    assert table.end.tolist() == [0.5, 0.3]
    for index, path in enumerate(paths):
        expected = hear_multiview.get_scene_embeddings(hear_multiview.read(path, model), model)[0]
        np.testing.assert_array_equal(table.row(index), expected.numpy())
    said: dict[str, Any] = {"view": "private", "kind": "file", "precision": "fp32", "model": ""}
    said |= {"sample_rate": model.sample_rate, "dim": model.scene_embedding_size}
    assert {name: table.metadata[name] for name in said} == said
    assert table.metadata["frontend_sha256"] == model.frontend.digest
    assert len(table.metadata["checkpoint_sha256"]) == 64
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("count", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_killed_run_continues_to_the_same_bytes(write: Write, tmp_path: Path, count: int) -> None:
    for k in range(6):
        write(f"f/{k}.wav", seconds=0.5)
    folder, whole, killed = tmp_path / "f", tmp_path / "whole.npy", tmp_path / "killed.npy"
    assert run(EMBED, folder, whole, 0).stdout == "0 6\n"
    done = run(EMBED, folder, killed, count)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not killed.exists()
    assert run(EMBED, folder, killed, 0).stdout == f"{count - 1} {7 - count}\n"
    for suffix in (".npy", ".csv"):
        assert killed.with_suffix(suffix).read_bytes() == whole.with_suffix(suffix).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["f", *(f"{name}{suffix}" for name in ("whole", "killed") for suffix in (".npy", ".csv", ".json"))]
    )


def test_content_decides_what_is_done(write: Write, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(f"f/{name}.wav", seconds=0.2) for name in "abc"]
    assert embed_table([tmp_path / "f"], out) == Summary(3, 0, {}, 3)
    before, written = rows_of(out), out.stat().st_mtime_ns
    os.utime(paths[0], (1, 1))
    assert embed_table([tmp_path / "f"], out) == Summary(0, 3, {}, 3)
    assert out.stat().st_mtime_ns == written  # nothing new, nothing written
    paths[0].rename(tmp_path / "f" / "d.wav")  # another name, content that is known
    write("f/b.wav", seconds=0.3)  # and the other way round
    os.utime(paths[1], ns=(paths[2].stat().st_atime_ns, paths[2].stat().st_mtime_ns))
    assert embed_table([tmp_path / "f"], out) == Summary(1, 2, {}, 4)
    after = rows_of(out)
    assert list(after) == ["a.wav", "b.wav", "c.wav", "d.wav"]  # what is not listed stays
    np.testing.assert_array_equal(after["d.wav"], before["a.wav"])
    np.testing.assert_array_equal(after["c.wav"], before["c.wav"])
    assert not np.array_equal(after["b.wav"], before["b.wav"])


def test_broken_recordings_stop_the_run_or_are_listed(
    mixed: tuple[list[str], list[str]], out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, broken = mixed
    arguments = ["embed", str(tmp_path / "mixed"), "--out", str(out)]
    assert main(arguments) == 1
    first = next(path for path in find_recordings([tmp_path / "mixed"]) if path in broken)
    error = capsys.readouterr().err
    assert first in error
    assert "--on-error skip" in error
    assert error.count("\n") == 1
    assert not out.exists()
    assert main([*arguments, "--on-error", "skip"]) == 1
    error = capsys.readouterr().err
    assert all(path in error for path in broken)
    assert not any(path in error for path in sound)
    assert sorted(open_table(out).paths) == sound


@pytest.mark.parametrize(
    "change", [{"view": "private"}, {"division": WINDOWS}, {"precision": "bf16"}, {"model": "checkpoint.safetensors"}]
)
def test_rows_made_in_different_ways_are_not_mixed(
    write: Write, out: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = write("x.wav", seconds=0.2)
    made: dict[str, Any] = {"model": str(saved_checkpoint(tmp_path))} if "precision" in change else {}
    embed_table([path], out, **made)
    if "model" in change:
        from hear_multiview import checkpoint
        from hear_multiview.api import BUNDLED

        saved = checkpoint.load(BUNDLED)
        change = {"model": str(tmp_path / change["model"])}
        checkpoint.save(Path(change["model"]), saved.tensors, {**saved.card, "seed": 1})
    kept = out.read_bytes()
    with pytest.raises(ValueError, match=out.name):
        embed_table([path], out, **{**made, **change})
    assert out.read_bytes() == kept
    other = out.with_name("other.npy")
    (tmp_path / "broken.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"broken\.wav"):
        embed_table([path, tmp_path / "broken.wav"], other, **made)
    with pytest.raises(ValueError, match=other.name):  # of a run that is not finished
        embed_table([path], other, **{**made, **change})


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_files_beside_a_table_that_are_not_its_own_are_not_overwritten(
    write: Write, tmp_path: Path, suffix: str
) -> None:
    (mine := tmp_path / f"sensors{suffix}").write_text("mine")
    with pytest.raises(ValueError, match=mine.name):
        embed_table([write("x.wav")], tmp_path / "sensors.npy")
    assert mine.read_text() == "mine"


def test_a_run_in_which_nothing_was_done_leaves_nothing(write: Write, out: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"")
    for paths, division in (([tmp_path / "broken.wav"], None), ([write("x.wav")], Division("window", 1e-3, 1e-3))):
        with pytest.raises(ValueError, match=r"broken\.wav|0\.001"):
            embed_table(paths, out, division=division)
        assert not out.parent.exists()


def test_a_missing_path_and_an_unknown_suffix_are_said_before_anything_is_done(
    write: Write, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_model", None)  # would fail if it were called
    for paths, table, named in (
        ([tmp_path / "none"], out, "none"),
        ([write("x.wav")], tmp_path / "e.xlsx", "e.xlsx"),
    ):
        assert main(["embed", *map(str, paths), "--out", str(table)]) == 1
        assert named in capsys.readouterr().err


def test_parts_that_are_damaged_are_not_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {
        f"{k:064x}": Rows("x", f"{k:064x}", rng.random(5), rng.random(5), rng.random((5, 3)).astype(np.float32))
        for k in range(4)
    }
    with Parts(tmp_path / "p", 3, {"view": "joint"}) as parts:
        for sha256, some in rows.items():
            parts.append(some)
            parts.finish(sha256)
        parts.append(rows[f"{0:064x}"])
        parts.drop()
        parts.append(rows[f"{1:064x}"])
        parts.finish(f"{9:064x}")
    (file,) = (tmp_path / "p").glob("*.rows")
    (index,) = (tmp_path / "p").glob("*.jsonl")
    content = bytearray(file.read_bytes())
    content[30] ^= 1  # in the rows of the first
    file.write_bytes(content)
    index.write_text(index.read_text() + '{"sha256": "cut sh')
    again = Parts(tmp_path / "p", 3, {"view": "joint"})
    assert sorted(again.done) == [f"{k:064x}" for k in (1, 2, 3, 9)]
    for sha256, other in ((f"{2:064x}", 2), (f"{9:064x}", 1)):
        (found,) = again.rows("y", sha256)
        assert found.path == "y"
        for name in ("start", "end", "embeddings"):
            np.testing.assert_array_equal(getattr(found, name), getattr(rows[f"{other:064x}"], name))


def test_progress_reaches_its_end_in_seconds_of_audio(
    mixed: tuple[list[str], list[str]], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Any] = []

    def shown(**options: Any) -> Any:
        bars.append(tqdm(**{**options, "disable": False, "file": io.StringIO()}))
        return bars[-1]

    monkeypatch.setattr(command, "tqdm", shown)
    sound, _ = mixed
    seconds = sum(soundfile.info(path).duration for path in sound)
    for division in (Division(), WINDOWS, Division("frame")):
        embed_table([tmp_path / "mixed"], out.with_stem(division.kind), division=division, skip_errors=True)
        assert bars[-1].n == pytest.approx(seconds, rel=1e-3)
        assert bars[-1].total == pytest.approx(seconds, rel=1e-3)
        embed_table([tmp_path / "mixed"], out.with_stem(division.kind), division=division, skip_errors=True)
        assert bars[-1].n == 0
        assert bars[-1].total == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_two_processes_share_the_work(write: Write, tmp_path: Path) -> None:
    for k in range(5):
        write(f"f/{k}.wav", seconds=0.5)
    (tmp_path / "f" / "broken.wav").write_bytes(b"")
    code = "import sys; from hear_multiview.__main__ import main; sys.exit(main())"
    options = ["--window", "0.2", "--hop", "0.1", "--on-error", "skip", "--out"]
    alone = run(code, "embed", tmp_path / "f", *options, tmp_path / "alone.npy")
    assert alone.returncode == 1, alone.stderr
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port = str(some.getsockname()[1])
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, "embed", tmp_path / "f", *options, tmp_path / "shared.npy"],
            env={
                **environment(),
                **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"},
                **{"RANK": str(rank), "LOCAL_RANK": str(rank)},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=240) for process in running]
    assert [process.returncode for process in running] == [1, 0], said  # the first one tells what is broken
    assert "broken.wav" in said[0][1]
    assert said[1] == ("", "")
    for suffix in (".npy", ".csv"):
        assert (tmp_path / f"shared{suffix}").read_bytes() == (tmp_path / f"alone{suffix}").read_bytes()
    assert len(set(open_table(tmp_path / "shared.npy").paths)) == 5


def test_what_a_killed_process_left_is_removed_where_nothing_is_left_to_do(write: Write, out: Path) -> None:
    embed_table([write("x.wav")], out, division=WINDOWS)
    (left := out.with_name(f".{out.name}-in-progress-abcdefgh")).mkdir()
    (left / "lock").touch()
    assert embed_table([write("x.wav")], out, division=WINDOWS).embedded == 0
    assert not left.exists()


def test_two_at_once_embed_each_recording_once(write: Write, out: Path) -> None:
    files = [write(f"{k}.wav") for k in range(3)]
    found: list[Summary] = []
    both = [threading.Thread(target=lambda: found.append(embed_table(files, out, division=WINDOWS))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(summary.embedded for summary in found) == [0, len({Path(file).read_bytes() for file in files})]
    assert sorted(out.parent.iterdir()) == sorted(companions(out))


def test_a_run_that_is_killed_when_it_deletes_its_parts_continues(
    write: Write, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done must never lie there without the settings that it was done with."""
    files = [write("x.wav"), write("y.wav")]
    removed: list[str] = []
    remove = shutil.rmtree

    def killed(folder: Path, **options: Any) -> None:
        if folder.suffix != ".parts":
            return remove(folder, **options)
        removed.extend(path.name for path in folder.iterdir())
        (folder / "settings.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            embed_table(files, out, division=WINDOWS)
    assert removed
    assert not [name for name in removed if name.endswith(".jsonl")]
    assert embed_table(files, out, division=WINDOWS).embedded == 0
    assert shutil.rmtree is remove
    assert sorted(out.parent.iterdir()) == sorted(companions(out))
