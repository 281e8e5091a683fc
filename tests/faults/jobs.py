"""What is killed: every command that takes long, at a size of seconds."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch

import hear_multiview
from hear_multiview.frame_cache import VARIABLE
from hear_multiview.frontends import load_frontend
from hear_multiview.recordings.embed import Division
from hear_multiview.recordings.embed_table import embed_table
from hear_multiview.recordings.table import open_table
from sonyc_tasks import heareval
from sonyc_tasks.dataset.annotations import read_clips
from sonyc_tasks.dataset.audio import read_mono
from sonyc_tasks.dataset.download import zenodo
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.synthesis import synthesize
from sonyc_tasks.tasks.sonyc import build
from tests.faults.killing import Job
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.recipes import recipe_named
from training.systems.multiview.data import extract_sensors
from training.systems.music import experiment as music
from training.systems.music import sounds

#: Sensors of the generated data.
SPLIT = SensorSplit(train=(0, 1, 2), valid=(3,), probe=(4, 5, 6, 7))
MODULE = "hear_multiview.references.random_projection"
_TINY_ENCODER = {"channels": [4, 4, 4, 8], "strides": [2, 2, 2, 1], "latent": 16, "projection": 16}


def warm_up() -> None:
    """Import and compile what the jobs need, so that their time is work; without a thread, which no fork would have."""
    for model in (hear_multiview.load_model(), hear_multiview.load_model(view="frontend", frontend="demo")):
        hear_multiview.get_scene_embeddings(torch.zeros(1, 44_100), model)


def prepare(given: Path) -> None:
    """Make what the jobs start from: a data set, an archive of it, tasks, latents, embeddings."""
    data = synthesize(given / "data", sensors=8, clips_per_sensor=12, seconds=1.0, seed=7, workers=1, progress=False)
    build(data, given / "tasks", sample_rate=16_000, split=SPLIT)
    _latents(given, given)


def _synthesize(folder: Path, given: Path) -> None:
    out = folder / "data"
    try:
        synthesize(out, sensors=3, clips_per_sensor=3, seconds=0.5, seed=3, workers=1, progress=False)
    except ValueError:  # there is one, which has to be whole
        if not (out / "README.txt").exists():
            raise


def _build(folder: Path, given: Path) -> None:
    build(given / "data", folder / "tasks", sample_rate=(16_000, 44_100), split=SPLIT)


def _rebuild(folder: Path, given: Path) -> None:
    """Another build in the place of the first: which is always there, whole."""
    build(given / "data", folder / "tasks", sample_rate=16_000, split=SPLIT, seed=0)
    build(given / "data", folder / "tasks", sample_rate=16_000, split=SPLIT, seed=1)


def _latents(folder: Path, given: Path) -> None:
    clips = read_clips(given / "data")
    extract_sensors(clips, SPLIT, load_frontend("log_mel"), folder / "latents", data="generated")


def _pretrain(folder: Path, given: Path) -> None:
    recipe = replace(recipe_named("demo"), epochs=3, batch_size=8)
    pretrain(recipe, LatentStore(given / "latents"), folder / "runs")


def _embed(folder: Path, given: Path, suffix: str) -> None:
    """A table of some recordings, then with more: what it held before is never lost."""
    files = sorted((given / "data" / "audio").iterdir())[:8]
    out = folder / f"table{suffix}"
    more = out.exists() and len(set(open_table(out).paths)) >= 4
    for count in (8,) if more else (4, 8):
        embed_table(files[:count], out, division=Division("window", 0.5, 0.5), workers=1)


def _cache(folder: Path, given: Path) -> None:
    os.environ[VARIABLE] = str(folder / "frames")
    model = hear_multiview.load_model(view="frontend", frontend="demo")
    for path in sorted((given / "data" / "audio").iterdir())[:10]:
        hear_multiview.get_scene_embeddings(torch.from_numpy(read_mono(path, model.sample_rate))[None], model)


def _download(folder: Path, given: Path, address: str) -> None:
    with patch.object(zenodo, "_require_space"):
        zenodo.download(folder / "data", record=address)


def _sounds(folder: Path, given: Path) -> None:
    sounds.generate(folder / "sounds", 60, 5)


def _launcher(folder: Path, given: Path) -> None:
    """heareval's two commands, as the launcher runs them, without TensorFlow."""
    with ExitStack() as stack:
        stack.enter_context(patch.dict("sys.modules", {"tensorflow": None}))
        heareval.main(["embeddings", MODULE, "--tasks-dir", str(given / "tasks")])
        embedded = sorted(str(path) for path in (folder / "embeddings" / MODULE).iterdir())
        heareval.main(["predictions", *embedded, "--grid", "faster", "--grid-points", "1"])


def _music(folder: Path, given: Path) -> None:
    size = music.Scale(sounds=2 * 84, probe_sounds=5 * 84, seeds=1, epochs=2, batch_size=64)
    kept = {term: rows[:2] for term, rows in music.ABLATION.items()}
    with patch.dict(music.SCALES, {"small": size}), patch.object(music, "ABLATION", kept):
        music.music(folder, "small", workers=2)


def _paper(folder: Path, given: Path) -> None:
    from training.systems.multiview import experiment
    from training.systems.multiview.recipes import BEST

    scale = experiment.Scale(lambda recipe: replace(recipe_named("demo"), name=recipe.name, epochs=2), "demo")
    with ExitStack() as stack:
        stack.enter_context(patch.dict(experiment.SCALES, {"small": scale}))
        stack.enter_context(patch.object(experiment, "ABLATION", (BEST,)))
        stack.enter_context(patch.object(experiment, "BASELINES", ()))
        stack.enter_context(
            patch.object(experiment, "DATA", {"sensors": 8, "clips_per_sensor": 24, "seconds": 0.5, "seed": 7})
        )
        stack.enter_context(patch.object(experiment, "SENSORS", {"train": 3, "valid": 1, "probe": 4}))
        experiment.paper(folder, seeds=1, workers=1)


def _sampling(folder: Path, given: Path) -> None:
    from training.systems.sampling import experiment

    size = experiment.Scale(
        data={"sensors": 4, "clips_per_sensor": 20, "seconds": 1.0, "seed": 1},
        sensors={"train": 1, "valid": 1, "probe": 2},
        rounds={"tags": 3, "events": 3, "pitch": 3},
        seeds=1,
        epochs=1,
    )
    row = replace(recipe_named("sampling_clip"), model=_TINY_ENCODER, crop=30)
    with patch.dict(experiment.SCALES, {"small": size}):
        experiment.sampling(folder, workers=1, recipes=[row])


def _separated(folder: Path, given: Path) -> None:
    from training.systems.separated import experiment
    from training.systems.separated import training as separator
    from training.systems.separated.training import SeparatorConfig

    network = {"n_fft": 256, "channels": [4, 6], "width": 16, "stacks": 1, "layers": 2}
    size = experiment.Scale(
        data={"sensors": 4, "clips_per_sensor": 20, "seconds": 1.0, "seed": 1},
        sensors={"train": 1, "valid": 1, "probe": 2},
        rounds=3,
        separator=SeparatorConfig(steps=16, takes=1, batch=2, seconds=0.25, network=network),
        judged=4,
        seeds=1,
        epochs=1,
    )
    row = replace(recipe_named("separated_late"), model={**_TINY_ENCODER, "width": 16})
    with ExitStack() as stack:
        stack.enter_context(patch.dict(experiment.SCALES, {"small": size}))
        stack.enter_context(patch.multiple(separator, HELD_OUT_TAKES=1, VALIDATION=2))
        stack.enter_context(patch.object(experiment, "JUDGED_TAKES", 1))
        experiment.separated(folder, workers=1, recipes=[row])


def jobs(address: str) -> list[Job]:
    """All jobs; the archive of `download` is served at ``address``."""
    of_heareval = r"^(small/)?(seed\d/)?(embeddings|logs)/|lightning|^logs"
    # What heareval writes besides its embeddings has times in it, and pages and figures have random names.
    results = (
        r"logs|lightning|prediction-done|prediction\.log|profile\.embeddings|/\.done|page\.html|overview|"
        r"\.(png|svg|pdf)$"
    )
    found: list[Job] = [
        Job("synthesize", _synthesize),
        Job("download", partial(_download, address=address)),
        Job("build", _build),
        Job("build again", _rebuild),
        Job("latents", _latents),
        Job("pretrain", _pretrain),
        Job("frame cache", _cache),
        Job("sounds", _sounds),
        *(Job(f"embed {suffix}", partial(_embed, suffix=suffix)) for suffix in (".parquet", ".npy", ".zarr")),
        Job("launcher", _launcher, volatile=results, foreign=of_heareval, cheap=False),
        *(
            Job(name, run, volatile=results, foreign=of_heareval, cheap=False)
            for name, run in (("music", _music), ("sampling", _sampling), ("separated", _separated), ("paper", _paper))
        ),
    ]
    return found
