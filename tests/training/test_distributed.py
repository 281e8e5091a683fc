"""Two processes do what one does: the losses of a run, the latents of a store; and what a launch may not be."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hear_multiview import checkpoint
from sonyc_tasks.synthesis import synthesize
from training import distributed
from training.__main__ import main
from training.data.arrays import LENGTHS
from training.data.batches import batches, draw_examples
from training.data.records import ORIGINAL, Clip, Partition
from training.data.store import LatentStore
from training.distributed import WHOLE, BatchShard
from training.engine.pretrain import pretrain, run_folder
from training.recipes import Recipe, recipe_named

ROOT = Path(__file__).parents[2]
Make = Callable[..., LatentStore]
needs_accelerate = pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="needs accelerate")


def like(name: str, **changes: Any) -> Recipe:
    """The recipe ``name``, small. The last batch of 45 pairs, and of 15, is odd or one pair."""
    recipe = recipe_named(name)
    model = {**recipe.model, "width": 16, "depth": 1, **changes.pop("model", {})}
    return replace(recipe, model=model, epochs=3, **{"batch_size": 8, "crop": 6, **changes})


#: Every term that holds each pair against all others, one with draws, one that validates on clips.
RUNS = [
    like("multiview_cosine_shared_batch"),
    like("multiview_cosine_private_batch"),
    like("contrastive"),
    like("multiview_mask_0.4"),
    like("multiview_mask_0.8", batch_size=4),
    like("supervised_sensor"),
    like("music", views="same_group", validation="groups", examples_per_clip=3, model={"latent": 4}, crop=2),
]
#: Trains recipes in a process of a launch. With a number of epochs, the main process dies after so many.
PRETRAIN = """
import json
import logging
import sys
from pathlib import Path

from training import distributed
from training.data.store import LatentStore
from training.engine.pretrain import pretrain
from training.engine.run_folder import RunFolder
from training.recipes import Recipe

recipes, store, runs = map(Path, sys.argv[1:4])
dies_after = int(sys.argv[4])
assert distributed.init("cpu") == "cpu"
assert distributed.world_size() == 2
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
logging.getLogger("training").setLevel(logging.INFO if distributed.is_main() else logging.ERROR)
write = RunFolder.write_state


def writes_and_dies(folder, state):
    write(folder, state)
    if state["epochs"] == dies_after:
        raise SystemExit(3)


RunFolder.write_state = writes_and_dies
for recipe in json.loads(recipes.read_text()):
    pretrain(Recipe(**recipe), LatentStore(store), runs)
logging.getLogger("training").info("said once")
"""
#: `training latents` in a process of a launch, which notes every clip that it writes, and dies after so many.
LATENTS = """
import os
import sys
from pathlib import Path

from training.__main__ import main
from training.data import arrays
from training.data.arrays import FrameArrays

arrays.LENGTHS = 8
notes, dies_after, *arguments = sys.argv[1:]
process, write, written = os.environ["RANK"], FrameArrays.write, []


def writes_and_notes(arrays, index, frames):
    write(arrays, index, frames)
    written.append(index)
    with (Path(notes) / process).open("a") as file:
        print(index, file=file)
    if len(written) == int(dies_after):
        os._exit(3)


FrameArrays.write = writes_and_notes
sys.exit(main(["latents", *arguments]))
"""


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`accelerate launch` of two processes on the CPU."""
    options = "--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *options.split(), "--main_process_port", "0"]
        + [str(argument) for argument in arguments],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, make_store: Make) -> LatentStore:
    """20 clips of 4 sensors, from 8 to 11 frames of 8 dimensions."""
    clips = [
        Clip(f"{sensor:02d}_{k:06d}.wav", sensor, {"source": ("dog",)[: k % 2]})
        for sensor in range(4)
        for k in range(5)
    ]
    frames = [np.random.default_rng(index).normal(size=(8 + index % 4, 8)) for index in range(20)]
    return make_store(
        tmp_path_factory.mktemp("store") / "s", clips, frames, Partition((0, 1, 2), (3,)), labels={"source": ("dog",)}
    )


@pytest.mark.slow
@needs_accelerate
def test_two_processes_train_as_one_even_if_interrupted(store: LatentStore, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PRETRAIN)
    recipes, runs = tmp_path / "recipes.json", tmp_path / "together"
    recipes.write_text(json.dumps([recipe.as_dict() for recipe in RUNS]))
    died = launch(script, recipes, store.path, runs, 2)
    assert died.returncode != 0, died.stdout
    assert (run_folder(runs, RUNS[0], 0) / "state.pt").exists(), died.stderr[-3000:]
    ended = launch(script, recipes, store.path, runs, 0)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout == "said once\n"
    for recipe in RUNS:
        alone = pretrain(recipe, store, tmp_path / "alone")
        folder = run_folder(runs, recipe, 0)
        assert {path.name for path in folder.iterdir()} == {path.name for path in alone.checkpoint.parent.iterdir()}
        history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        for ours, expected in zip(history, alone.history, strict=True):
            for part in ("train", "valid"):  # total correlation is a small difference of large numbers
                assert ours[part] == pytest.approx(expected[part], rel=1e-3, abs=1e-4), recipe.name
        # All weights as one vector. A single one may go the other way: where a gradient is as small as its rounding,
        # AdamW's first step has the size of the learning rate and the sign of the rounding.
        one, two = (
            torch.cat([tensor.flatten() for _, tensor in sorted(checkpoint.load(path).tensors.items())])
            for path in (alone.checkpoint, folder / "checkpoint.safetensors")
        )
        assert (two - one).norm() <= 1e-3 * one.norm(), recipe.name


@pytest.mark.slow
@needs_accelerate
@pytest.mark.usefixtures("one_thread")
def test_two_processes_fill_one_store_even_if_interrupted(
    tmp_path: Path, read_whole: Callable[..., torch.Tensor]
) -> None:
    data = synthesize(tmp_path / "data", sensors=4, clips_per_sensor=10, seconds=0.2, seed=1, workers=1, progress=False)
    (tmp_path / "split.json").write_text(json.dumps({"train": [0, 1], "valid": [2], "probe": [3]}))
    common = [str(data), "--split", str(tmp_path / "split.json"), "--store"]
    assert main(["latents", *common, str(tmp_path / "alone")]) == 0
    script = tmp_path / "script.py"
    script.write_text(LATENTS)
    notes = [tmp_path / "notes1", tmp_path / "notes2"]
    for folder in notes:
        folder.mkdir()
    assert launch(script, notes[0], 5, *common, tmp_path / "together").returncode != 0
    left = LatentStore(tmp_path / "together").renditions[ORIGINAL].missing()
    assert 30 > len(left) >= 30 - 2 * 5
    ended = launch(script, notes[1], 0, *common, tmp_path / "together")
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.count(f"{tmp_path / 'together'}: 30 clips") == 1
    written = {note.name: list(map(int, note.read_text().split())) for note in notes[1].iterdir()}
    assert written.keys() == {"0", "1"}
    assert Counter(index for part in written.values() for index in part) == Counter(left)
    together, alone = LatentStore(tmp_path / "together"), LatentStore(tmp_path / "alone")
    for clip in range(30):
        assert torch.equal(read_whole(together, clip), read_whole(alone, clip))


def test_no_two_processes_write_lengths_into_one_chunk(tmp_path: Path, make_store: Make) -> None:
    clips = [Clip(str(k), 0) for k in range(5 * LENGTHS + 1)]
    arrays = make_store(tmp_path / "s", clips, None, Partition((0,), (1,)), dim=2).renditions[ORIGINAL]
    arrays.write(3, np.ones((1, 2)))
    parts = [arrays.missing(rank, 3) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == arrays.missing()
    chunks = [{index // LENGTHS for index in part} for part in parts]
    assert chunks == [{0, 3}, {1, 4}, {2, 5}]
    assert len([path for path in (tmp_path / "s" / "length").rglob("*") if path.name.isdigit()]) == 1


def test_shards_of_a_batch_are_its_parts(store: LatentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(like("contrastive"), augmentations={"noise": 0.1})
    examples = draw_examples(store, recipe, 0)["train"]
    whole = next(iter(batches(store, examples, recipe, seed=1)))
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        part = next(iter(batches(store, examples, recipe, seed=1)))
        rows = slice(4 * rank, 4 * rank + 4)
        assert part.shard == BatchShard(rank, 2)
        for x, y in zip(part.views, whole.views, strict=True):
            assert torch.equal(x, y[rows])
        for kind, values in part.labels.items():
            assert torch.equal(values, whole.labels[kind][:, rows])
    z = torch.zeros(3, 5, 4)
    torch.manual_seed(2)
    draws = WHOLE.rand_like(z.repeat(2, 1, 1))
    for rank in range(2):
        torch.manual_seed(2)
        assert torch.equal(BatchShard(rank, 2).rand_like(z), draws[BatchShard(rank, 2).rows(6)])


def test_processes_that_do_not_divide_a_batch(
    store: LatentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.engine.pretrain.world_size", lambda: 3)
    with pytest.raises(ValueError, match=r"\b8\b.*\b3 processes"):
        pretrain(RUNS[0], store, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_does_not_divide_is_whole_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.shard_for(5) == WHOLE
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    assert distributed.shard_for(5) == WHOLE
    assert distributed.shard_for(6) == BatchShard(1, 2)
    assert list(range(6))[distributed.shard_for(6).rows(6)] == [3, 4, 5]


def test_alone_there_is_nothing_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_CPU"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.init("cuda:3") == "cuda:3"
    assert (distributed.world_size(), distributed.rank(), distributed.is_main()) == (1, 0, True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(ValueError, match="--multi_gpu"):
        distributed.init("cpu")
