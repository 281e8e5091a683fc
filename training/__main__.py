"""``python -m training``: latents, pretraining, the report page, and the demo of it all."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from training import commands

# The codec imports TensorBoard, which imports TensorFlow where it is installed, which talks.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Threads that wait must not spin: beside another busy process, everything would be 20 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status is 0, or 1 with one line on stderr that says what to change."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)  # type: ignore[assignment]
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            options.run(options)
        except (ValueError, OSError, ModuleNotFoundError) as error:
            extras = "; pip install '.[eval,train]' has it" if isinstance(error, ModuleNotFoundError) else ""
            print(f"error: {error}{extras}", file=sys.stderr)
            return 1
    return 0


def _place(text: str) -> Path | str:
    """A path, or an address such as ``s3://bucket/latents`` as it is."""
    return text if "://" in text else Path(text)


def _parser() -> argparse.ArgumentParser:
    # These import no torch: --help has to answer at once.
    from hear_multiview.frontends import names as frontend_names
    from training.recipes import RECIPES

    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, summary: str, description: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=summary, description=description)
        sub.set_defaults(run=run)
        return sub

    sub = command(
        "latents",
        commands.run_latents,
        "cache front-end frames of a data set",
        "Reads DATA (in the layout of SONYC-UST-V2), writes a latent store with the frames of every clip of the train "
        "and valid sensors. Goes on where an interrupted run stopped. Clips of the probe sensors are left alone.",
    )
    sub.add_argument("data", metavar="DATA", type=Path, help="data set in the layout of SONYC-UST-V2")
    sub.add_argument(
        "--store", type=_place, default=Path("latents"), metavar="DIR", help="store to write (%(default)s)"
    )
    names = f"{', '.join(frontend_names())} for any HEAR module"
    sub.add_argument("--frontend", default="demo", metavar="NAME", help=f"{names} (%(default)s)")
    sub.add_argument(
        "--frontend-weights", type=Path, metavar="FILE", help="descript-audio-codec's format; a HEAR module has its own"
    )
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
        commands.run_pretrain,
        "one training run",
        "Reads a latent store, writes RUNS/<recipe>-<digest>-seed<K>/checkpoint.safetensors, the epoch of least total "
        "validation loss. Goes on where an interrupted run stopped. Recipes: " + ", ".join(RECIPES) + ".",
    )
    sub.add_argument("--recipe", default="multiview_cosine_private_sample", metavar="NAME", help="(%(default)s)")
    sub.add_argument("--store", type=_place, default=Path("latents"), metavar="DIR", help="latent store (%(default)s)")
    sub.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of runs (%(default)s)")
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="(%(default)s)")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (%(default)s)")

    sub = command(
        "paper",
        commands.run_paper,
        "every table and figure of the paper",
        "Latents, every recipe with every seed, heareval's probes, tables, figures and a page. Goes on where it was "
        "stopped, and ends with the same numbers. OUT/overview.txt shows what is done and what is left.",
    )
    sub.add_argument("--data", type=Path, metavar="DATA", help="data set in the layout of SONYC-UST-V2 (generated)")
    sub.add_argument("--out", type=Path, default=Path("paper"), metavar="DIR", help="folder to work in (%(default)s)")
    sub.add_argument("--seeds", type=int, default=3, metavar="N", help="replications (%(default)s)")
    sub.add_argument("--scale", choices=("small", "full"), help="(full with --data, else small)")
    sub.add_argument("--split", type=Path, metavar="FILE", help="JSON with train, valid and probe sensors (else drawn)")
    sub.add_argument("--frontend", metavar="NAME", help=f"{names} (dac_44khz at scale full, else demo)")
    sub.add_argument("--frontend-weights", type=Path, metavar="FILE", help="weights in descript-audio-codec's format")
    sub.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda or auto (%(default)s)")
    sub.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one a core; 1 on a GPU)")

    sub = command(
        "music",
        commands.run_music,
        "the sibling system: disentangled music sounds",
        "Generates sounds, trains the multi-view variational autoencoder and its ablation, probes timbre and "
        "frequency, measures mutual information, writes OUT/<scale>/page.html. Goes on where it was stopped.",
    )
    sub.add_argument("--out", type=Path, default=Path("music"), metavar="DIR", help="folder to work in (%(default)s)")
    sub.add_argument("--scale", choices=("small", "full"), default="small", help="(%(default)s)")
    sub.add_argument("--seeds", type=int, metavar="N", help="replications (5 at full scale, 1 at small)")
    sub.add_argument("--workers", type=int, metavar="N", help="runs trained at a time (one a core)")

    sub = command(
        "report",
        commands.run_report,
        "tables and curves as one HTML page",
        "Reads heareval's embeddings and tasks folders and the runs' histories, writes one self-contained page.",
    )
    sub.add_argument("--tasks-dir", type=Path, default=Path("tasks"), metavar="DIR", help="(%(default)s)")
    sub.add_argument("--embeddings", type=Path, default=Path("embeddings"), metavar="DIR", help="(%(default)s)")
    sub.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="(%(default)s)")
    sub.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="(%(default)s)")

    sub = command(
        "codec",
        commands.run_codec,
        "train the small codec",
        "Writes OUT/codec.pth (descript-audio-codec's own format) and OUT/demo_codec.safetensors (its encoder, for the "
        "bundle). Goes on where an interrupted run stopped.",
    )
    sub.add_argument("out", metavar="OUT", type=Path, help="folder of the run")
    sub.add_argument("--audio", type=Path, metavar="DIR", help="folder of audio files (generated soundscapes)")
    sub.add_argument("--steps", type=int, default=5600, metavar="N", help="(%(default)s)")
    sub.add_argument(
        "--head-start", type=int, default=5000, metavar="N", help="steps of the encoder alone (%(default)s)"
    )
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="(%(default)s)")
    sub.add_argument("--device", default="cpu", metavar="NAME", help="cpu or cuda (%(default)s)")

    sub = command(
        "listen",
        commands.run_listen,
        "a page to hear what a codec keeps",
        "Reads whole codec weights and audio files; writes one page with each clip, its reconstructions by that codec "
        "and by an untrained one, and their mel distance and SI-SDR.",
    )
    sub.add_argument("codec", metavar="CODEC", type=Path, help="codec.pth of a training run")
    sub.add_argument("audio", metavar="AUDIO", type=Path, nargs="+", help="audio files; the first 4 s of each are used")
    sub.add_argument("--out", type=Path, default=Path("listen.html"), metavar="FILE", help="(%(default)s)")

    sub = command(
        "frontends",
        commands.run_frontends,
        "front ends and models side by side, probed by heareval",
        "Reads DATA (in the layout of SONYC-UST-V2), embeds every clip with the untrained codec, the bundled codec and "
        "model, log-mel statistics and, where its weights are, the official codec; probes in 5 folds; prints a table.",
    )
    sub.add_argument("data", metavar="DATA", type=Path, help="data set in the layout of SONYC-UST-V2")
    sub.add_argument("--folder", type=Path, default=Path("frontends"), metavar="DIR", help="to work in (%(default)s)")
    sub.add_argument("--codec", type=Path, metavar="FILE", help="weights of the official codec (its own cache)")

    sub = command(
        "bundle",
        commands.run_bundle,
        "make the model that load_model() serves without a path",
        "Generates sound, trains the encoder on the small codec's latents, puts both and a card into the package.",
    )
    sub.add_argument("--work", type=Path, default=Path("bundle"), metavar="DIR", help="for what it makes (%(default)s)")
    sub.add_argument("--codec", type=Path, metavar="FILE", help="demo_codec.safetensors of a training run (untrained)")

    sub = command(
        "publish",
        commands.run_publish,
        "a checkpoint to the Hugging Face Hub",
        "Uploads CHECKPOINT and a model card to a model repository, which is made where it is missing. Needs "
        "huggingface_hub, and a token that may write there: `hf auth login`, or HF_TOKEN.",
    )
    sub.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="checkpoint.safetensors of a run")
    sub.add_argument("repository", metavar="ORG/NAME", help="model repository")
    sub.add_argument("--private", action="store_true", help="make the repository private")
    sub.add_argument("--dry-run", type=Path, metavar="DIR", help="write the files into a new folder, upload nothing")

    sub = command(
        "bench",
        commands.run_bench,
        "how fast and how small it is, beside the stock library and the machine",
        "Measures each part by turns with what it is held against, in under 10 minutes on 2 cores; prints a table.",
    )
    sub.add_argument("--out", type=Path, metavar="FILE", help="document to put the table into, between its markers")
    sub.add_argument("--gpu", action="store_true", help="the rows of a GPU instead")

    sub = command(
        "demo",
        commands.run_demo,
        "the main job end to end on generated data",
        "Runs every step offline in a few minutes.",
    )
    sub.add_argument("--folder", type=Path, default=Path("demo"), metavar="DIR", help="(%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
