"""The linear probe: it finds what is there on clips that it has not seen, and writes it down once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.probes.linear_probe import FILE, linear_predictions

CLASSES = ("a", "b", "c")


def embedded(folder: Path, kind: str) -> Path:
    """A task's embeddings as heareval leaves them: the first three dimensions say the class, the others nothing."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    (folder / "task_metadata.json").write_text(json.dumps({"prediction_type": kind}))
    (folder / "labelvocabulary.csv").write_text("idx,label\n" + "".join(f"{i},{c}\n" for i, c in enumerate(CLASSES)))
    for split, clips in (("train", 30), ("valid", 15), ("test", 15)):
        labels = {}
        (folder / split).mkdir()
        for number in range(clips):
            # In the multilabel task nobody has the last class.
            own = [CLASSES[number % 3]] if kind == "multiclass" else [c for c in CLASSES[:2] if rng.random() < 0.5]
            labels[f"{number}.wav"] = own
            x = np.array([float(c in own) for c in CLASSES] + [0.0] * 4) + 0.05 * rng.normal(size=7)
            np.save(folder / split / f"{number}.wav.embedding.npy", x)
        (folder / f"{split}.json").write_text(json.dumps(labels))
    return folder


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_what_is_there_is_found(tmp_path: Path, kind: str) -> None:
    found = linear_predictions(embedded(tmp_path / "task", kind))
    assert found.target.shape == found.prediction.shape == (15, 3)
    assert np.array_equal(found.prediction > 0.5, found.target)
    if kind == "multiclass":
        np.testing.assert_allclose(found.prediction.sum(1), 1)
    else:
        assert (found.prediction[:, 2] == 0).all()


def test_it_is_written_down_once(tmp_path: Path) -> None:
    place = embedded(tmp_path / "task", "multiclass")
    first = linear_predictions(place)
    stamp = (place / FILE).stat().st_mtime_ns
    again = linear_predictions(place)
    assert np.array_equal(again.prediction, first.prediction)
    assert (place / FILE).stat().st_mtime_ns == stamp
    assert not list(place.glob("*.part*"))


def test_it_is_computed_again_from_other_embeddings_or_where_it_is_damaged(tmp_path: Path) -> None:
    place = embedded(tmp_path / "task", "multiclass")
    first = linear_predictions(place)
    whole = (place / FILE).read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"not it"):
        (place / FILE).write_bytes(content)
        np.testing.assert_array_equal(linear_predictions(place).prediction, first.prediction)
    file = place / "test" / "0.wav.embedding.npy"
    np.save(file, np.load(place / "test" / "1.wav.embedding.npy"))
    again = linear_predictions(place)
    np.testing.assert_array_equal(again.prediction[0], again.prediction[1])
    assert not np.array_equal(first.prediction[0], again.prediction[0])
