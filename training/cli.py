"""Commands of ``python -m training``: what one is, those of the core, and what several of them share.

A command's options and its call stand side by side. Each imports what it needs when it runs, so that ``--help`` answers
at once. Systems register theirs in ``command.py`` (see `training.registry`).
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hear_multiview.device import usable_device

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Attributes:
        summary: a line in the list of commands.
        description: a paragraph above its own options.
        add_arguments: adds its options to a parser.
        run: does it, from the parsed options.
    """

    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def place(text: str) -> Path | str:
    """A path, or an address such as ``s3://bucket/latents`` as it is."""
    return text if "://" in text else Path(text)


def own_device(name: str) -> str:
    """The device of this process, after it has connected to those it was launched with; for ``auto``, a GPU if there is
    one.

    Raises:
        ValueError: the device cannot be used.
    """
    import torch

    from training.distributed import init

    device = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    return usable_device(init(device), auto=True)


def add_device(parser: argparse.ArgumentParser, default: str = "cpu") -> None:
    """The option ``--device``."""
    also = " or auto" if default == "auto" else ""
    parser.add_argument("--device", default=default, metavar="NAME", help=f"cpu, cuda{also} (%(default)s)")


def add_precision(parser: argparse.ArgumentParser) -> None:
    """The option ``--precision``, of training."""
    parser.add_argument(
        "--precision", default="fp32", metavar="NAME", help="of training: fp32, bf16, or tf32 on a GPU (%(default)s)"
    )


def add_seed(parser: argparse.ArgumentParser, what: str = "") -> None:
    """The option ``--seed``."""
    parser.add_argument("--seed", type=_seed, default=0, metavar="K", help=f"{what} (%(default)s)".strip())


def _seed(text: str) -> int:
    """A number that every source of random numbers takes."""
    if not 0 <= (value := int(text)) < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is out of range; give 0 to {2**32 - 1}")
    return value


def _pretrain_arguments(parser: argparse.ArgumentParser) -> None:
    from training.recipes import recipes

    listed = ", ".join(recipes())
    parser.add_argument(
        "--recipe", default="multiview_cosine_private_sample", metavar="NAME", help=f"{listed} (%(default)s)"
    )
    parser.add_argument("--store", type=place, default=Path("latents"), metavar="DIR", help="to read (%(default)s)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (%(default)s)")
    add_seed(parser)
    add_device(parser)
    add_precision(parser)


def _pretrain(options: argparse.Namespace) -> None:
    from training.data.store import LatentStore
    from training.engine.pretrain import pretrain
    from training.recipes import recipe_named

    device = own_device(options.device)
    recipe = recipe_named(options.recipe)
    machine = {"device": device, "precision": options.precision}
    run = pretrain(recipe, LatentStore(options.store), options.runs, seed=options.seed, **machine)
    best = min(run.history, key=lambda record: record["valid"]["total"])
    loss = best["valid"]["total"]
    log.info("best of %d epochs: %d, validation loss %.4f", len(run.history), best["epoch"] + 1, loss)
    log.info("checkpoint: %s", run.checkpoint)
    log.info("next: python -m heareval.embeddings.runner hear_multiview --tasks-dir tasks --model %s", run.checkpoint)


def _codec_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the run")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="folder of audio files (generated soundscapes)")
    parser.add_argument("--steps", type=int, default=5600, metavar="N", help="in all (%(default)s)")
    parser.add_argument(
        "--head-start", type=int, default=5000, metavar="N", help="steps of the encoder alone (%(default)s)"
    )
    add_seed(parser)
    add_device(parser)


def _codec(options: argparse.Namespace) -> None:
    from training.codec.train import CodecTrainingConfig, train_codec

    config = CodecTrainingConfig(steps=options.steps, head_start=options.head_start, seed=options.seed)
    written = train_codec(options.out, options.audio, config, device=usable_device(options.device))
    log.info("next: python -m training bundle --codec %s", written)


def _listen_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codec", metavar="CODEC", type=Path, help="codec.pth of a training run")
    parser.add_argument("audio", metavar="AUDIO", type=Path, nargs="+", help="audio files; 4 s of each are used")
    parser.add_argument(
        "--out", type=Path, default=Path("listen.html"), metavar="FILE", help="page to write (%(default)s)"
    )


def _listen(options: argparse.Namespace) -> None:
    from training.codec.listen import listening_page, load_codec

    found = listening_page(options.audio, load_codec(options.codec), options.out)
    means = ", ".join(f"{name} {sum(values) / len(values):.3f}" for name, values in found.items())
    log.info("mean mel distance over %d clips: %s", len(options.audio), means)
    log.info("%s", options.out)


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="checkpoint.safetensors of a run")
    parser.add_argument("repository", metavar="ORG/NAME", help="model repository")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write the files into a new folder, upload nothing")


def _publish(options: argparse.Namespace) -> None:
    from training.reporting.publish import publish

    log.info("%s", publish(options.checkpoint, options.repository, private=options.private, dry_run=options.dry_run))
    if options.dry_run:
        log.info("nothing was uploaded; read %s, then publish without --dry-run", options.dry_run / "README.md")
    else:
        log.info('load it: hear_multiview.load_model("hf://%s")', options.repository)


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help="document to put the table into, between its markers")
    parser.add_argument("--gpu", action="store_true", help="measure the GPU rows instead")


def _bench(options: argparse.Namespace) -> None:
    from training.bench.run import bench

    bench(options.out, gpu=options.gpu)


COMMANDS: dict[str, Command] = {
    "pretrain": Command(
        "run one training",
        "Reads a latent store and writes RUNS/<recipe>-<digest>-seed<K>/checkpoint.safetensors, the epoch of least "
        "total validation loss. Resumes an interrupted run.",
        _pretrain_arguments,
        _pretrain,
    ),
    "codec": Command(
        "train the small codec",
        "Writes OUT/codec.pth (descript-audio-codec's own format) and OUT/demo_codec.safetensors (its encoder, for the "
        "bundle). Resumes an interrupted run.",
        _codec_arguments,
        _codec,
    ),
    "listen": Command(
        "make a page to hear what a codec keeps",
        "Reads codec weights and audio files and writes one page with each clip, its reconstructions by that codec and "
        "by an untrained one, and their mel distance and SI-SDR.",
        _listen_arguments,
        _listen,
    ),
    "publish": Command(
        "upload a checkpoint to the Hugging Face Hub",
        "Uploads CHECKPOINT and a model card to a model repository, which is created if necessary. Needs "
        "huggingface_hub and a token with write access: `hf auth login`, or HF_TOKEN.",
        _publish_arguments,
        _publish,
    ),
    "bench": Command(
        "measure speed and memory beside the stock library and the machine",
        "Measures each part alternately with its reference, in about 20 minutes on 2 cores, and prints a table.",
        _bench_arguments,
        _bench,
    ),
}
