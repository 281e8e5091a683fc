"""Records of embeddings: equal for what is equal, and different for each thing that determines embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import hear_multiview
from sonyc_tasks.files import file_digest
from sonyc_tasks.launcher import embedding_record
from sonyc_tasks.launcher.embedding_record import (
    EmbeddingRecord,
    differences,
    labels_digest,
    task_digest,
    tensor_digest,
)
from tests.hear_multiview.codec_checkpoint import saved_checkpoint

RECORD = EmbeddingRecord(
    module="some.module",
    version="1.0",
    weights={"tensors": "a" * 64, "file": "b" * 64},
    options={"view": "private", "depth": 2},
    sample_rate=16_000,
    task={"labels": "c" * 64, "audio": "d" * 64},
    heareval="2021.1.3",
)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task folder of two clips at 8 kHz."""
    folder = tmp_path / "task"
    folder.mkdir()
    metadata = {"task_name": "t", "splits": ["train", "test"], "evaluation": ["mAP"], "build": {"audio": "x"}}
    (folder / "task_metadata.json").write_text(json.dumps(metadata))
    (folder / "labelvocabulary.csv").write_text("idx,label\n0,dog\n")
    for split in ("train", "test"):
        (folder / f"{split}.json").write_text(json.dumps({f"{split}.wav": ["dog"]}))
        (folder / "8000" / split).mkdir(parents=True)
        soundfile.write(folder / "8000" / split / f"{split}.wav", np.zeros(800), 8000)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert EmbeddingRecord.read(tmp_path) is None
    RECORD.write(tmp_path)
    assert EmbeddingRecord.read(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == [embedding_record.FILE]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', json.dumps({"format": 2}), b"\xff\xfe"])
def test_a_broken_record_is_named(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / embedding_record.FILE
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError, match="embedding_record") as caught:
        EmbeddingRecord.read(tmp_path)
    assert str(path) in str(caught.value)


def test_any_cut_record_is_named(tmp_path: Path) -> None:
    RECORD.write(tmp_path)
    path = tmp_path / embedding_record.FILE
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="embedding_record"):
            EmbeddingRecord.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"module": "other"}, "module"),
        ({"version": None}, "version"),
        ({"weights": {**RECORD.weights, "tensors": "e" * 64}}, "weights"),
        ({"weights": {"tensors": "a" * 64}}, "file"),
        ({"options": {"view": "shared", "depth": 2}}, "options"),
        ({"sample_rate": 8000}, "rate"),
        ({"task": {**RECORD.task, "labels": "e" * 64}}, "labels"),
        ({"task": {**RECORD.task, "audio": "e" * 64}}, "audio"),
        ({"heareval": "2022"}, "heareval"),
    ],
)
def test_each_difference_is_told_alone(change: dict[str, Any], word: str) -> None:
    (told,) = differences(RECORD, replace(RECORD, **change))
    assert word in told
    assert differences(RECORD, replace(RECORD)) == []


def test_audio_of_two_rates_is_not_compared() -> None:
    other = replace(RECORD, sample_rate=8000, task={**RECORD.task, "audio": "e" * 64}, module="other")
    assert embedding_record.task_differences(RECORD, other) == []
    other = replace(other, task={**other.task, "labels": "e" * 64})
    assert len(embedding_record.task_differences(RECORD, other)) == 1


def edited(file: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda task: (task / file).write_text((task / file).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (edited("train.json", '["dog"]', "[]"), "labels"),
        (edited("labelvocabulary.csv", "dog", "cat"), "labels"),
        (edited("task_metadata.json", "mAP", "d_prime"), "labels"),
        (edited("task_metadata.json", '"x"', '"y"'), "audio"),
        (lambda task: soundfile.write(task / "8000/test/test.wav", np.zeros(801), 8000), "audio"),
    ],
)
def test_each_change_of_a_task_changes_its_part(change: Callable[[Path], object], part: str, task: Path) -> None:
    before = task_digest(task, 8000)
    assert task_digest(task, 8000) == before
    change(task)
    after = task_digest(task, 8000)
    assert {key for key in before if before[key] != after[key]} == {part}


def test_form_alone_is_no_change(task: Path) -> None:
    before = labels_digest(task)
    path = task / "task_metadata.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=3))
    assert labels_digest(task) == before


def test_what_a_task_lacks_is_named(task: Path) -> None:
    (task / "8000/test/test.wav").unlink()
    with pytest.raises(FileNotFoundError, match=r"8000/test/test\.wav"):
        task_digest(task, 8000)
    (task / "test.json").write_text("[")
    with pytest.raises(ValueError, match=r"test\.json"):
        labels_digest(task)
    with pytest.raises(FileNotFoundError, match=r"elsewhere/task_metadata\.json"):
        labels_digest(task / "elsewhere")


@pytest.mark.parametrize("codec", [False, True])
def test_every_tensor_of_our_model_counts(codec: bool, tmp_path: Path) -> None:
    path = saved_checkpoint(tmp_path) if codec else None
    model = hear_multiview.load_model(path)
    before = tensor_digest(model)
    assert tensor_digest(hear_multiview.load_model(path)) == before
    names = [name for name, tensor in model.state_dict().items() if tensor.numel()]
    assert {name.partition(".")[0] for name in names} >= {"frontend", "encoder"}
    for name in (names[0], names[len(names) // 2], names[-1]):
        tensor = model.state_dict()[name]  # shares its memory with the model
        with torch.no_grad():
            tensor.view(-1)[-1] += 1
            assert tensor_digest(model) != before, name
            tensor.view(-1)[-1] -= 1


def test_names_types_and_buffers_count() -> None:
    class Model(torch.nn.Module):
        def __init__(self, name: str, value: torch.Tensor, persistent: bool = True) -> None:
            super().__init__()
            self.register_buffer(name, value, persistent=persistent)

    zeros = torch.zeros(2, dtype=torch.bfloat16)
    models = [
        Model("a", zeros),
        Model("b", zeros),
        Model("a", zeros.half()),
        Model("a", zeros[None]),
        Model("a", zeros + 1),
        Model("a", zeros + 2, persistent=False),
    ]
    assert len({tensor_digest(model) for model in models}) == len(models)


def test_a_tensorflow_model_has_variables() -> None:
    class Variable:
        def __init__(self, name: str, value: np.ndarray) -> None:
            self.name, self.numpy = name, lambda: value

    class Model:
        def __init__(self, *variables: Variable) -> None:
            self.variables = variables

    one, two = Variable("w:0", np.zeros(3)), Variable("w:0", np.ones(3))
    assert tensor_digest(Model(one)) == tensor_digest(Model(Variable("w:0", np.zeros(3))))
    assert tensor_digest(Model(one)) != tensor_digest(Model(two))
    assert tensor_digest(Model(one)) != tensor_digest(Model())


def test_versions_and_files(tmp_path: Path) -> None:
    assert embedding_record.module_version("hear_multiview.references.mel_statistics") == hear_multiview.__version__
    assert embedding_record.module_version("json.decoder") == json.__version__  # type: ignore[attr-defined]
    assert embedding_record.module_version("colorsys") is None
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    assert file_digest(tmp_path / "file") == hashlib.sha256(bytes(3_000_000)).hexdigest()
