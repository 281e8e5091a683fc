"""``python -m sonyc_tasks``: from a data set to HEAR tasks, and from heareval's results to the score table."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

# The subcommands import what they need when they run: --help has to answer at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit status is 0, or 1 with one line on stderr that says what to change."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            return options.run(options)
        except (ValueError, OSError, ModuleNotFoundError) as error:
            extras = "; pip install '.[eval,train]' has it" if isinstance(error, ModuleNotFoundError) else ""
            print(f"error: {error}{extras}", file=sys.stderr)
            return 1


def _download(options: argparse.Namespace) -> int:
    from sonyc_tasks.dataset.download.zenodo import RECORD, download

    try:
        download(options.dir, record=options.record or RECORD, keep_archives=options.keep_archives)
    except KeyboardInterrupt:  # of a download of hours this is an ordinary end
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"next: python -m sonyc_tasks check {options.dir}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from sonyc_tasks.dataset.check import check

    report = check(options.dir)
    print(report.table())
    if not report.sound:
        raise ValueError(report.advice())
    print(f"next: python -m sonyc_tasks build {options.dir} --tasks-dir tasks")
    return 0


def _synthesize(options: argparse.Namespace) -> int:
    from sonyc_tasks.synthesis import synthesize

    synthesize(
        options.out,
        sensors=options.sensors,
        clips_per_sensor=options.clips,
        seconds=options.seconds,
        seed=options.seed,
    )
    print(f"next: python -m sonyc_tasks build {options.out} --tasks-dir tasks")
    return 0


def _build(options: argparse.Namespace) -> int:
    from sonyc_tasks.dataset.splits import SensorSplit
    from sonyc_tasks.tasks.sonyc import build, next_steps

    split = None if options.split is None else SensorSplit.load(options.split)
    folders = build(
        options.data,
        options.tasks_dir,
        sample_rate=options.sample_rate,
        seconds=options.seconds,
        labels=options.labels,
        split=split,
        seed=options.seed,
        fractions=tuple(options.fractions),
        train_sensors=options.train_sensors,
        valid_sensors=options.valid_sensors,
        probe_sensors=options.probe_sensors,
        min_probe_clips=options.min_probe_clips,
        grid=options.grid,
        workers=options.workers,
    )
    print("next:", *map(next_steps, folders), sep="\n")
    return 0


def _validate(options: argparse.Namespace) -> int:
    from sonyc_tasks.tasks.validate.task import errors_of, validate_task

    sound = True
    for folder in options.task_dirs:
        findings = validate_task(folder)
        errors = len(errors_of(findings))
        for finding in findings:
            print(finding)
        warned = f", {len(findings) - errors} warnings" if len(findings) > errors else ""
        print(f"{folder}: {'sound' if not errors else f'{errors} problems'}{warned}")
        sound = sound and not errors
    return 0 if sound else 1


def _score(options: argparse.Namespace) -> int:
    from sonyc_tasks.scores.results import read_scores
    from sonyc_tasks.scores.score import score_table
    from sonyc_tasks.scores.score_report import markdown, write_scores_csv, write_scores_json

    results = read_scores(options.embeddings_dir)
    tables = [
        score_table(model, views, resamples=options.resamples, seed=options.seed) for model, views in results.items()
    ]
    if options.csv:
        write_scores_csv(tables, options.csv)
    if options.json:
        write_scores_json(tables, options.json)
    print(markdown(tables))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from sonyc_tasks.scores.compare import compare
    from sonyc_tasks.scores.compare_report import markdown, write_report

    comparison = compare(options.embeddings_dirs, baseline=options.baseline)
    written = write_report(comparison, options.out) if options.out else []
    print(markdown(comparison))
    for path in written:
        print(f"written: {path}")
    return 0


def _leaderboard(options: argparse.Namespace) -> int:
    from sonyc_tasks.scores.leaderboard import leaderboard

    print(leaderboard(options.embeddings_dir, published=options.published, name=options.name, out=options.out))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sonyc_tasks",
        description="SONYC-UST as HEAR tasks: from a data set to task folders, and from heareval's results to scores.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, summary: str, description: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=description)
        sub.set_defaults(run=run)
        return sub

    sub = command(
        "download",
        _download,
        "fetch SONYC-UST-V2 (13.3 GB, 18 GB unpacked)",
        "Reads the Zenodo record of SONYC-UST-V2 (version 2.3, by Cartwright et al., CC BY 4.0) and its files, checked "
        "by their md5; writes DIR/annotations.csv and DIR/audio/*.wav. Goes on where it was interrupted, and leaves "
        "alone what is complete. Next: python -m sonyc_tasks check DIR",
    )
    sub.add_argument("dir", metavar="DIR", type=Path, help="folder to write")
    sub.add_argument("--keep-archives", action="store_true", help="keep the archives after unpacking them")
    sub.add_argument("--record", metavar="URL", help="another record, in Zenodo's API (SONYC-UST-V2's 3966543)")

    sub = command(
        "check",
        _check,
        "see whether a data set is all there and whole",
        "Reads DIR/annotations.csv and the header of every audio file, and the samples where a header does not tell; "
        "lists what is missing, extra, ambiguous, unreadable, cut short, of another sample rate or off scale, and "
        "recordings that are there under several names. Writes nothing; the exit status is 1 if there is a problem. "
        "Next: python -m sonyc_tasks build DIR --tasks-dir tasks",
    )
    sub.add_argument("dir", metavar="DIR", type=Path, help="data set in the layout of SONYC-UST-V2")

    sub = command(
        "synthesize",
        _synthesize,
        "generate a small data set in the layout of SONYC-UST",
        "Writes OUT/annotations.csv and OUT/audio/*.wav: generated street sound of several sensors, labelled, in the "
        "layout of SONYC-UST-V2. Reads nothing. Next: python -m sonyc_tasks build OUT --tasks-dir tasks",
    )
    sub.add_argument("out", metavar="OUT", type=Path, help="folder to write")
    sub.add_argument("--sensors", type=int, default=20, metavar="N", help="sensors (%(default)s)")
    sub.add_argument("--clips", type=int, default=24, metavar="N", help="clips of each sensor (%(default)s)")
    sub.add_argument("--seconds", type=float, default=10.0, metavar="S", help="length of a clip (%(default)s)")
    sub.add_argument(
        "--seed", type=int, default=0, metavar="K", help="the same seed gives the same data set (%(default)s)"
    )

    sub = command(
        "build",
        _build,
        "write the HEAR tasks sonyc_source and sonyc_sensor",
        "Reads DIR/annotations.csv and the audio beside it; writes the task folders sonyc_source-v1-full and "
        "sonyc_sensor-v1-full into the tasks folder, over the clips of the probe sensors. Folders already made from "
        "the same input are left alone. Next: the commands for heareval that it prints",
    )
    sub.add_argument("data", metavar="DIR", type=Path, help="data set in the layout of SONYC-UST-V2")
    sub.add_argument(
        "--tasks-dir", type=Path, default=Path("tasks"), metavar="DIR", help="folder of all HEAR tasks (%(default)s)"
    )
    sub.add_argument(
        "--sample-rate",
        type=int,
        nargs="+",
        default=[44_100],
        metavar="HZ",
        help="of the audio in the tasks; several serve modules of any of them (44100)",
    )
    sub.add_argument("--seconds", type=float, metavar="S", help="length of every clip (the commonest length)")
    sub.add_argument(
        "--labels",
        choices=("majority", "minority", "verified"),
        default="majority",
        help="a clip's labels: ground truth if it has one, else what more than half of the volunteers heard, or at "
        "least one; verified: only clips with ground truth (%(default)s)",
    )
    sub.add_argument(
        "--split",
        type=Path,
        metavar="FILE",
        help="JSON file with lists of train, valid and probe sensors (the published split if the data set is "
        "SONYC-UST-V2; a random draw for other data, or if numbers of sensors are given)",
    )
    for part, share in (("train", "all that are left"), ("valid", "5 of 56"), ("probe", "12 of 56")):
        sub.add_argument(f"--{part}-sensors", type=int, metavar="N", help=f"{part} sensors to draw ({share})")
    sub.add_argument(
        "--min-probe-clips", type=int, default=20, metavar="N", help="clips that a probe sensor needs (%(default)s)"
    )
    sub.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        default=(0.6, 0.2, 0.2),
        metavar=("TRAIN", "VALID", "TEST"),
        help="division of the probe sensors' clips (0.6 0.2 0.2)",
    )
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="of the draws of sensors and clips (%(default)s)")
    sub.add_argument(
        "--grid",
        choices=("heareval", "paper"),
        default="heareval",
        help="settings of heareval's probes: its own choice, or the paper's 2-layer MLP (%(default)s)",
    )
    sub.add_argument("--workers", type=int, metavar="N", help="threads (one a core)")

    sub = command(
        "validate",
        _validate,
        "check any HEAR task folder",
        "Reads HEAR task folders, of any kind, and lists what heareval would stumble over as file:line: what is wrong; "
        "what to do. Writes nothing; the exit status is 1 if there is a problem. Next: python -m "
        "heareval.embeddings.runner hear_multiview --tasks-dir tasks",
    )
    sub.add_argument("task_dirs", nargs="+", metavar="TASK_DIR", type=Path, help="like tasks/sonyc_source-v1-full")

    sub = command(
        "score",
        _score,
        "turn heareval's results into the score table",
        "Reads EMBEDDINGS_DIR/<module>[-option=value]/<task>/test.predictions.pkl as python -m "
        "heareval.predictions.runner embeddings/*/* leaves them, for the views of each model; prints source and sensor "
        "scores with 95 % intervals and the differences between the private and the shared part. Writes only the files "
        "asked for below.",
    )
    sub.add_argument("embeddings_dir", metavar="EMBEDDINGS_DIR", type=Path, help="heareval's --embeddings-dir")
    sub.add_argument("--csv", type=Path, metavar="FILE", help="also write the scores here, one a row")
    sub.add_argument("--json", type=Path, metavar="FILE", help="also write the scores here, as JSON")
    sub.add_argument("--resamples", type=int, default=1000, metavar="N", help="of the bootstrap (%(default)s)")
    sub.add_argument("--seed", type=int, default=0, metavar="K", help="of the bootstrap (%(default)s)")

    sub = command(
        "compare",
        _compare,
        "put any HEAR modules side by side, on any scene tasks",
        "Reads the results of python -m heareval.predictions.runner in EMBEDDINGS_DIR/<module>[-option=value]/<task>/; "
        "prints each task's scores with 95 % intervals and tests them against the best. Writes only into --out.",
    )
    sub.add_argument("embeddings_dirs", nargs="+", metavar="EMBEDDINGS_DIR", type=Path, help="heareval's folders")
    sub.add_argument("--baseline", metavar="NAME", help="module to test the others against (the best on each task)")
    sub.add_argument("--out", type=Path, metavar="DIR", help="also write compare.md, .csv, .html, .png and .pdf here")

    sub = command(
        "leaderboard",
        _leaderboard,
        "make the row of hearbenchmark.com's leaderboard",
        "Reads heareval's scores of the 19 official HEAR tasks in EMBEDDINGS_DIR/<module>/<task>/; prints a row a "
        "module and, with --published, its rank on each task among the published ones. Writes only the file of --out.",
    )
    sub.add_argument("embeddings_dir", metavar="EMBEDDINGS_DIR", type=Path, help="heareval's, or one module's in it")
    sub.add_argument("--published", type=Path, metavar="CSV", help="a copy of the leaderboard's CSV file")
    sub.add_argument("--name", metavar="NAME", help="of the model in its row (its folder's)")
    sub.add_argument("--out", type=Path, metavar="FILE", help="also write heading and row here, as CSV")
    return parser


if __name__ == "__main__":
    sys.exit(main())
