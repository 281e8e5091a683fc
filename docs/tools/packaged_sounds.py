"""Evaluate scene embeddings on labelled real recordings from Debian packages, heard by generated sensors.

Run as ``python docs/tools/packaged_sounds.py WORK [--seed K] [--generated] [--against MODEL] MODEL [MODEL ...]``; with
``--generated``, the recordings are generated, too. A MODEL is a HEAR module, then perhaps a colon with a checkpoint,
with `load_model`'s options as JSON, or with both: ``hear_multiview:run/a.safetensors{"view":"shared"}``. WORK gets the
recordings, each seed's audio, and ``untrained.safetensors``, a model of the bundled one's kind before training. apt has
to know Debian 12's packages.

- **kinds**: each recording as it is, which kind of sound; 5 folds, no series of takes in two of them; accuracy.
- **heard**: the same of each as a sensor of its own hears it, 3 to 25 dB above the background.
- **street**: clips of 1 to 3 recordings of one fold by sensors of `sonyc_tasks.synthesis`. Which kinds sound, in the
  same folds; mAP. Which sensor it is, learned from one fold and tested on the other four; accuracy.

Probes work on standardised features: ridge regression of all kinds (its strength by leave-one-out), and logistic
regression for the sensor. Intervals are 95 % bootstrap intervals over clips, paired for differences. Resampling raises
the mAP of rare kinds, since a clip drawn twice finds its double, so compare mAPs by their differences. The seed draws
folds, sensors and scenes: choose with one seed, report with another.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import soundfile
import soxr
import torch
from numpy.random import Generator, default_rng
from scipy import fft
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from hear_multiview.api import BUNDLED
from sonyc_tasks.dataset.audio import fit
from sonyc_tasks.files import replacing
from sonyc_tasks.scores.metrics import accuracy, bootstrap, mean_average_precision
from sonyc_tasks.scores.text_tables import markdown_table
from sonyc_tasks.synthesis.scenes import SNR, Event, record
from sonyc_tasks.synthesis.sensors import Sensor, make_sensor, padded_length
from sonyc_tasks.synthesis.sources import SOURCES, Source
from training.engine.pretrain import save_untrained
from training.probes.linear_probe import regression
from training.reporting.text import estimate

#: ``packages``, and ``kinds`` with regular expressions for paths of files, in lower case and package first. What they
#: match, without its digits, is a series of takes.
TABLE = json.loads(Path(__file__).with_suffix(".json").read_text())

SOUND_FILES, ARCHIVES = (".flac", ".mp3", ".oga", ".ogg", ".wav"), (".pk3", ".wz", ".zip")
RATE, SECONDS, FOLDS = 16_000, 5, 5
SENSORS, CLIPS, STREET_SECONDS = 48, 20, 8
HEARD_SNR, DISTANCE = (3.0, 25.0), (4.0, 60.0)  # dB, metres
#: Recordings and series that a kind needs, recordings that it gets at most, and excerpts of a long file.
FEWEST, FEWEST_SERIES, MOST, EXCERPTS = 12, 5, 60, 4
SHORTEST, SILENT = 0.05, 1e-3  # seconds, rms
#: Generated recordings of each source, and their peak.
GENERATED, PEAK = 40, 0.5
#: From this correlation on (below 4 kHz, at the best lag), two recordings are takes of one series.
SAME = 0.8

Arrays = dict[str, np.ndarray]


def unpack(package: str, work: Path) -> Path:
    """Download a package with apt, unless that is done, and return the folder of its sound files."""
    folder = work / "sounds" / package
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "-q", "download", package], cwd=work, check=True)
    (deb,) = work.glob(f"{package}_*.deb")
    with tempfile.TemporaryDirectory(dir=work) as part:
        made = Path(part, package)
        reading = ["dpkg-deb", "--fsys-tarfile", str(deb)]
        with (
            subprocess.Popen(reading, stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as tar,
        ):
            for member in tar:
                if member.isfile() and (stream := tar.extractfile(member)):
                    _keep(member.name.lower(), stream, made)
        version = subprocess.run(["dpkg-deb", "--field", deb, "Version"], capture_output=True, text=True, check=True)
        (made / "version").write_text(version.stdout)
        made.rename(folder)
    deb.unlink()
    return folder


def _keep(name: str, stream: IO[bytes], folder: Path) -> None:
    """Write a file of a package below ``folder`` if it is a sound or the copyright; of an archive, all its sounds."""
    if name.endswith(ARCHIVES):
        with tempfile.TemporaryFile(dir=folder.parent) as file:
            shutil.copyfileobj(stream, file)
            with zipfile.ZipFile(file) as archive:
                for inner in archive.namelist():
                    if inner.lower().endswith(SOUND_FILES):
                        with archive.open(inner) as content:
                            _keep(inner.lower(), content, folder)
    elif name.endswith((*SOUND_FILES, "/copyright")):
        path = folder.joinpath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..")))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            shutil.copyfileobj(stream, out)


def kept(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """Read arrays from ``path``, or make them and keep them there."""
    if not path.exists():
        arrays = make()
        with replacing(path) as part:
            np.savez(part, **arrays)  # type: ignore[arg-type]  # could be its `allow_pickle`
    with np.load(path) as found:
        return dict(found)


def read_recordings(work: Path) -> Arrays:
    """Read what the table names: ``waves`` int16 [recording, sample], ``length``, ``kind``, ``series``, ``path``."""
    found: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for package in tqdm(TABLE["packages"], "packages"):
        folder = unpack(package, work)
        tqdm.write(f"{package} {(folder / 'version').read_text().strip()}")
        for path in sorted(folder.rglob("*")):
            if path.suffix not in SOUND_FILES or "_desc" in path.stem:  # tuxpaint's are names, spoken
                continue
            for kind, patterns in TABLE["kinds"].items():
                if match := re.search("|".join(patterns), f"{package}/{path.relative_to(folder)}"):
                    found[kind].append((f"{kind}:{package}:" + re.sub(r"\d+", "", match[0]), path))
                    break
    rows: list[tuple[np.ndarray, str, str, str]] = []
    for kind in tqdm(TABLE["kinds"], "kinds"):
        files = _take_turns(found[kind])
        excerpts = int(np.clip(MOST // max(1, len(files)), 1, EXCERPTS))
        pieces = [(wave, series, path) for series, path in files for wave in _excerpts(path, excerpts)][:MOST]
        merged = _merge([wave for wave, *_ in pieces], [series for _, series, _ in pieces])
        if len(pieces) < FEWEST or len(set(merged)) < FEWEST_SERIES:
            tqdm.write(f"{kind} is left out: {len(pieces)} recordings in {len(set(merged))} series")
            continue
        rows += [(wave, kind, series, str(path)) for (wave, _, path), series in zip(pieces, merged, strict=True)]
    waves = np.stack([_int16(fit(wave, SECONDS * RATE)) for wave, *_ in rows])
    length = np.array([len(wave) for wave, *_ in rows])
    text = {name: np.array([row[column] for row in rows]) for column, name in enumerate(("kind", "series", "path"), 1)}
    return {"waves": waves, "length": length, **text}


def generate_recordings(seed: int) -> Arrays:
    """Make what `read_recordings` reads, but its paths, of the sources of `sonyc_tasks.synthesis`."""
    waves, length, kinds = [], [], []
    for kind, source in tqdm(SOURCES.items(), "sources"):
        for number in range(GENERATED):
            rng = default_rng((seed, 3, zlib.crc32(kind.encode()), number))
            wave = source.render(rng, min(rng.uniform(*source.seconds), SECONDS), RATE)
            waves.append(_int16(fit(wave * PEAK / np.abs(wave).max(), SECONDS * RATE)))
            length.append(len(wave))
            kinds.append(kind)
    series = np.arange(len(kinds)).astype(str)
    return {"waves": np.stack(waves), "length": np.array(length), "kind": np.array(kinds), "series": series}


def _take_turns(files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Order files of (series, path) so that the first ones are of as many series as possible; at most `MOST`."""
    seen, keyed = Counter[str](), []
    for series, path in files:
        keyed.append((seen[series], zlib.crc32(path.name.encode()), series, path))
        seen[series] += 1
    return [(series, path) for *_, series, path in sorted(keyed)][:MOST]


def _excerpts(path: Path, most: int) -> Iterator[np.ndarray]:
    """Yield the first pieces [sample] of a file, ``most`` at most, of `SECONDS` or what is left; none is silent."""
    rate = soundfile.info(path).samplerate
    samples, _ = soundfile.read(path, frames=most * SECONDS * rate, dtype="float32", always_2d=True)
    wave = soxr.resample(samples.mean(axis=1), rate, RATE)
    for start in range(0, len(wave), SECONDS * RATE):
        piece = wave[start : start + SECONDS * RATE]
        if len(piece) > SHORTEST * RATE and np.sqrt(np.mean(piece**2)) > SILENT:
            yield piece


def _merge(waves: list[np.ndarray], series: list[str]) -> list[str]:
    """Give recordings that are nearly the same, perhaps in another format or package, the same series."""
    names, period = np.array(series), 2 * SECONDS * RATE
    spectra = np.array([fft.rfft(wave, period)[: period // 4 + 1] for wave in waves])  # up to 4 kHz
    spectra[:, 0] = 0
    spectra /= np.linalg.norm(spectra, axis=1, keepdims=True) + 1e-9
    for row, spectrum in enumerate(spectra[:-1]):
        lags = fft.irfft(spectra[row + 1 :] * spectrum.conj(), axis=1)
        alike = np.abs(lags).max(axis=1) * lags.shape[1] / 2 > SAME
        for other in names[row + 1 :][alike]:
            names[names == other] = names[row]
    return names.tolist()


def draw_folds(recordings: Arrays, seed: int) -> np.ndarray:
    """Draw the fold [recording] of each recording."""
    fold = np.zeros(len(recordings["kind"]), int)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(fold, recordings["kind"], recordings["series"])):
        fold[test] = number
    return fold


def register(recordings: Arrays) -> None:
    """Let `record` play the recordings as it plays generated sounds; the name of each is its number."""
    for number, (wave, length) in enumerate(zip(recordings["waves"], recordings["length"], strict=True)):
        SOURCES[str(number)] = Source(partial(_play, wave[:length]), (length / RATE, length / RATE))


def _play(wave: np.ndarray, rng: Generator, seconds: float, rate: int) -> np.ndarray:
    return fit(wave, round(seconds * rate)).astype(np.float32) / 32768


def _clip(rng: Generator, sensor: Sensor, length: dict[str, int], seconds: int, snr: tuple[float, float]) -> np.ndarray:
    """Record a clip, int16 [sample], of recordings with ``length`` in samples by their name."""
    events = []
    for name, samples in length.items():
        onset, distance = rng.uniform(0, seconds - samples / RATE), np.exp(rng.uniform(*np.log(DISTANCE)))
        events.append(Event(name, name, onset, samples / RATE, rng.uniform(*snr), distance, 0))
    return _int16(record(events, sensor, rng, seconds, RATE))


def _sensor(rng: Generator, seconds: int) -> Sensor:
    return make_sensor(rng, 0, padded_length(seconds * RATE, RATE), RATE)


def _int16(wave: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def hear_each(recordings: Arrays, seed: int) -> Arrays:
    """Record every recording with a sensor of its own: ``waves`` int16 [recording, sample]."""
    waves = []
    for number, length in enumerate(tqdm(recordings["length"], "heard")):
        rng = default_rng((seed, 0, number))
        waves.append(_clip(rng, _sensor(rng, SECONDS), {str(number): int(length)}, SECONDS, HEARD_SNR))
    return {"waves": np.stack(waves)}


def hear_street(recordings: Arrays, fold: np.ndarray, seed: int) -> Arrays:
    """Record the street: ``waves`` int16 [clip, sample], ``fold``, ``sensor``, and ``kinds`` bool [clip, kind]."""
    names, kind = np.unique(recordings["kind"], return_inverse=True)
    rows: dict[str, list] = {"waves": [], "fold": [], "sensor": [], "kinds": []}
    for number in tqdm(range(SENSORS), "street"):
        sensor = _sensor(default_rng((seed, 1, number)), STREET_SECONDS)
        for clip in range(CLIPS):
            rng = default_rng((seed, 2, number, clip))
            pool = np.flatnonzero(fold == clip % FOLDS)
            chance = 1 / np.bincount(kind[pool])[kind[pool]]  # every kind is as likely
            chosen = rng.choice(pool, rng.integers(1, 4), replace=False, p=chance / chance.sum())
            length = {str(row): int(recordings["length"][row]) for row in chosen}
            rows["waves"].append(_clip(rng, sensor, length, STREET_SECONDS, SNR))
            rows["fold"].append(clip % FOLDS)
            rows["sensor"].append(number)
            rows["kinds"].append(np.isin(np.arange(len(names)), kind[chosen]))
    return {name: np.array(values) for name, values in rows.items()}


class Column:
    """The targets bool [clip, class] of a measurement, and its predictions [clip, class], one or more of each clip."""

    def __init__(self, metric: Callable[[np.ndarray, np.ndarray], float], target: np.ndarray, *predictions: np.ndarray):
        self.metric, self.target, self.predictions = metric, target, predictions

    def score(self, rows: np.ndarray) -> float:
        """The mean over the predictions of the metric of the clips ``rows``."""
        return float(np.mean([self.metric(self.target[rows], values[rows]) for values in self.predictions]))


def embed(model_text: str, sets: dict[str, Arrays]) -> dict[str, np.ndarray]:
    """Embed the waves of each set with a MODEL of the command line: [clip, dim]."""
    name, _, rest = model_text.partition(":")
    path, brace, options = rest.partition("{")
    module = import_module(name)
    model = module.load_model(path, **json.loads(brace + options or "{}"))
    result = {}
    for key, arrays in sets.items():
        parts = []
        for start in tqdm(range(0, len(arrays["waves"]), 32), f"embed {key}", leave=False):
            audio = arrays["waves"][start : start + 32].astype(np.float32) / 32768
            if model.sample_rate != RATE:
                audio = np.ascontiguousarray(soxr.resample(audio.T, RATE, model.sample_rate).T)
            parts.append(module.get_scene_embeddings(torch.from_numpy(audio), model).numpy())
        result[key] = np.concatenate(parts)
    return result


def ridge(x: np.ndarray, target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Predict ``target`` [clip, class] of each fold from embeddings ``x`` [clip, dim] of the others."""
    predicted = np.zeros(target.shape)
    for number in range(FOLDS):
        train = fold != number
        probe = make_pipeline(StandardScaler(), RidgeCV(np.logspace(1, 6, 11)))
        predicted[~train] = probe.fit(x[train], target[train].astype(float)).predict(x[~train])
    return predicted


def sensor_probabilities(x: np.ndarray, sensor: np.ndarray, fold: np.ndarray) -> list[np.ndarray]:
    """Predict the sensor of each clip from another fold, in turn from each: FOLDS − 1 times [clip, sensor]."""
    trained = [regression().fit(x[fold == number], sensor[fold == number]) for number in range(FOLDS)]
    results = [np.zeros((len(x), SENSORS)) for _ in range(1, FOLDS)]
    for step, result in enumerate(results, 1):
        for number in range(FOLDS):
            result[fold == number] = trained[(number + step) % FOLDS].predict_proba(x[fold == number])
    return results


def probe(x: dict[str, np.ndarray], sets: dict[str, Arrays], fold: np.ndarray) -> dict[str, Column]:
    """Probe the embeddings of a model."""
    kinds = sets["kinds"]["kind"][:, None] == np.unique(sets["kinds"]["kind"])
    street = sets["street"]
    sensors = street["sensor"][:, None] == np.arange(SENSORS)
    return {
        "kinds": Column(accuracy, kinds, ridge(x["kinds"], kinds, fold)),
        "heard": Column(accuracy, kinds, ridge(x["heard"], kinds, fold)),
        "street: sensor": Column(
            accuracy, sensors, *sensor_probabilities(x["street"], street["sensor"], street["fold"])
        ),
        "street: source mAP": Column(
            mean_average_precision, street["kinds"], ridge(x["street"], street["kinds"], street["fold"])
        ),
    }


def cells(results: dict[str, Column], against: dict[str, Column] | None = None) -> list[str]:
    """Each column's score or its difference from that of another model, with a 95 % interval over clips."""
    texts = []
    for name, column in results.items():

        def statistic(rows: np.ndarray, column: Column = column, name: str = name) -> float:
            return column.score(rows) - (against[name].score(rows) if against else 0)

        clips = len(column.target)
        texts.append(estimate(statistic(np.arange(clips)), bootstrap(statistic, clips), "+" if against else ""))
    return texts


def make_sets(work: Path, seed: int, generated: bool) -> tuple[np.ndarray, dict[str, Arrays]]:
    """Return the folds of the recordings, and the sets of a seed; what is not in ``work`` is made."""
    if generated:
        work = work / "generated"
        work.mkdir(exist_ok=True)
        recordings = kept(work / f"recordings-{seed}.npz", lambda: generate_recordings(seed))
    else:
        recordings = kept(work / "recordings.npz", lambda: read_recordings(work))
    fold = draw_folds(recordings, seed)
    register(recordings)
    sets = {
        "kinds": recordings,
        "heard": kept(work / f"heard-{seed}.npz", lambda: hear_each(recordings, seed)),
        "street": kept(work / f"street-{seed}.npz", lambda: hear_street(recordings, fold, seed)),
    }
    kinds, series = (len(set(recordings[name])) for name in ("kind", "series"))
    print(f"{len(fold)} recordings of {kinds} kinds in {series} series; {len(sets['street']['fold'])} clips of streets")
    return fold, sets


def main() -> None:
    """Print the tables that the module's docstring describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, metavar="WORK")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--seed", type=int, default=0, help="of folds, sensors and scenes (default: 0)")
    parser.add_argument("--generated", action="store_true", help="sources of sonyc_tasks.synthesis, and no packages")
    parser.add_argument("--against", action="append", default=[], metavar="MODEL", help="add the differences from it")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    save_untrained(BUNDLED, arguments.work / "untrained.safetensors")
    fold, sets = make_sets(arguments.work, arguments.seed, arguments.generated)
    results, scores = dict[str, dict[str, Column]](), dict[str, list[str]]()
    for model in tqdm(dict.fromkeys([*arguments.models, *arguments.against]), "models"):
        embeddings = embed(model, sets)
        results[model] = probe(embeddings, sets, fold)
        scores[model] = [model, f"{embeddings['street'].shape[1]:,}", *cells(results[model])]
        tqdm.write(" | ".join(scores[model]), file=sys.stderr)
    header = ["numbers", *results[model]]
    print("\n" + markdown_table([f"seed {arguments.seed}", *header], scores.values(), "lrrrrr"))
    for other in arguments.against:
        rows = [
            [*scores[name][:2], *cells(result, results[other])] for name, result in results.items() if name != other
        ]
        print("\n" + markdown_table([f"above {other}", *header], rows, "lrrrrr"))


if __name__ == "__main__":
    main()
