"""What each subcommand of ``python -m training`` does, from its parsed options.

Each imports what it needs when it runs: ``--help`` has to answer at once.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path


def _device(name: str) -> str:
    """``name``, if this machine has that device; of ``auto`` the GPU, if there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise ValueError(f"--device {name} cannot be used here ({reason}): use cpu, or cuda with a GPU") from None
    return name


def _own_device(name: str) -> str:
    """`_device`, of this process among those that were launched together."""
    import torch

    from training.engine.distributed import join

    return _device(join(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name))


def run_latents(options: argparse.Namespace) -> None:
    """``python -m training latents``."""
    from hear_multiview.frontends import load_frontend
    from sonyc_tasks.dataset.annotations import read_clips
    from sonyc_tasks.dataset.splits import SensorSplit
    from sonyc_tasks.tasks.sonyc import choose_split
    from training.data.extraction import extract
    from training.engine.distributed import main

    device = _own_device(options.device)
    clips = read_clips(options.data)
    counts = {part: getattr(options, f"{part}_sensors") for part in ("train", "valid", "probe")}
    split = (
        SensorSplit.load(options.split)
        if options.split
        else choose_split(clips, counts, min_probe_clips=options.min_probe_clips, seed=options.seed)
    )
    split.check(clip.sensor for clip in clips)
    frontend = load_frontend(options.frontend, options.frontend_weights, options.precision)
    print(f"front end {frontend.name}: {frontend.dim} dimensions, weights sha256 {frontend.digest}")
    generated = " (generated)" if (options.data / "truth.csv").exists() else ""
    data = f"{options.data.resolve().name}{generated}: train sensors {split.train}, valid {split.valid}"
    store = extract(clips, split, frontend, options.store, data=data, device=device)
    # The tasks are built from a file: of a store elsewhere, it stays here.
    beside = options.store / "split.json" if isinstance(options.store, Path) else Path("split.json")
    if main():
        split.save(beside)
    print(f"{store.path}: {len(store.clips)} clips, {int(store.length.sum())} frames")
    print(f"next: python -m training pretrain --store {options.store}")
    print(f"and tasks on other sensors: python -m sonyc_tasks build {options.data} --split {beside}")


def run_pretrain(options: argparse.Namespace) -> None:
    """``python -m training pretrain``."""
    from training.data.store import LatentStore
    from training.engine.pretrain import pretrain
    from training.recipes import recipe_named

    device = _own_device(options.device)
    run = pretrain(
        recipe_named(options.recipe),
        LatentStore(options.store),
        options.runs,
        seed=options.seed,
        device=device,
    )
    best = min(run.history, key=lambda record: record["valid"]["total"])
    print(f"best of {len(run.history)} epochs: {best['epoch'] + 1}, validation loss {best['valid']['total']:.4f}")
    print(f"checkpoint: {run.checkpoint}")
    print(f"next: python -m heareval.embeddings.runner hear_multiview --tasks-dir tasks --model {run.checkpoint}")


def run_paper(options: argparse.Namespace) -> None:
    """``python -m training paper``."""
    from sonyc_tasks.dataset.splits import SensorSplit
    from training.probes.heareval_jobs import cores
    from training.systems.multiview.experiment import paper

    device = _own_device(options.device)
    paper(
        options.out,
        options.data,
        seeds=options.seeds,
        scale=options.scale or ("full" if options.data else "small"),
        split=SensorSplit.load(options.split) if options.split else None,
        frontend=options.frontend,
        frontend_weights=options.frontend_weights,
        device=device,
        workers=options.workers or (cores() if device == "cpu" else 1),
    )


def run_music(options: argparse.Namespace) -> None:
    """``python -m training music``."""
    from training.probes.heareval_jobs import cores
    from training.systems.music.experiment import music

    music(options.out, options.scale, seeds=options.seeds, workers=options.workers or cores())


def run_report(options: argparse.Namespace) -> None:
    """``python -m training report``."""
    from sonyc_tasks.scores.results import read_scores, split_model_name
    from sonyc_tasks.scores.score import score_table
    from sonyc_tasks.scores.score_report import markdown
    from training.engine.history import read_history
    from training.reporting.figures import training_curves
    from training.reporting.page import write_page
    from training.reporting.page.gallery import load_gallery

    results = read_scores(options.embeddings)
    scores = markdown([score_table(model, views) for model, views in results.items()])
    files = sorted(options.runs.glob("*/history.jsonl"))
    histories = {file.parent.name: read_history(file) for file in files}
    figures = []
    if histories:
        curves, _ = training_curves(histories, options.out.with_name(f"{options.out.stem}-curves"))
        figures.append(("Losses of every run.", curves))
    first = next(iter(results))
    models = [place for place in sorted(options.embeddings.iterdir()) if split_model_name(place.name)[0] == first]
    about = [f"Scores of {options.embeddings}, training runs of {options.runs}. The map and the clips are of {first}."]
    gallery = load_gallery(options.tasks_dir, models)
    print(write_page(options.out, "hear_multiview: scores", about, [("Scores of the views", scores)], figures, gallery))


def run_listen(options: argparse.Namespace) -> None:
    """``python -m training listen``."""
    from training.codec.listen import listening_page, load_codec

    found = listening_page(options.audio, load_codec(options.codec), options.out)
    means = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in found.items())
    print(f"mean mel distance over {len(options.audio)} clips: {means}")
    print(options.out)


def run_frontends(options: argparse.Namespace) -> None:
    """``python -m training frontends``."""
    from training.systems.multiview.frontend_table import frontend_table

    table = frontend_table(options.data, options.folder, options.codec)
    print(table)
    (options.folder / "table.md").write_text(table + "\n", encoding="utf-8")


def run_codec(options: argparse.Namespace) -> None:
    """``python -m training codec``."""
    from training.codec.train import train_codec

    written = train_codec(
        options.out,
        options.audio,
        steps=options.steps,
        head_start=options.head_start,
        seed=options.seed,
        device=_device(options.device),
    )
    print(f"next: python -m training bundle --codec {written}")


def run_bundle(options: argparse.Namespace) -> None:
    """``python -m training bundle``."""
    from training.systems.multiview.bundled_model import bundle

    print(bundle(options.work, options.codec))


def run_publish(options: argparse.Namespace) -> None:
    """``python -m training publish``."""
    from training.reporting.publish import publish

    print(publish(options.checkpoint, options.repository, private=options.private, dry_run=options.dry_run))
    if options.dry_run:
        print(f"nothing was uploaded; look at {options.dry_run / 'README.md'}, then publish without --dry-run")
    else:
        print(f'load it: hear_multiview.load_model("hf://{options.repository}")')


def run_bench(options: argparse.Namespace) -> None:
    """``python -m training bench``."""
    from training.bench.run import bench

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    bench(options.out, gpu=options.gpu)


def run_demo(options: argparse.Namespace) -> None:
    """``python -m training demo``."""
    from training.systems.multiview.demo import demo

    demo(options.folder)
