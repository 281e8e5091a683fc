"""Files of every kind that the project reads, spoilt: an error that names the file, of a documented type, or nothing.

``make fuzz`` tries many more than the few examples here.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hear_multiview import checkpoint
from hear_multiview.api import BUNDLED
from hear_multiview.frontends.dac.weights import read_bundle
from hear_multiview.recordings.info import describe
from hear_multiview.recordings.parts import Parts
from hear_multiview.recordings.table import Rows, open_table, write_table
from sonyc_tasks.dataset.annotations import read_labels
from sonyc_tasks.dataset.splits import SensorSplit
from sonyc_tasks.dataset.taxonomy import COARSE, COLUMNS
from sonyc_tasks.launcher.embedding_record import EmbeddingRecord, differences, task_digest
from sonyc_tasks.scores.leaderboard import COLUMNS as TASKS
from sonyc_tasks.scores.leaderboard import MODEL, read_published
from sonyc_tasks.scores.result_checks import check_results
from sonyc_tasks.scores.results import read_heareval_score
from sonyc_tasks.tasks.task_folder import Task, write_task
from sonyc_tasks.tasks.validate.task import validate_task
from training.data.records import Clip, Description, Partition
from training.data.store import LatentStore
from training.engine.history import read_history
from training.engine.run_folder import check_or_write_manifest
from training.reporting.publish import publish
from training.systems.multiview.tables import read_scores_csv, write_scores
from training.systems.separated.separator import MaskSeparator, load_separator, save_separator

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        write: writes a good one, perhaps with others, into an empty folder, and returns its path.
        read: reads it, and returns something if it is sound.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], object]


def _annotations(folder: Path) -> Path:
    rows = [["train", 1, f"{n}.wav", *([0] * (len(COLUMNS) - 3))] for n in range(3)]
    path = folder / "annotations.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in [COLUMNS, *rows]) + "\n")
    return path


def _split(folder: Path) -> Path:
    SensorSplit((1, 2), (3,), (4, 5)).save(folder / "split.json")
    return folder / "split.json"


def _store(folder: Path) -> Path:
    clips = [Clip("a.wav", 1, {"source": COARSE[:1]}), Clip("b.wav", 1)]
    front = {"name": "demo", "sha256": "0" * 64, "dim": 8, "hop": 512, "sample_rate": 44_100}
    store = LatentStore.create(folder, Description(clips, front, Partition((1,)), {"source": COARSE}), 4)
    for clip in range(2):
        store.renditions["original"].write(clip, np.ones((3, 8)))
    return folder / "store.json"


def _read_store(path: Path) -> object:
    store = LatentStore(path.parent)
    store.require()
    return store.statistics([0, 1])


def _checkpoint(folder: Path) -> Path:
    return Path(shutil.copy(BUNDLED, folder / "checkpoint.safetensors"))


def _read_checkpoint(path: Path) -> object:
    shutil.rmtree(path.parent / "published", ignore_errors=True)
    describe(path)
    return publish(path, "org/name", dry_run=path.parent / "published")


def _card(folder: Path) -> Path:
    (folder / "card.json").write_text(json.dumps(checkpoint.load(BUNDLED).card))
    return folder / "card.json"


def _read_card(path: Path) -> object:
    """A checkpoint with this card, read. Other text than JSON is the business of the other kinds."""
    try:
        card = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError):
        return None
    checkpoint.save(path.with_name("card.json.safetensors"), checkpoint.load(BUNDLED).tensors, card)
    return _read_checkpoint(path.with_name("card.json.safetensors"))


def _separator(folder: Path) -> Path:
    torch.manual_seed(0)
    save_separator(folder / "x.safetensors", MaskSeparator(2, 64, (2, 2), 4, 1, 1), {})
    return folder / "x.safetensors"


def _history(folder: Path) -> Path:
    (folder / "history.jsonl").write_text('{"epoch": 0, "valid": {"total": 1.5}}\n{"epoch": 1}\n')
    return folder / "history.jsonl"


def _manifest(folder: Path) -> Path:
    check_or_write_manifest(folder / "made-of.json", {"latent store": "abc"})
    return folder / "made-of.json"


def _task(folder: Path) -> Path:
    import soundfile

    splits: dict[str, dict[str, list[str]]] = {}
    sources = {}
    for number, split in enumerate(("train", "valid", "test")):
        names = [f"{split}{clip}.wav" for clip in range(2)]
        splits[split] = dict(zip(names, (["dog"], ["cat"]), strict=True))
        for clip, name in enumerate(names):
            sources[name] = folder.parent / f"{folder.name}-{name}"
            noise = np.random.default_rng(10 * number + clip).uniform(-0.5, 0.5, 800)
            soundfile.write(sources[name], noise, 8000)
    task = Task("pets", ("dog", "cat"), splits, "multiclass", ("top1_acc",), 0.1)
    return write_task(task, sources, folder, sample_rate=8000).folder


def _record(folder: Path) -> Path:
    record = EmbeddingRecord("m", "1", {"tensors": "0"}, {"view": "joint"}, 8000, {"labels": "1", "audio": "2"}, "3")
    record.write(folder)
    return folder / "embedding_record.json"


def _read_record(path: Path) -> object:
    found = EmbeddingRecord.read(path.parent)
    return found and differences(found, found)


def _scores(folder: Path) -> Path:
    score = {"test": {"test_mAP": 0.5, "test_score": 0.5, "validation_score": 0.5}, "score_mode": "max"}
    (folder / "test.predicted-scores.json").write_text(json.dumps(score))
    return folder / "test.predicted-scores.json"


def _table(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        rows = Rows("a.wav", "0" * 64, np.arange(3.0), np.arange(1, 4.0), np.ones((3, 4), np.float32))
        about = {"model": "", "view": "joint", "kind": "window"}
        write_table(folder / f"t{suffix}", iter([rows]), total=3, dim=4, metadata=about)
        return folder / f"t{suffix}"

    return write


def _read_table(path: Path) -> object:
    table = open_table(path if path.suffix in (".parquet", ".zarr") else path.with_suffix(".npy"))
    return [table.rows(0, len(table))]


def _parts(folder: Path) -> Path:
    rows = Rows("a.wav", "0" * 64, np.arange(3.0), np.arange(1, 4.0), np.ones((3, 4), np.float32))
    with Parts(folder / "parts", 4, {"view": "joint"}) as parts:
        parts.append(rows)
        parts.finish("0" * 64)
        (index,) = (folder / "parts").glob("*.jsonl")
    return index


def _read_parts(path: Path) -> object:
    parts = Parts(path.parent, 4, {"view": "joint"})
    return [list(parts.rows("a.wav", sha256)) for sha256 in parts.done]


def _published(folder: Path) -> Path:
    (folder / "published.csv").write_text(f"{MODEL},{','.join(TASKS)}\nm,{','.join(['0.5'] * len(TASKS))}\n")
    return folder / "published.csv"


def _scores_csv(folder: Path) -> Path:
    write_scores(folder / "scores.csv", {("m", "joint", "source_map"): {0: 0.5, 1: 0.25}})
    return folder / "scores.csv"


KINDS = {
    "annotations.csv": Kind(_annotations, read_labels),
    "split": Kind(_split, SensorSplit.load),
    "store.json": Kind(_store, _read_store),
    "checkpoint": Kind(_checkpoint, _read_checkpoint),
    "card": Kind(_card, _read_card),
    "codec": Kind(lambda folder: Path(shutil.copy(BUNDLED.with_name("demo_codec.safetensors"), folder)), read_bundle),
    "separator": Kind(_separator, load_separator),
    "history.jsonl": Kind(_history, read_history),
    "made-of.json": Kind(_manifest, lambda path: check_or_write_manifest(path, {"latent store": "abc"})),
    "embedding_record.json": Kind(_record, _read_record),
    "predicted-scores.json": Kind(_scores, read_heareval_score),
    "table.npy": Kind(_table(".npy"), _read_table),
    "table.csv": Kind(lambda folder: _table(".npy")(folder).with_suffix(".csv"), _read_table),
    "table.json": Kind(lambda folder: _table(".npy")(folder).with_suffix(".json"), _read_table),
    "table.parquet": Kind(_table(".parquet"), _read_table),
    "parts": Kind(_parts, _read_parts),
    "leaderboard.csv": Kind(_published, read_published),
    "scores.csv": Kind(_scores_csv, read_scores_csv),
}


def _task_file(name: str) -> Callable[[Path], Path]:
    return lambda folder: _task(folder) / name


def _read_results(path: Path) -> None:
    check_results({"m": {"pets": path.parent}})


for _name in ("task_metadata.json", "labelvocabulary.csv", "train.json"):
    KINDS[f"validate {_name}"] = Kind(_task_file(_name), lambda path: validate_task(path.parent))
    KINDS[f"digest {_name}"] = Kind(_task_file(_name), lambda path: task_digest(path.parent, 8000))
    KINDS[f"results {_name}"] = Kind(_task_file(_name), _read_results)

#: Values that a field of JSON can have in place of its own.
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e308, 2**70, float("nan"), "", "x", "..", "../../x", "/x", "NaN", "\ud800", "a\0b"),
    *([], {}, [None], [[1]], {"a": 1}, ["x", "x"], [0, 0]),
)


def spoilt(content: bytes, draw: Any) -> bytes:
    """``content`` with a fault drawn by hypothesis: in its bytes, its lines, or, of JSON, in one of its values."""
    fault = draw(st.sampled_from(["cut", "bytes", "lines", "fields", "value", "value", "value", "any"]))
    if fault == "any":
        nested = st.sampled_from([b"[", b'{"a":']).map(lambda bracket: bracket * 5000)
        return draw(st.one_of(st.binary(max_size=100), st.text(max_size=50).map(str.encode), nested))
    if fault == "cut":
        return content[: draw(st.integers(0, len(content)))]
    if fault == "lines":
        lines = content.split(b"\n")
        line = draw(st.integers(0, len(lines) - 1))
        return b"\n".join([*lines[:line], *draw(st.sampled_from([[], lines[line : line + 1] * 2])), *lines[line + 1 :]])
    if fault == "fields":
        fields = content.split(b",")
        fields[draw(st.integers(0, len(fields) - 1))] = draw(
            st.sampled_from([b"", b"-1", b"1e999", b'"', b"\xff", b"x"])
        )
        return b",".join(fields)
    head = 8 if content[8:9] == b"{" else 0  # safetensors: the length of the header comes first
    size = int.from_bytes(content[:8], "little") if head else len(content)
    try:
        value = json.loads(content[head : head + size].split(b"\n" if not head else b"\0")[0] or b"null")
        value = json.loads(content[head : head + size]) if not head or value is None else value
    except ValueError:
        value = None
    if fault == "value" and isinstance(value, dict):
        text = json.dumps(_changed(value, draw)).encode(errors="surrogatepass")
        return (len(text).to_bytes(8, "little") if head else b"") + text + content[head + size :]
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4)) if data else 0):
        data[draw(st.integers(0, min(len(data), 4000) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


def _changed(value: dict[str, Any], draw: Any) -> dict[str, Any]:
    """A copy of a JSON object with one value changed, at any depth; JSON in strings counts as its values."""
    changed = copy.deepcopy(value)
    place: Any = changed
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[key]
        if isinstance(inner, str) and inner.startswith("{"):
            place[key] = json.dumps(_changed(json.loads(inner), draw))
            return changed
        if isinstance(inner, dict | list) and inner and draw(st.booleans()):
            place = inner
            continue
        if isinstance(place, dict) and draw(st.integers(0, 3)) == 0:
            del place[key]
        else:
            place[key] = draw(st.sampled_from(VALUES))
        return changed


class Goods:
    """The good file of each kind, and its content."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[Path, bytes]] = {}


@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_a_spoilt_file_is_named_or_read(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, goods: Goods
) -> None:
    if name not in goods.files:
        folder = tmp_path_factory.mktemp("good") / "folder"
        folder.mkdir()
        path = KINDS[name].write(folder)
        goods.files[name] = path, path.read_bytes()
        KINDS[name].read(path)
    path, good = goods.files[name]
    path.write_bytes(spoilt(good, data.draw))
    named_or_read(name, path)


def named_or_read(name: str, path: Path) -> bool:
    """Whether the file ``path`` is refused; then by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            KINDS[name].read(path)
        except (ValueError, FileNotFoundError) as error:
            text = str(error)
        else:
            return False
    assert path.name in text or path.parent.name in text or str(path) in text
    return True


@pytest.mark.parametrize("name", KINDS)
def test_brackets_thousands_deep(name: str, tmp_path: Path) -> None:
    """Python's reader of JSON raises RecursionError, which is no ValueError."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = KINDS[name].write(folder)
    path.write_bytes(b'{"a":' * 5000)
    refused = named_or_read(name, path)
    # The first looks for findings, the second is not part of what is compared, and of parts a line that is cut short.
    assert (
        refused
        or name.startswith("validate")
        or name in ("results labelvocabulary.csv", "parts", "card", "digest labelvocabulary.csv")
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("parts", {"rows": 2**40}),
        ("parts", {"rows": -1, "crc32": 0}),
        ("parts", {"rows": "3"}),
        ("parts", {"sha256": [0]}),
        ("store.json", {"renditions": ["original", "\ud800"]}),
        ("card", {"data": None}),
        ("card", {"data": "\ud800"}),
        ("card", {"frontend": {"name": "demo", "sha256": "0", "hop": "x", "sample_rate": 44_100}}),
        ("card", {"metrics": [1]}),
    ],
)
def test_values_that_fuzzing_has_found(name: str, change: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = KINDS[name].write(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    if name == "parts":  # a line that cannot be used counts for nothing
        assert not KINDS[name].read(path) or "sha256" in change
    else:
        assert named_or_read(name, path)


@pytest.mark.parametrize("name", ["annotations.csv", "scores.csv", "digest labelvocabulary.csv", "table.npy"])
def test_bytes_that_fuzzing_has_found(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = KINDS[name].write(folder)
    path.write_bytes(path.read_bytes().replace(b"e", b"\xdb"))
    assert named_or_read(name, path)


@pytest.fixture(scope="module")
def goods() -> Goods:
    return Goods()
