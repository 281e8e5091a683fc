"""Weight files: what is accepted, what is refused and how it says so; no pickled code is ever run."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hear_multiview.files import file_digest
from hear_multiview.frontends import load_frontend
from hear_multiview.frontends.dac import weights as codec_weights
from hear_multiview.frontends.dac.weights import read_bundle, read_dac
from training.codec.bundle import seeded_codec


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codec") / "weights.pth"
    seeded_codec(1, encoder_dim=4, decoder_dim=16).save(str(path), package=False)
    return path


def changed(path: Path, folder: Path, **kwargs: Any) -> Path:
    """A copy of the weight file with other arguments in it."""
    stored = torch.load(path, weights_only=True)
    stored["metadata"]["kwargs"].update(kwargs)
    torch.save(stored, folder / "changed.pth")
    return folder / "changed.pth"


def test_official_file(official_codec_file: Path) -> None:
    weights = read_dac(official_codec_file, official=True)
    assert (weights.dim, weights.hop, weights.sample_rate) == (1024, 512, 44_100)
    assert weights.digest == file_digest(official_codec_file)
    assert sum(tensor.numel() for tensor in weights.encoder.values()) == pytest.approx(22.3e6, rel=0.01)


def test_bundle_is_small_and_whole() -> None:
    weights = read_bundle()
    assert codec_weights.BUNDLE.stat().st_size < 8e6
    assert weights.encoder["block.0.weight_g"].shape == (weights.arguments["encoder_dim"], 1, 1)


def test_another_width_is_not_the_official_codec(small_file: Path) -> None:
    with pytest.raises(ValueError, match=r"encoder_dim 4.* 64.*'demo'"):
        read_dac(small_file, official=True)
    assert read_dac(small_file, official=False).dim == 64


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"sample_rate": 16_000}, "is a codec with sample_rate 16000, not 44100"),
        (
            {"encoder_dim": 8},
            r"changed\.pth .*encoder.* tensors differ",
        ),
        ({"encoder_rates": None}, "is not a descript-audio-codec weight file"),
    ],
)
def test_arguments_that_do_not_fit(small_file: Path, tmp_path: Path, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_dac(changed(small_file, tmp_path, **kwargs), official=False)


def test_another_hop(tmp_path: Path) -> None:
    path = tmp_path / "hop.pth"
    seeded_codec(1, encoder_dim=4, decoder_dim=16, encoder_rates=[2, 4, 8], decoder_rates=[8, 4, 2]).save(
        str(path), package=False
    )
    with pytest.raises(ValueError, match=r" 64 .* 512"):
        read_dac(path, official=False)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        load_frontend("dac_44khz", tmp_path / "nothing.pth")


def test_truncated_file(small_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.pth"
    path.write_bytes(small_file.read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"half\.pth is cut short"):
        read_dac(path, official=False)


def test_a_truncated_file_of_torchs_older_format(small_file: Path, tmp_path: Path) -> None:
    torch.save(torch.load(small_file, weights_only=True), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    path = tmp_path / "half.pth"
    path.write_bytes((tmp_path / "old.pth").read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"half\.pth \(0\.\d MB\).* truncated"):
        read_dac(path, official=False)


def test_a_page_in_place_of_the_weights_does_not_stay_in_the_cache(
    tmp_path: Path, file_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address, _ = file_server
    (folder / "weights.pth").write_bytes(b"<!DOCTYPE html><title>Log in to this network</title>")
    monkeypatch.setattr(codec_weights, "CACHE", tmp_path / "cache" / "w.pth")
    monkeypatch.setattr(codec_weights, "URL", f"{address}/weights.pth")
    with pytest.raises(ValueError, match=r"web page.*frontend_weights"):
        load_frontend("dac_44khz")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("stored", [torch.zeros(3), {"state_dict": {}}, {"state_dict": {}, "metadata": {}}])
def test_other_torch_files(tmp_path: Path, stored: Any) -> None:
    torch.save(stored, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth .*descript-audio-codec"):
        read_dac(tmp_path / "x.pth", official=False)


class Bomb:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, writer: Any) -> None:
    writer({"state_dict": {}, "metadata": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    with pytest.raises(ValueError, match=r"bomb\.pth .*tensors"):
        read_dac(tmp_path / "bomb.pth", official=False)
    assert not (tmp_path / "ran").exists()


def test_a_torch_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "package.pth"
    with torch.package.PackageExporter(path) as exporter:
        exporter.save_pickle("DAC", "DAC.pth", {"weights": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"torch\.package"):
        read_dac(path, official=False)


def test_the_codecs_own_cache_comes_before_a_download(
    official_codec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec_weights, "CACHE", official_codec_file)
    monkeypatch.setattr(codec_weights, "URL", "http://127.0.0.1:9/unreachable")
    assert load_frontend("dac_44khz").digest == file_digest(official_codec_file)


def test_downloaded_into_the_cache(
    official_codec_file: Path, tmp_path: Path, file_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address, _ = file_server
    (folder / "weights.pth").symlink_to(official_codec_file)
    monkeypatch.setattr(codec_weights, "CACHE", tmp_path / "cache" / "weights.pth")
    monkeypatch.setattr(codec_weights, "URL", f"{address}/weights.pth")
    assert load_frontend("dac_44khz").dim == 1024
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["weights.pth"]


def test_no_network_is_one_sentence_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_weights, "CACHE", tmp_path / "weights.pth")
    monkeypatch.setattr(codec_weights, "URL", "http://127.0.0.1:9/weights.pth")
    with pytest.raises(ValueError, match=r"frontend_weights.*frontend='demo'"):
        load_frontend("dac_44khz")


def test_two_at_once_download_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would write to the same unfinished file."""
    calls = []

    def slow(url: str, path: Path, **_: Any) -> None:
        calls.append(url)
        time.sleep(0.2)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")

    monkeypatch.setattr(codec_weights, "CACHE", tmp_path / "cache" / "weights.pth")
    monkeypatch.setattr(codec_weights, "download", slow)
    both = [threading.Thread(target=codec_weights.cached_or_downloaded) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(calls) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["weights.pth"]
