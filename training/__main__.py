"""``python -m training``: latents, pretraining, the report page, and the demo of it all."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

# The codec imports TensorBoard, which imports TensorFlow where it is installed, which talks.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# The subcommands import what they need when they run: --help has to answer at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status is 0, or 1 with one line on stderr that says what to change."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)  # type: ignore[assignment]
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            options.run(options)
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


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


def _latents(options: argparse.Namespace) -> None:
    from hear_multiview.frontends import load_frontend
    from sonyc_tasks.annotations import read_clips
    from sonyc_tasks.build import choose_split
    from sonyc_tasks.splits import SensorSplit
    from training.latents import extract

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
    store = extract(clips, split, frontend, options.store, data=data, device=_device(options.device))
    split.save(store.path / "split.json")
    print(f"{store.path}: {len(store.clips)} clips, {int(store.length.sum())} frames")
    print(f"next: python -m training pretrain --store {options.store}")
    print(f"and tasks on other sensors: python -m sonyc_tasks build {options.data} --split {store.path / 'split.json'}")


def _pretrain(options: argparse.Namespace) -> None:
    from training.pretrain import pretrain
    from training.recipes import recipe_named
    from training.store import LatentStore

    run = pretrain(
        recipe_named(options.recipe),
        LatentStore(options.store),
        options.runs,
        seed=options.seed,
        device=_device(options.device),
    )
    best = min(run.history, key=lambda record: record["valid"]["total"])
    print(f"best of {len(run.history)} epochs: {best['epoch'] + 1}, validation loss {best['valid']['total']:.4f}")
    print(f"checkpoint: {run.checkpoint}")
    print(f"next: python -m heareval.embeddings.runner hear_multiview --tasks-dir tasks --model {run.checkpoint}")


def _paper(options: argparse.Namespace) -> None:
    from sonyc_tasks.splits import SensorSplit
    from training.paper import paper

    device = _device(options.device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    paper(
        options.out,
        options.data,
        seeds=options.seeds,
        scale=options.scale or ("full" if options.data else "small"),
        split=SensorSplit.load(options.split) if options.split else None,
        frontend_weights=options.frontend_weights,
        device=device,
        workers=options.workers or (cores if device == "cpu" else 1),
    )


def _report(options: argparse.Namespace) -> None:
    import json

    from sonyc_tasks.results import read_scores
    from sonyc_tasks.score import score_table
    from training.report import write_report

    tables = [score_table(model, views) for model, views in read_scores(options.embeddings).items()]
    files = sorted(options.runs.glob("*/history.jsonl"))
    histories = {file.parent.name: [json.loads(line) for line in file.read_text().splitlines()] for file in files}
    about = [f"Scores from {options.embeddings}, training runs from {options.runs}."]
    print(write_report(options.out, tables, histories, about))


def _listen(options: argparse.Namespace) -> None:
    from training.listen import listening_page, load_codec

    found = listening_page(options.audio, load_codec(options.codec), options.out)
    means = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in found.items())
    print(f"mean mel distance over {len(options.audio)} clips: {means}")
    print(options.out)


def _frontends(options: argparse.Namespace) -> None:
    from training.frontend_table import frontend_table

    table = frontend_table(options.data, options.folder, options.codec)
    print(table)
    (options.folder / "table.md").write_text(table + "\n", encoding="utf-8")


def _codec(options: argparse.Namespace) -> None:
    from training.codec import train_codec

    written = train_codec(
        options.out,
        options.audio,
        steps=options.steps,
        head_start=options.head_start,
        seed=options.seed,
        device=_device(options.device),
    )
    print(f"next: python -m training bundle --codec {written}")


def _bundle(options: argparse.Namespace) -> None:
    from training.bundled_model import bundle

    print(bundle(options.work, options.codec))


def _demo(options: argparse.Namespace) -> None:
    from training.demo import demo

    demo(options.folder)


def _parser() -> argparse.ArgumentParser:
    from hear_multiview.frontends import FRONTENDS
    from training.recipes import RECIPES

    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, summary: str, description: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=description)
        sub.set_defaults(run=run)
        return sub

    sub = command(
        "latents",
        _latents,
        "cache front-end frames of a data set",
        "Reads DATA (in the layout of SONYC-UST-V2), writes a latent store with the frames of every clip of the train "
        "and valid sensors. Goes on where an interrupted run stopped. Clips of the probe sensors are left alone.",
    )
    sub.add_argument("data", metavar="DATA", type=Path, help="data set in the layout of SONYC-UST-V2")
    sub.add_argument("--store", type=Path, default=Path("latents"), metavar="DIR", help="store to write (%(default)s)")
    sub.add_argument("--frontend", default="demo", metavar="NAME", help=f"one of {', '.join(FRONTENDS)} (%(default)s)")
    sub.add_argument("--frontend-weights", type=Path, metavar="FILE", help="weights in descript-audio-codec's format")
    sub.add_argument("--precision", default="fp32", metavar="NAME", help="fp32 or bf16 (%(default)s)")
    sub.add_argument("--split", type=Path, metavar="FILE", help="JSON with train, valid and probe sensors (else drawn)")
    for part in ("train", "valid", "probe"):
        sub.add_argument(f"--{part}-sensors", type=int, metavar="N", help=f"{part} sensors to draw")
    sub.add_argument(
        "--min-probe-clips", type=int, default=20, metavar="N", help="clips a probe sensor needs (%(default)s)"
    )
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="of the draw of sensors (%(default)s)")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (%(default)s)")

    sub = command(
        "pretrain",
        _pretrain,
        "one training run",
        "Reads a latent store, writes RUNS/<recipe>-<digest>-seed<K>/checkpoint.safetensors, the epoch of least total "
        "validation loss. Goes on where an interrupted run stopped. Recipes: " + ", ".join(RECIPES) + ".",
    )
    sub.add_argument("--recipe", default="multiview_cosine_private_sample", metavar="NAME", help="(%(default)s)")
    sub.add_argument("--store", type=Path, default=Path("latents"), metavar="DIR", help="latent store (%(default)s)")
    sub.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (%(default)s)")
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="(%(default)s)")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (%(default)s)")

    sub = command(
        "paper",
        _paper,
        "every table and figure of the paper",
        "Latents, every recipe with every seed, heareval's probes, tables, figures and a page. Goes on where it was "
        "stopped, and ends with the same numbers. OUT/overview.txt shows what is done and what is left.",
    )
    sub.add_argument("--data", type=Path, metavar="DATA", help="data set in the layout of SONYC-UST-V2 (generated)")
    sub.add_argument("--out", type=Path, default=Path("paper"), metavar="DIR", help="folder to work in (%(default)s)")
    sub.add_argument("--seeds", type=int, default=3, metavar="N", help="replications (%(default)s)")
    sub.add_argument("--scale", choices=("small", "full"), help="(full with --data, else small)")
    sub.add_argument("--split", type=Path, metavar="FILE", help="JSON with train, valid and probe sensors (else drawn)")
    sub.add_argument("--frontend-weights", type=Path, metavar="FILE", help="weights in descript-audio-codec's format")
    sub.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda or auto (%(default)s)")
    sub.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one a core; 1 on a GPU)")

    sub = command(
        "report",
        _report,
        "tables and curves as one HTML page",
        "Reads heareval's embeddings folder and the runs' histories, writes one self-contained page.",
    )
    sub.add_argument("--embeddings", type=Path, default=Path("embeddings"), metavar="DIR", help="(%(default)s)")
    sub.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="(%(default)s)")
    sub.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(%(default)s)")

    sub = command(
        "codec",
        _codec,
        "train the small codec",
        "Writes OUT/codec.pth (descript-audio-codec's own format) and OUT/demo_codec.safetensors (its encoder, for the "
        "bundle). Goes on where an interrupted run stopped.",
    )
    sub.add_argument("out", metavar="OUT", type=Path, help="folder of the run")
    sub.add_argument("--audio", type=Path, metavar="DIR", help="folder of audio files (generated soundscapes)")
    sub.add_argument("--steps", type=int, default=6000, metavar="N", help="(%(default)s)")
    sub.add_argument(
        "--head-start", type=int, default=5000, metavar="N", help="steps of the encoder alone (%(default)s)"
    )
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="(%(default)s)")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (%(default)s)")

    sub = command(
        "listen",
        _listen,
        "a page to hear what a codec keeps",
        "Reads whole codec weights and audio files; writes one page with each clip, its reconstructions by that codec "
        "and by an untrained one, and their mel distance and SI-SDR.",
    )
    sub.add_argument("codec", metavar="CODEC", type=Path, help="codec.pth of a training run")
    sub.add_argument("audio", metavar="AUDIO", type=Path, nargs="+", help="audio files; the first 4 s of each are used")
    sub.add_argument("--out", type=Path, default=Path("listen.html"), metavar="FILE", help="(%(default)s)")

    sub = command(
        "frontends",
        _frontends,
        "front ends and models side by side, probed by heareval",
        "Reads DATA (in the layout of SONYC-UST-V2), embeds every clip with the untrained codec, the bundled codec and "
        "model, log-mel statistics and, where its weights are, the official codec; probes in 5 folds; prints a table.",
    )
    sub.add_argument("data", metavar="DATA", type=Path, help="data set in the layout of SONYC-UST-V2")
    sub.add_argument("--folder", type=Path, default=Path("frontends"), metavar="DIR", help="to work in (%(default)s)")
    sub.add_argument("--codec", type=Path, metavar="FILE", help="weights of the official codec (its own cache)")

    sub = command(
        "bundle",
        _bundle,
        "make the model that load_model() serves without a path",
        "Generates sound, trains the encoder on the small codec's latents, puts both and a card into the package.",
    )
    sub.add_argument("--work", type=Path, default=Path("bundle"), metavar="DIR", help="for what it makes (%(default)s)")
    sub.add_argument("--codec", type=Path, metavar="FILE", help="demo_codec.safetensors of a training run (untrained)")

    sub = command(
        "demo", _demo, "the main job end to end on generated data", "Runs every step offline in a few minutes."
    )
    sub.add_argument("--folder", type=Path, default=Path("demo"), metavar="DIR", help="(%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
