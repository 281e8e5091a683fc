"""The command line: from a data set to HEAR tasks, and from heareval's results to the score table.

Each command is one function: its docstring is the help text, it adds the arguments to its parser, and it returns the
function that runs the command, which takes the arguments by name.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sonyc_tasks.errors import exit_status

# Commands import what they need when they run, so that --help answers at once.

Run = Callable[..., int]
#: What to do with a data set: tasks at the rate of the bundled model.
_NEXT = "next: python -m sonyc_tasks build {} --tasks-dir tasks --sample-rate 16000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its `exit_status`."""
    options = vars(_parser().parse_args(arguments))
    run: Run = options.pop("run")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    return exit_status(lambda: run(**options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sonyc_tasks",
        description="SONYC-UST as HEAR tasks: from a data set to task folders, and from heareval's results to scores.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for define in (_download, _check, _synthesize, _build, _validate, _score, _compare, _leaderboard):
        summary, _, description = (inspect.getdoc(define) or "").partition("\n\n")
        command = commands.add_parser(define.__name__[1:], help=summary.rstrip("."), description=description)
        command.set_defaults(run=define(command))
    return parser


def _download(parser: argparse.ArgumentParser) -> Run:
    """Download SONYC-UST-V2 (13.3 GB, 18 GB unpacked).

    Reads the Zenodo record of SONYC-UST-V2 (version 2.3, by Cartwright et al., CC BY 4.0) and its files, checked by
    their md5; writes DIR/annotations.csv and DIR/audio/*.wav. Resumes where it was interrupted, and skips complete
    files. Next: python -m sonyc_tasks check DIR
    """
    parser.add_argument("dir", metavar="DIR", type=Path, help="folder to write")
    parser.add_argument("--keep-archives", action="store_true", help="keep the archives after unpacking them")
    parser.add_argument("--record", metavar="URL", help="another record in Zenodo's API (default: 3966543)")

    def run(dir: Path, record: str | None, keep_archives: bool) -> int:
        from sonyc_tasks.dataset.download.zenodo import RECORD, download

        try:
            download(dir, record=record or RECORD, keep_archives=keep_archives)
        except KeyboardInterrupt:  # an ordinary end of a download that takes hours
            print("stopped; run the same command again to resume", file=sys.stderr)
            return 130
        print(f"next: python -m sonyc_tasks check {dir}")
        return 0

    return run


def _check(parser: argparse.ArgumentParser) -> Run:
    """Check that a data set is complete and intact.

    Reads DIR/annotations.csv and the header of every audio file, and the samples if the header is not enough. Lists
    files that are missing, extra, ambiguous, unreadable, truncated, at another sample rate or off scale, and recordings
    that exist under several names. Writes nothing; the exit status is 1 if there is a problem.
    Next: python -m sonyc_tasks build DIR --tasks-dir tasks --sample-rate 16000
    """
    parser.add_argument("dir", metavar="DIR", type=Path, help="data set in the layout of SONYC-UST-V2")

    def run(dir: Path) -> int:
        from sonyc_tasks.dataset.check import check

        report = check(dir)
        print(report.table())
        if not report.sound:
            raise ValueError(report.advice())
        print(_NEXT.format(dir))
        return 0

    return run


def _synthesize(parser: argparse.ArgumentParser) -> Run:
    """Generate a small data set in the layout of SONYC-UST.

    Writes OUT/annotations.csv and OUT/audio/*.wav: synthetic, labelled street sound from several sensors in the layout
    of SONYC-UST-V2. Reads nothing. Next: python -m sonyc_tasks build OUT --tasks-dir tasks --sample-rate 16000
    """
    parser.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--sensors", type=int, default=20, metavar="N", help="number of sensors (%(default)s)")
    parser.add_argument("--clips", type=int, default=24, metavar="N", help="clips per sensor (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="length of a clip (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="K", help="the same seed gives the same data set (%(default)s)"
    )

    def run(out: Path, clips: int, **settings: Any) -> int:
        from sonyc_tasks.synthesis import synthesize

        synthesize(out, clips_per_sensor=clips, **settings)
        print(_NEXT.format(out))
        return 0

    return run


def _build(parser: argparse.ArgumentParser) -> Run:
    """Write the HEAR tasks sonyc_source and sonyc_sensor.

    Reads DIR/annotations.csv and the audio next to it; writes the task folders sonyc_source-v1-full and
    sonyc_sensor-v1-full into the tasks folder, from the clips of the probe sensors. Folders already made from the same
    input are kept. Next: the commands for heareval that it prints
    """
    parser.add_argument("data", metavar="DIR", type=Path, help="data set in the layout of SONYC-UST-V2")
    _add_build_options(parser)

    def run(data: Path, tasks_dir: Path, split: Path | None, **settings: Any) -> int:
        from sonyc_tasks.dataset.splits import SensorSplit
        from sonyc_tasks.tasks.sonyc import build, next_steps

        settings["fractions"] = tuple(settings["fractions"])
        folders = build(data, tasks_dir, split=None if split is None else SensorSplit.load(split), **settings)
        print("next:", *map(next_steps, folders), sep="\n")
        return 0

    return run


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option(
        "--tasks-dir", type=Path, default=Path("tasks"), metavar="DIR", help="folder of all HEAR tasks (%(default)s)"
    )
    option(
        "--sample-rate",
        type=int,
        nargs="+",
        default=[16_000, 44_100],
        metavar="HZ",
        help="of the audio in the tasks, one or several: a module needs its own (16000, for the bundled model, and "
        "44100, for the official codec)",
    )
    option("--seconds", type=float, metavar="S", help="length of every clip (the most common length)")
    option(
        "--labels",
        choices=("majority", "minority", "verified"),
        default="majority",
        help="a clip's labels: its ground truth, or else what more than half of the volunteers heard (majority) or at "
        "least one (minority); verified: only clips with ground truth (%(default)s)",
    )
    option(
        "--split",
        type=Path,
        metavar="FILE",
        help="JSON file with lists of train, valid and probe sensors (the published split if the data set is "
        "SONYC-UST-V2; a random draw for other data, or if numbers of sensors are given)",
    )
    for part, share in (("train", "all the others"), ("valid", "5 of 56"), ("probe", "12 of 56")):
        option(f"--{part}-sensors", type=int, metavar="N", help=f"{part} sensors to draw ({share})")
    option("--min-probe-clips", type=int, default=20, metavar="N", help="clips a probe sensor needs (%(default)s)")
    option(
        "--fractions",
        type=float,
        nargs=3,
        default=(0.6, 0.2, 0.2),
        metavar=("TRAIN", "VALID", "TEST"),
        help="division of the probe sensors' clips (0.6 0.2 0.2)",
    )
    option("--seed", type=int, default=0, metavar="K", help="seed of the draws of sensors and clips (%(default)s)")
    option(
        "--grid",
        choices=("heareval", "paper"),
        default="heareval",
        help="settings of heareval's probes: its own choice, or the paper's 2-layer MLP (%(default)s)",
    )
    option("--workers", type=int, metavar="N", help="number of threads (one per core)")


def _validate(parser: argparse.ArgumentParser) -> Run:
    """Check any HEAR task folder.

    Reads HEAR task folders of any kind and lists what heareval would trip over, as file:line: what is wrong; what to
    do. Writes nothing; the exit status is 1 if there is a problem.
    Next: python -m heareval.embeddings.runner hear_multiview --tasks-dir tasks
    """
    parser.add_argument("task_dirs", nargs="+", metavar="TASK_DIR", type=Path, help="like tasks/sonyc_source-v1-full")

    def run(task_dirs: list[Path]) -> int:
        from sonyc_tasks.tasks.validate.task import errors_of, validate_task

        sound = True
        for folder in task_dirs:
            findings = validate_task(folder)
            errors = len(errors_of(findings))
            print(*findings, sep="\n", end="\n" * bool(findings))
            counts = [f"{errors} {'problem' if errors == 1 else 'problems'}" if errors else "sound"]
            if warned := len(findings) - errors:
                counts.append(f"{warned} {'warning' if warned == 1 else 'warnings'}")
            print(f"{folder}: {', '.join(counts)}")
            sound = sound and not errors
        return 0 if sound else 1

    return run


def _score(parser: argparse.ArgumentParser) -> Run:
    """Turn heareval's results into the score table.

    Reads EMBEDDINGS_DIR/<module>[-option=value]/<task>/test.predictions.pkl, as written by python -m
    heareval.predictions.runner embeddings/*/*, for the views of each model; prints source and sensor scores with 95 %
    intervals, and the differences between the private and the shared part. Writes only the files requested below.
    """
    parser.add_argument("embeddings_dir", metavar="EMBEDDINGS_DIR", type=Path, help="heareval's --embeddings-dir")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the scores as CSV, one per row")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scores as JSON")
    parser.add_argument("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="of the bootstrap (%(default)s)")

    def run(embeddings_dir: Path, csv: Path | None, json: Path | None, resamples: int, seed: int) -> int:
        from sonyc_tasks.scores.results import read_scores
        from sonyc_tasks.scores.score import score_table
        from sonyc_tasks.scores.score_report import markdown, write_scores_csv, write_scores_json

        results = read_scores(embeddings_dir)
        tables = [score_table(model, views, resamples=resamples, seed=seed) for model, views in results.items()]
        if csv:
            write_scores_csv(tables, csv)
        if json:
            write_scores_json(tables, json)
        print(markdown(tables))
        return 0

    return run


def _compare(parser: argparse.ArgumentParser) -> Run:
    """Compare any HEAR modules on any scene tasks.

    Reads the results of python -m heareval.predictions.runner in EMBEDDINGS_DIR/<module>[-option=value]/<task>/; prints
    each task's scores with 95 % intervals and tests them against the best. Writes only into --out.
    """
    parser.add_argument("embeddings_dirs", nargs="+", metavar="EMBEDDINGS_DIR", type=Path, help="heareval's folders")
    parser.add_argument("--baseline", metavar="NAME", help="module to test the others against (the best on each task)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="also write compare.md, .csv, .html, .png and .pdf here"
    )

    def run(embeddings_dirs: list[Path], baseline: str | None, out: Path | None) -> int:
        from sonyc_tasks.scores.compare import compare
        from sonyc_tasks.scores.compare_report import markdown, write_report

        comparison = compare(embeddings_dirs, baseline=baseline)
        written = write_report(comparison, out) if out else []
        print(markdown(comparison))
        for path in written:
            print(f"written: {path}")
        return 0

    return run


def _leaderboard(parser: argparse.ArgumentParser) -> Run:
    """Make the row for the leaderboard of hearbenchmark.com.

    Reads heareval's scores of the 19 official HEAR tasks in EMBEDDINGS_DIR/<module>/<task>/; prints one row per module
    and, with --published, its rank on each task among the published ones. Writes only the file of --out.
    """
    parser.add_argument("embeddings_dir", metavar="EMBEDDINGS_DIR", type=Path, help="heareval's, or one module's in it")
    parser.add_argument("--published", type=Path, metavar="CSV", help="a copy of the leaderboard's CSV file")
    parser.add_argument("--name", metavar="NAME", help="name of the model in its row (its folder's)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write header and row here, as CSV")

    def run(embeddings_dir: Path, **options: Any) -> int:
        from sonyc_tasks.scores.leaderboard import leaderboard

        print(leaderboard(embeddings_dir, **options))
        return 0

    return run


if __name__ == "__main__":
    sys.exit(main())
