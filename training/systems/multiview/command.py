"""Commands of the multi-view system: from a data set in the layout of SONYC-UST-V2 to the paper's tables."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from training.cli import Command, add_device, add_precision, add_seed, own_device, place

log = logging.getLogger(__name__)


def _frontends() -> str:
    from hear_multiview.frontends import names

    return f"{', '.join(names())} for any HEAR module"


def _latents_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="data set in the layout of SONYC-UST-V2")
    parser.add_argument(
        "--store", type=place, default=Path("latents"), metavar="DIR", help="store to write (%(default)s)"
    )
    parser.add_argument("--frontend", default="demo", metavar="NAME", help=f"{_frontends()} (%(default)s)")
    parser.add_argument(
        "--frontend-weights", type=Path, metavar="FILE", help="descript-audio-codec's format; a HEAR module has its own"
    )
    parser.add_argument("--precision", default="fp32", metavar="NAME", help="fp32, or bf16 for a codec (%(default)s)")
    _split_argument(parser)
    for part in ("train", "valid", "probe"):
        parser.add_argument(f"--{part}-sensors", type=int, metavar="N", help=f"{part} sensors to draw")
    parser.add_argument(
        "--min-probe-clips", type=int, default=20, metavar="N", help="clips a probe sensor needs (%(default)s)"
    )
    add_seed(parser, "of the draw of sensors")
    add_device(parser)


def _split_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split", type=Path, metavar="FILE", help="JSON with train, valid and probe sensors (else drawn)"
    )


def _latents(options: argparse.Namespace) -> None:
    from hear_multiview.frontends import load_frontend
    from sonyc_tasks.dataset.annotations import read_clips
    from sonyc_tasks.dataset.splits import SensorSplit
    from sonyc_tasks.tasks.sonyc import choose_split
    from training.distributed import is_main
    from training.systems.multiview.data import extract_sensors

    device = own_device(options.device)
    clips = read_clips(options.data)
    counts = {part: getattr(options, f"{part}_sensors") for part in ("train", "valid", "probe")}
    split = (
        SensorSplit.load(options.split)
        if options.split
        else choose_split(clips, counts, min_probe_clips=options.min_probe_clips, seed=options.seed)
    )
    split.check(clip.sensor for clip in clips)
    frontend = load_frontend(options.frontend, options.frontend_weights, options.precision)
    log.info("front end %s: %d dimensions, weights sha256 %s", frontend.name, frontend.dim, frontend.digest)
    generated = " (generated)" if (options.data / "truth.csv").exists() else ""
    data = f"{options.data.resolve().name}{generated}: train sensors {split.train}, valid {split.valid}"
    store = extract_sensors(clips, split, frontend, options.store, data=data, device=device)
    # Tasks are built from a file: for a store elsewhere, it stays here.
    beside = options.store / "split.json" if isinstance(options.store, Path) else Path("split.json")
    if is_main():
        split.save(beside)
    frames = store.lengths(range(len(store.clips))).sum()
    log.info("%s: %d clips, %d frames", store.path, len(store.clips), frames)
    log.info("next: python -m training pretrain --store %s", options.store)
    build = f"python -m sonyc_tasks build {options.data} --split {beside} --sample-rate {frontend.sample_rate}"
    log.info("and tasks on other sensors: %s", build)


def _paper_arguments(parser: argparse.ArgumentParser) -> None:
    from training.systems.multiview.recipes import PAPER_RECIPES

    parser.add_argument("--data", type=Path, metavar="DATA", help="data set in the layout of SONYC-UST-V2 (generated)")
    parser.add_argument(
        "--out", type=Path, default=Path("paper"), metavar="DIR", help="folder to work in (%(default)s)"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="replications (%(default)s)")
    parser.add_argument(
        "--recipes", nargs="+", metavar="NAME", help=f"to train and report: {', '.join(PAPER_RECIPES)} (all)"
    )
    parser.add_argument("--scale", choices=("small", "full"), help="(full with --data, else small)")
    _split_argument(parser)
    parser.add_argument("--frontend", metavar="NAME", help=f"{_frontends()} (dac_44khz at scale full, else demo)")
    parser.add_argument(
        "--frontend-weights", type=Path, metavar="FILE", help="weights in descript-audio-codec's format"
    )
    add_device(parser, "auto")
    add_precision(parser)
    parser.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one per core; 1 on a GPU)")


def _paper(options: argparse.Namespace) -> None:
    from sonyc_tasks.dataset.splits import SensorSplit
    from sonyc_tasks.processes import cores
    from training.distributed import held_by_main
    from training.systems.multiview.experiment import paper

    device = own_device(options.device)
    with held_by_main(options.out):
        paper(
            options.out,
            options.data,
            seeds=options.seeds,
            recipes=options.recipes,
            scale=options.scale or ("full" if options.data else "small"),
            split=SensorSplit.load(options.split) if options.split else None,
            frontend=options.frontend,
            frontend_weights=options.frontend_weights,
            device=device,
            precision=options.precision,
            workers=options.workers or (cores() if device == "cpu" else 1),
        )


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    for name, default, kind in (
        ("tasks-dir", "tasks", "DIR"),
        ("embeddings", "embeddings", "DIR"),
        ("runs", "runs", "DIR"),
        ("out", "report.html", "FILE"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(default), metavar=kind, help="(%(default)s)")


def _report(options: argparse.Namespace) -> None:
    from training.systems.multiview.score_page import score_page

    log.info("%s", score_page(options.out, options.tasks_dir, options.embeddings, options.runs))


def _frontends_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="data set in the layout of SONYC-UST-V2")
    parser.add_argument(
        "--folder", type=Path, default=Path("frontends"), metavar="DIR", help="to work in (%(default)s)"
    )
    parser.add_argument("--codec", type=Path, metavar="FILE", help="weights of the official codec (its own cache)")


def _compare_frontends(options: argparse.Namespace) -> None:
    from sonyc_tasks.files import held_folder, write_atomic
    from training.systems.multiview.frontend_table import frontend_table

    with held_folder(options.folder):
        table = frontend_table(options.data, options.folder, options.codec)
        log.info("%s", table)
        write_atomic(options.folder / "table.md", table + "\n")


def _bundle_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, default=Path("bundle"), metavar="DIR", help="to work in (%(default)s)")
    parser.add_argument(
        "--codec", type=Path, metavar="FILE", help="demo_codec.safetensors of a training run, to replace the package's"
    )


def _bundle(options: argparse.Namespace) -> None:
    from sonyc_tasks.files import held_folder
    from training.systems.multiview.bundled_model import bundle

    with held_folder(options.work):
        log.info("%s", bundle(options.work, options.codec))


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=Path("demo"), metavar="DIR", help="to work in (%(default)s)")


def _demo(options: argparse.Namespace) -> None:
    from sonyc_tasks.files import held_folder
    from training.systems.multiview.demo import demo

    with held_folder(options.folder):
        demo(options.folder)


COMMANDS: dict[str, Command] = {
    "latents": Command(
        "cache front-end frames of a data set",
        "Reads DATA (in the layout of SONYC-UST-V2) and writes a latent store with the frames of every clip of the "
        "train and valid sensors; clips of the probe sensors are left alone. Resumes an interrupted run.",
        _latents_arguments,
        _latents,
    ),
    "paper": Command(
        "make every table and figure of the multi-view paper",
        "Latents, every recipe with every seed, heareval's probes, tables, figures and a page. Resumes where it was "
        "stopped, with the same numbers in the end. OUT/overview.txt shows what is done and what is left.",
        _paper_arguments,
        _paper,
    ),
    "report": Command(
        "show tables and curves as one HTML page",
        "Reads heareval's embeddings and tasks folders and the runs' histories, and writes one self-contained page.",
        _report_arguments,
        _report,
    ),
    "frontends": Command(
        "compare front ends and models with heareval's probes",
        "Reads DATA (in the layout of SONYC-UST-V2), embeds every clip with log-mel statistics, a random "
        "projection, the bundled model and codec, both untrained, and, if its weights are there, the official codec; "
        "probes in 5 folds; prints a table.",
        _frontends_arguments,
        _compare_frontends,
    ),
    "bundle": Command(
        "make the model that load_model() serves without a path",
        "Generates sound, trains the encoder on log-mel frames, and puts it and a card into the package. About "
        "4 minutes on 2 cores.",
        _bundle_arguments,
        _bundle,
    ),
    "demo": Command(
        "run the main job end to end on generated data",
        "Runs every step offline in a few minutes.",
        _demo_arguments,
        _demo,
    ),
}
