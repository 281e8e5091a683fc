"""The MTEB encoder: alone against the HEAR API, and in MTEB's own evaluation where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hear_multiview
from hear_multiview import checkpoint
from hear_multiview.adapters.mteb import MultiviewEncoder
from hear_multiview.api import BUNDLED

Noise = Callable[..., Tensor]


#: Options of a codec, which computes in chunks, sets each clip's loudness, and can compute in bfloat16.
CODEC = {"view": "frontend", "frontend": "demo"}


@pytest.fixture(scope="module", params=[{}, CODEC], ids=["bundled", "codec"])
def encoder(request: pytest.FixtureRequest) -> MultiviewEncoder:
    return MultiviewEncoder(**request.param)


def clip(samples: Any, rate: int) -> dict[str, Any]:
    return {"array": np.asarray(samples), "sampling_rate": rate}


def test_each_clip_is_embedded_alone(encoder: MultiviewEncoder, noise: Noise) -> None:
    clips, rate = [*noise(2, 0.5), *noise(1, 1.2)], encoder.model.sample_rate
    batches = [{"audio": [clip(x, rate) for x in clips[:2]]}, {"audio": [clip(clips[2], rate)]}]
    expected = [hear_multiview.get_scene_embeddings(x[None], encoder.model).numpy() for x in clips]
    got = encoder.encode(batches, batch_size=2, show_progress_bar=False)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.concatenate(expected))


def test_options_are_those_of_load_model(noise: Noise) -> None:
    audio, model = noise(1, 0.5), hear_multiview.load_model(view="shared")
    expected = hear_multiview.get_scene_embeddings(audio, model)
    got = MultiviewEncoder(view="shared", path=BUNDLED).encode([{"audio": [clip(audio[0], model.sample_rate)]}])
    np.testing.assert_array_equal(got, expected.numpy())
    with pytest.raises(ValueError, match="view 'both'"):
        MultiviewEncoder(view="both")


def test_channels_are_averaged_and_rates_brought_to_the_model_s(encoder: MultiviewEncoder) -> None:
    """A tone sampled at two rates is one tone, and its two channels are its mean."""
    rates = encoder.model.sample_rate, 60_100 - encoder.model.sample_rate  # 16 and 44.1 kHz, or the other way round
    own_tone, other_tone = (0.1 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate) for rate in rates)
    own, other = encoder.encode([{"audio": [clip(own_tone, rates[0]), clip(other_tone, rates[1])]}])
    assert float(encoder.similarity_pairwise(other, own)) > 0.99
    stereo = clip(np.stack([1.5 * own_tone, 0.5 * own_tone]), rates[0])
    np.testing.assert_allclose(encoder.encode([{"audio": [stereo]}])[0], own, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 255, 256])
def test_short_clips_and_silence_have_an_embedding(encoder: MultiviewEncoder, noise: Noise, samples: int) -> None:
    short, rate = noise(1, 1)[:, :samples], encoder.model.sample_rate
    padded = torch.nn.functional.pad(short, (0, 256 - samples))
    expected = hear_multiview.get_scene_embeddings(padded, encoder.model).numpy()
    got = encoder.encode([{"audio": [clip(short[0], rate), clip(np.zeros(samples), rate)]}])
    np.testing.assert_array_equal(got[:1], expected)
    assert np.isfinite(got).all()


def test_similarity_is_the_cosine(encoder: MultiviewEncoder) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 5, 7))
    cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    np.testing.assert_allclose(encoder.similarity(a, torch.from_numpy(b[:3])), cosines[:, :3], atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(a, b), np.diag(cosines), atol=1e-6)


def test_scores_are_kept_by_all_that_they_depend_on() -> None:
    pytest.importorskip("mteb")
    bundled = MultiviewEncoder()
    assert bundled.mteb_model_meta == MultiviewEncoder(path=BUNDLED).mteb_model_meta
    about = [bundled.mteb_model_meta, MultiviewEncoder(view="private").mteb_model_meta]
    about += [MultiviewEncoder(**CODEC, precision=precision).mteb_model_meta for precision in ("fp32", "bf16")]
    other = checkpoint.load(BUNDLED).encoder()
    with torch.no_grad():
        other.mean += 1
    about.append(_with(other).mteb_model_meta)
    views = ["joint", "private", "frontend", "frontend", "joint"]
    assert [meta.name for meta in about] == [f"hear_multiview/{view}" for view in views]
    sizes = {view: hear_multiview.load_model(view=view).scene_embedding_size for view in ("joint", "private")}
    assert [meta.embed_dim for meta in about] == [sizes.get(view, 256) for view in views]  # 256: of the codec
    assert len({(meta.name, meta.revision) for meta in about}) == 5


def test_a_clip_that_cannot_be_embedded_is_named_by_its_number(encoder: MultiviewEncoder, noise: Noise) -> None:
    rate = encoder.model.sample_rate
    good = clip(noise(1, 0.1)[0], rate)
    for odd in (np.zeros(0), np.full(9, np.nan), np.zeros((88_200, 2)), np.zeros(9, np.int64)):
        with pytest.raises(ValueError, match=r"\bclip 3\b"):
            encoder.encode([{"audio": [good, good]}, {"audio": [good, clip(odd, rate), good]}])
    with pytest.raises(ValueError, match=r"clip 1 .*sampling rate"):
        encoder.encode([{"audio": [good, clip(good["array"], 0)]}])


def test_it_imports_without_torchaudio(python: Callable[..., Any]) -> None:
    code = "import sys; import hear_multiview.adapters.mteb; print('torchaudio' in sys.modules)"
    assert python("-c", code).stdout == "False\n"


@pytest.mark.parametrize("kind", ["AudioClassification", "AudioPairClassification"])
def test_a_task_of_mteb_from_audio_to_scores(kind: str, tmp_path: Path) -> None:
    """Tones against noise, of unequal lengths, in memory; the scores lie where MTEB looks for them again."""
    mteb = pytest.importorskip("mteb")
    model, cache = MultiviewEncoder(view="private"), mteb.ResultCache(tmp_path)
    options = {"cache": cache, "encode_kwargs": {"batch_size": 5}, "show_progress_bar": False, "co2_tracker": False}
    (result,) = mteb.evaluate(model, _task(kind), **options).task_results
    assert result.get_score() > 0.95  # guessing gives a half
    kept = cache.load_task_result("Tones", model.mteb_model_meta)
    assert kept.get_score() == pytest.approx(result.get_score(), abs=1e-5)
    assert cache.load_task_result("Tones", MultiviewEncoder(view="shared").mteb_model_meta) is None


def _task(kind: str) -> Any:
    """A task of MTEB's ``kind`` with its data: which clips are tones, or which pairs are alike."""
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTaskClassification, AbsTaskPairClassification
    from mteb.abstasks.task_metadata import TaskMetadata

    generator = np.random.default_rng(0)

    def sounds(tones: list[bool]) -> list[dict[str, Any]]:
        lengths = generator.integers(3_200, 8_000, len(tones))
        waves = [
            np.sin(np.arange(n) * generator.uniform(0.2, 0.6)) if tone else generator.standard_normal(n)
            for tone, n in zip(tones, lengths, strict=True)
        ]
        return [clip(0.1 * wave, 16_000) for wave in waves]

    tones = [i % 2 == 0 for i in range(24)]
    columns: dict[str, list[Any]]
    if kind == "AudioClassification":
        base, score, columns = AbsTaskClassification, "accuracy", {"audio": sounds(tones)}
        names = {"input_column_name": "audio", "label_column_name": "label"}
    else:
        others = [i % 3 == 0 for i in range(24)]
        base, score, columns = AbsTaskPairClassification, "max_ap", {"one": sounds(tones), "two": sounds(others)}
        names = {"input1_column_name": "one", "input2_column_name": "two", "label_column_name": "label"}
        tones = [a == b for a, b in zip(tones, others, strict=True)]
    data = Dataset.from_dict({**columns, "label": [int(tone) for tone in tones]})
    about = TaskMetadata(
        name="Tones",
        description="Tones against noise.",
        dataset={"path": "none/none", "revision": "1"},
        type=kind,
        modalities=["audio"],
        eval_langs=["zxx-Zxxx"],
        main_score=score,
    )
    task = type("Tones", (base,), {"metadata": about, **names})()
    task.dataset, task.data_loaded = DatasetDict(train=data, test=data), True
    return task


def _with(part: Any) -> MultiviewEncoder:
    """The bundled model with ``part`` for its encoder."""
    other = MultiviewEncoder()
    other.model.encoder = part  # type: ignore[assignment]
    return other
