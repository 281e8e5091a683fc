"""The launcher's checks around real heareval: what it refuses before any work, and what it says of what is there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from sonyc_tasks import heareval as launcher
from sonyc_tasks.launcher.embedding_guard import lone_row
from sonyc_tasks.launcher.embedding_record import DONE, FILE, EmbeddingRecord
from sonyc_tasks.launcher.embedding_record import PROBE_RECORD as PROBES
from sonyc_tasks.launcher.hooks import one_sentence
from sonyc_tasks.launcher.prediction_guard import PROBED, check_finite, probed

RATE, HOP, DIM, CLIPS = 8000, 400, 8, 8
#: Of a clip's tone, in Hz, by its label.
TONES = {"low": 200.0, "high": 1000.0}
SPLITS = ("train", "valid", "test")
QUICK = {"hidden_layers": [1], "hidden_dim": [8], "max_epochs": [30], "check_val_every_n_epoch": [3], "lr": [1e-2]}


class Tones(nn.Module):
    """Levels of the tones of each frame, through a weight that a test may change."""

    waves: torch.Tensor

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.sample_rate = RATE
        time = torch.arange(HOP) / RATE
        waves = [torch.sin(2 * torch.pi * tone * time) for tone in TONES.values()]
        self.register_buffer("waves", torch.stack([*waves, *([torch.zeros(HOP)] * (DIM - len(waves)))], dim=1))
        self.weight = nn.Parameter(torch.tensor(weight))
        self.eval()


def embed(audio: torch.Tensor, model: Tones) -> tuple[torch.Tensor, torch.Tensor]:
    frames = (audio.unfold(1, HOP, HOP) @ model.waves).abs() * model.weight
    times = (torch.arange(frames.shape[1]) + 0.5) * (1000 * HOP / RATE)
    return frames, times.expand(len(audio), -1)


def write_wavs(task: Path, clips: dict[str, dict[str, str]], rate: int = RATE) -> None:
    rng = np.random.default_rng(0)
    for split, labels in clips.items():
        (task / str(rate) / split).mkdir(parents=True)
        for clip, label in labels.items():
            wave = 0.1 * np.sin(2 * np.pi * TONES[label] * np.arange(rate) / rate) + rng.normal(scale=0.01, size=rate)
            soundfile.write(task / str(rate) / split / clip, wave, rate)


def write_task(folder: Path, name: str, *, kind: str = "scene", without: str = "", **metadata: Any) -> Path:
    """A task of `CLIPS` clips of 1 s a split; no clip of valid has the label ``without``."""
    task = folder / name
    task.mkdir(parents=True)
    names = [label for label in TONES if label != without]
    clips = {
        split: {
            f"{split}{n}.wav": (names if split == "valid" else [*TONES])[n % len(names if split == "valid" else TONES)]
            for n in range(CLIPS)
        }
        for split in SPLITS
    }
    content = {
        "task_name": name,
        "embedding_type": kind,
        "prediction_type": "multilabel",
        "split_mode": "trainvaltest",
        "splits": [*SPLITS],
        "sample_duration": 1.0,
        "evaluation": ["mAP"] if kind == "scene" else ["event_onset_200ms_fms"],
        "evaluation_params": {"task_specific_param_grid": QUICK},
        **metadata,
    }
    (task / "task_metadata.json").write_text(json.dumps(content))
    (task / "labelvocabulary.csv").write_text("idx,label\n" + "".join(f"{n},{one}\n" for n, one in enumerate(TONES)))
    for split, labels in clips.items():
        own: dict[str, Any] = {clip: [label] for clip, label in labels.items()}
        if kind == "event":
            own = {clip: [{"label": label, "start": 100.0, "end": 700.0}] for clip, label in labels.items()}
        (task / f"{split}.json").write_text(json.dumps(own))
    write_wavs(task, clips)
    return task


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A HEAR module named ``tones``, to be spoilt by a test; the working directory is empty, but for two tasks."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # which would take seconds to import
    # Nothing is probed in this process, so it need not be changed for good: other tests look at it unchanged.
    for change in ("allow_checkpoint_classes", "let_the_epoch_be_set", "register_jaccard"):
        monkeypatch.setattr(launcher, change, lambda: None)
    made: Any = ModuleType("tones")
    made.load_model = lambda path="", weight=1.0: Tones(weight)
    made.get_timestamp_embeddings = embed
    made.get_scene_embeddings = lambda audio, model: embed(audio, model)[0].mean(1)
    monkeypatch.setitem(sys.modules, "tones", made)
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path / "tasks", "scenes")
    write_task(tmp_path / "tasks", "bursts", kind="event")
    return made


def embeddings(*arguments: str) -> None:
    launcher.main(["embeddings", "tones", *arguments])


def refused(*arguments: str) -> str:
    """The sentence with which embedding is refused, before any work."""
    before = sorted(Path().rglob("*"))
    with pytest.raises(SystemExit) as caught:
        embeddings(*arguments)
    assert sorted(Path().rglob("*")) == before
    message = str(caught.value.code)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_a_second_run_says_what_it_skips(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    embeddings()
    for task in ("scenes", "bursts"):
        record = EmbeddingRecord.read(Path("embeddings/tones") / task)
        assert record is not None
        assert (record.module, record.sample_rate, record.options) == ("tones", RATE, {})
    capsys.readouterr()
    module.get_scene_embeddings = module.get_timestamp_embeddings = None  # it is not needed
    embeddings()
    lines = [line for line in capsys.readouterr().out.splitlines() if "skipped" in line]
    assert [line.partition(":")[0] for line in lines] == ["bursts", "scenes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda module: setattr(module, "load_model", lambda: Tones(2.0)), "weights"),
        (lambda module: setattr(module, "__version__", "2"), "version"),
        (
            lambda module: Path("tasks/scenes/train.json").write_text('{"train0.wav": ["low"], "train1.wav": ["low"]}'),
            "labels",
        ),
        (lambda module: soundfile.write("tasks/scenes/8000/test/test0.wav", np.ones(RATE + 1), RATE), "audio"),
        (lambda module: Path("embeddings/tones/scenes", FILE).write_text("{"), "record"),
    ],
)
def test_embeddings_of_something_else_are_not_taken(module: Any, change: Callable[[Any], object], words: str) -> None:
    embeddings("--task", "scenes")
    change(module)
    message = refused()
    assert words in message
    assert "embeddings/tones/scenes" in message
    assert "bursts" not in message


def test_options_that_heareval_names_alike(module: Any) -> None:
    module.load_model = lambda name: Tones()
    embeddings("--task", "scenes", "--model-options", '{"name": "a b"}')
    assert "options" in refused("--model-options", '{"name": "a-b"}')


def test_stock_embeddings_are_skipped_with_a_warning(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    embeddings("--task", "scenes")
    Path("embeddings/tones/scenes", FILE).unlink()
    module.load_model = lambda: Tones(2.0)
    embeddings("--task", "scenes")
    assert "warning: embeddings/tones/scenes" in capsys.readouterr().err
    Path("tasks/scenes/labelvocabulary.csv").write_text("idx,label\n0,high\n1,low\n")
    assert "labels" in refused("--task", "scenes")


def test_an_unfinished_folder_is_embedded_anew(module: Any) -> None:
    embeddings("--task", "scenes")
    first = Path("embeddings/tones/scenes/test/test0.wav.embedding.npy").read_bytes()
    Path("embeddings/tones/scenes", DONE).unlink()
    module.load_model = lambda: Tones(2.0)
    embeddings("--task", "scenes")
    assert Path("embeddings/tones/scenes/test/test0.wav.embedding.npy").read_bytes() != first


def test_a_rate_that_a_task_lacks(module: Any) -> None:
    shutil.move("tasks/scenes/8000", "tasks/scenes/16000")
    message = refused()
    for word in ("tasks/scenes", "16000 Hz", "8000 Hz", "--sample-rate 8000 16000"):
        assert word in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: Path("tasks/.DS_Store").write_text(""), ".DS_Store"),
        (lambda: Path("tasks/scenes/test.json").unlink(), "test.json"),
        (lambda: Path("tasks/scenes/8000/test/test0.wav").unlink(), "test0.wav"),
        (lambda: shutil.rmtree("tasks"), "tasks"),
    ],
)
def test_what_a_task_lacks(module: Any, change: Callable[[], object], words: str) -> None:
    change()
    assert words in refused()


def test_wrong_arguments(module: Any) -> None:
    assert "bursts, scenes" in refused("--task", "nope")
    for options in ("{", "[]"):
        assert "--model-options" in refused("--model-options", options)


def test_times_in_seconds_matter_to_event_tasks_alone(module: Any) -> None:
    def in_seconds(audio: torch.Tensor, model: Tones) -> tuple[torch.Tensor, torch.Tensor]:
        frames, times = embed(audio, model)
        return frames, times / 1000

    module.get_timestamp_embeddings = in_seconds
    assert "seconds" in refused()
    embeddings("--task", "scenes")


def test_a_clip_that_the_module_cannot_take(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def limited(audio: torch.Tensor, model: Tones) -> torch.Tensor:
        if audio.shape[1] == RATE:
            raise RuntimeError("the size of tensor a must match")
        return embed(audio, model)[0].mean(1)

    module.get_scene_embeddings = limited
    with pytest.raises(SystemExit, match=r"^error: module tones .*train0\.wav.*1 s.*the size of tensor a must match"):
        embeddings("--task", "scenes")
    assert "RuntimeError" in capsys.readouterr().err
    assert not Path("embeddings/tones/scenes", DONE).exists()


def test_a_clip_whose_embedding_is_not_finite(module: Any) -> None:
    wave = soundfile.read("tasks/scenes/8000/valid/valid3.wav")[0]
    soundfile.write("tasks/scenes/8000/valid/valid3.wav", np.zeros_like(wave), RATE)
    module.get_scene_embeddings = lambda audio, model: embed(audio, model)[0].mean(1).log()[:, : len(TONES)]
    with pytest.raises(SystemExit, match=r"^error: .*finite.*valid3\.wav"):
        embeddings("--task", "scenes")


def test_audio_of_another_rate_than_its_folder(module: Any) -> None:
    soundfile.write("tasks/scenes/8000/test/test5.wav", np.zeros(RATE), 2 * RATE)
    with pytest.raises(SystemExit, match=r"^error: .*test5\.wav.*sonyc_tasks validate tasks/scenes"):
        embeddings("--task", "scenes")


def test_a_single_clip_in_the_last_batch(module: Any) -> None:
    path = Path("tasks/scenes/task_metadata.json")
    metadata = json.loads(path.read_text())
    grid = metadata["evaluation_params"]["task_specific_param_grid"]
    grid["batch_size"] = [CLIPS - 1]
    path.write_text(json.dumps(metadata))
    message = refused()
    assert "tasks/scenes" in message
    assert f"{CLIPS} clips" in message
    grid["hidden_layers"] = [0]  # has no BatchNorm
    assert lone_row(metadata, dict.fromkeys(SPLITS, CLIPS)) == ""


def test_a_single_frame_in_the_last_batch(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("tasks/bursts/task_metadata.json")
    metadata = json.loads(path.read_text())
    frames = CLIPS * RATE // HOP
    metadata["evaluation_params"]["task_specific_param_grid"]["batch_size"] = [frames - 1]
    path.write_text(json.dumps(metadata))
    embeddings("--task", "bursts")
    assert f"{frames} frames" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=rf"^error: embeddings/tones/bursts.*\b{frames} frames"):
        launcher.main(["predictions", "embeddings/tones/bursts"])


def test_embeddings_that_cannot_be_probed(module: Any) -> None:
    embeddings("--task", "scenes")
    folder = Path("embeddings/tones/scenes")
    values = np.memmap(folder / "valid.embeddings.npy", np.float32, "r+", shape=(CLIPS, DIM))
    check_finite(folder, "valid")
    values[3, 1] = np.nan
    values[5] = np.inf
    values.flush()
    with pytest.raises(SystemExit, match=rf"^error: .*valid\.embeddings\.npy.* 2 of {CLIPS}"):
        launcher.main(["predictions", "--in-memory", "False", str(folder)])
    (folder / "valid.embeddings.npy").write_bytes(bytes(4 * CLIPS * DIM - 4))
    with pytest.raises(SystemExit, match=r"^error: .*valid\.embeddings\.npy"):
        launcher.main(["predictions", str(folder)])
    (folder / DONE).unlink()
    with pytest.raises(SystemExit, match=r"^error: .*scenes"):
        launcher.main(["predictions", str(folder)])
    assert not (folder / PROBED).exists()


@pytest.mark.parametrize("content", ["{}", '{"format": 1}', "[]", "{", '"format"'])
def test_a_broken_record_of_probes_is_named(content: str, tmp_path: Path) -> None:
    assert not probed(tmp_path)
    (tmp_path / PROBED).write_text("{}")
    assert probed(tmp_path)  # heareval's own, which has no record
    (tmp_path / PROBES).write_text(content)
    with pytest.raises(ValueError, match=PROBES):
        probed(tmp_path)


@pytest.mark.slow
def test_probes(module: Any, tmp_path: Path) -> None:
    """Stopped ones are named and make the exit status 1, also when they are skipped; others are skipped aloud."""
    shutil.rmtree("tasks")
    write_task(Path("tasks"), "fine")
    write_task(Path("tasks"), "absent", without="high", evaluation=["d_prime", "mAP"])
    write_task(Path("tasks"), "easy", evaluation=["d_prime", "mAP"])
    write_task(Path("tasks"), "silent", kind="event", use_scoring_for_early_stopping=True)
    for split in SPLITS:
        path = Path("tasks/silent", f"{split}.json")
        path.write_text(json.dumps({clip: [] for clip in json.loads(path.read_text())}))
    embeddings()

    def predictions(*tasks: str, options: tuple[str, ...] = ("--grid-points", "2")) -> tuple[int, str, str]:
        folders = [f"embeddings/tones/{task}" for task in tasks]
        own = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [sys.executable, "-m", "sonyc_tasks.heareval", "predictions", *folders, *options],
            env=own,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    calls = ("absent", "+", "embeddings/tones/easy")
    stopped = ("absent", "easy", "silent")
    code, _, err = predictions(*stopped, "fine")
    assert code == 1, err[-3000:]
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    for task in stopped:
        assert f"embeddings/tones/{task} " in last
        assert f"warning: embeddings/tones/{task}: " in err
        assert Path("embeddings/tones", task, PROBED).exists()
    assert "tones/fine" not in last
    code, out, err = predictions("fine")
    assert (code, out.count("skipped")) == (0, 1), err[-3000:]
    code, out, err = predictions(*calls[:1], "fine")
    assert (code, out.count("skipped")) == (1, 2)
    assert "embeddings/tones/absent" in err.splitlines()[-1]
    for options, words in (
        (("--grid-points", "1"), "--grid-points"),
        (("--grid-points", "2", "--grid", "fast"), "--grid"),
    ):
        code, _, err = predictions("fine", options=options)
        assert code == 1
        assert words in err.splitlines()[-1]
        assert "embeddings/tones/fine" in err.splitlines()[-1]
    record = EmbeddingRecord.read("embeddings/tones/fine")
    assert record is not None
    shutil.copy(Path("embeddings/tones/easy", FILE), Path("embeddings/tones/fine", FILE))
    code, _, err = predictions("fine")
    assert code == 1
    assert "the embeddings" in err.splitlines()[-1]


def test_a_full_disk_ends_the_launcher_with_one_sentence() -> None:
    with pytest.raises(SystemExit, match=r"x\.json.*; ") as caught, one_sentence():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.json")
    assert "\n" not in str(caught.value)
