"""Search in tables: in views, by recordings and by rows, as a command and as a page to listen to."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import hear_multiview
from hear_multiview.__main__ import main
from hear_multiview.api import BUNDLED
from hear_multiview.files import file_digest
from hear_multiview.recordings.embed import Division
from hear_multiview.recordings.embed_table import embed_table
from hear_multiview.recordings.pages import listening
from hear_multiview.recordings.pages.listening import write_listening_page
from hear_multiview.recordings.places import Stretch, link, locate
from hear_multiview.recordings.query import columns_for, embed_query
from hear_multiview.recordings.search import Hit, search, view_columns
from hear_multiview.recordings.table import Table, open_table

MakeTable = Callable[..., Table]
HOSTILE = "<img src=x onerror='broken = 1'>\"&.wav"


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    a, b = x.astype(np.float64), y.astype(np.float64)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def sounds(folder: Path, names: tuple[str, ...] = ("a.wav", "b.wav", "c.wav", HOSTILE)) -> list[str]:
    """Short stereo sounds, each another."""
    paths = []
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        tone = np.sin(2 * np.pi * 300 * (k + 1) * np.arange(11_025) / 22_050)
        soundfile.write(folder / name, 0.1 * tone[:, None] + 0.02 * (k + 1) * rng.normal(size=(11_025, 2)), 22_050)
        paths.append(str(folder / name))
    return paths


def embedded(make_table: MakeTable, paths: list[str], view: str = "joint") -> Table:
    """A table of the bundled model, by the HEAR API."""
    model = hear_multiview.load_model(view=view)
    audio = torch.cat([hear_multiview.read(path, model) for path in paths])
    return make_table(
        hear_multiview.get_scene_embeddings(audio, model).numpy(),
        paths,
        view=view,
        checkpoint_sha256=file_digest(BUNDLED),
        frontend=model.frontend.name,
        frontend_sha256=model.frontend.digest,
        precision="fp32",
    )


def cells(markdown: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines()[2:]]


@pytest.mark.parametrize("columns", [slice(None), slice(2, 7)])
def test_against_all_pairs(make_table: MakeTable, columns: slice, monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = np.random.default_rng(0).normal(size=(50, 9)).astype(np.float32)
    table = make_table(embeddings, [f"{k}.wav" for k in range(50)])
    monkeypatch.setattr(Table, "blocks", lambda self: (self.rows(k, min(k + 8, 50)) for k in range(0, 50, 8)))
    expected = {k: cosine(row[columns], embeddings[20, columns]) for k, row in enumerate(embeddings)}
    best = sorted(expected, key=lambda k: -expected[k])
    found = search(table, embeddings[20, columns], 6, columns)
    assert [hit.row for hit in found] == best[:6]
    assert [hit.similarity for hit in found] == pytest.approx([expected[k] for k in best[:6]], abs=1e-8)
    assert [hit.row for hit in search(table, embeddings[20, columns], 6, columns, own=20)] == best[1:7]


def test_the_columns_of_a_view(make_table: MakeTable) -> None:
    table, parts = make_table(np.ones((2, 5)), ["a", "b"]), {"private": 3, "shared": 2}
    assert view_columns(table, "joint", parts) == slice(None)
    assert range(5)[view_columns(table, "private", parts)] == range(3)
    assert range(5)[view_columns(table, "shared", parts)] == range(3, 5)
    single = replace(table, metadata={"view": "private"})
    assert columns_for(single, "private") == slice(None)
    for of, view in ((table, "frontend"), (single, "shared"), (single, "joint")):
        with pytest.raises(ValueError, match=rf"table\.npy.*{view}"):
            view_columns(of, view, parts)


def test_what_cannot_be_searched(make_table: MakeTable) -> None:
    table = make_table(np.ones((2, 5)), ["a", "b"])
    with pytest.raises(ValueError, match=r"\(4,\).*5"):
        search(table, np.ones(4))
    with pytest.raises(ValueError, match=r"table\.npy"):
        search(make_table(np.ones((0, 5)), []), np.ones(5))


def test_a_part_of_a_joint_table_is_the_table_of_that_view(make_table: MakeTable, tmp_path: Path) -> None:
    paths = sounds(tmp_path)
    for view in ("private", "shared"):
        table = embedded(make_table, paths, view)
        query, seconds = embed_query(table, view, Path(paths[2]))
        assert seconds == 0.5
        assert np.array_equal(query, table.row(2))
        alone = search(table, query)
        joint = embedded(make_table, paths)
        assert np.array_equal(embed_query(joint, view, Path(paths[2]))[0], query)
        found = search(joint, query, columns=columns_for(joint, view))
        assert [hit.row for hit in found] == [hit.row for hit in alone]
        assert [hit.similarity for hit in found] == pytest.approx([hit.similarity for hit in alone], abs=1e-5)
        assert found[0] == Hit(2, 1.0)


@pytest.mark.parametrize("view", ["joint", "shared"])
def test_a_recording_can_be_sought_among_frames(make_table: MakeTable, tmp_path: Path, view: str) -> None:
    """The query is the mean of its frames, which has their size, whatever a scene of the model is."""
    paths = sounds(tmp_path)
    embed_table(paths, tmp_path / "frames.npy", division=Division("frame"))
    table = open_table(tmp_path / "frames.npy")
    query, seconds = embed_query(table, view, Path(paths[1]))
    own = np.array([path == paths[1] for path in table.paths])
    expected = table.rows(0, len(table))[own][:, columns_for(table, view)]
    np.testing.assert_allclose(query, expected.mean(axis=0), atol=1e-5)
    assert seconds == 0.5
    assert len(search(table, query, 3, columns_for(table, view))) == 3


def test_another_model_than_the_tables_is_refused(make_table: MakeTable, tmp_path: Path) -> None:
    (path, *_) = paths = sounds(tmp_path, ("a.wav",))
    table = embedded(make_table, paths)
    for change, named in (
        ({"checkpoint_sha256": "1" * 64}, "multiview.safetensors"),
        ({"frontend_sha256": "1" * 64}, table.metadata["frontend"]),
    ):
        other = replace(table, metadata={**table.metadata, **change})
        with pytest.raises(ValueError, match=rf"{named}.*1{{12}}|1{{12}}.*{named}"):
            embed_query(other, "joint", Path(path))
    moved = replace(table, metadata={**table.metadata, "model": str(tmp_path / "moved.safetensors")})
    with pytest.raises(FileNotFoundError, match=r"moved\.safetensors"):
        columns_for(moved, "private")
    assert columns_for(moved, "private", model="") == columns_for(table, "private")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        embed_query(table, "joint", tmp_path)


def test_the_command(make_table: MakeTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sounds(tmp_path)
    file = str(embedded(make_table, paths).file)
    assert main(["search", file, paths[1], "--view", "shared", "-k", "2"]) == 0
    first, second = cells(capsys.readouterr().out)
    assert first == ["1", "1.0000", paths[1], "0.00–0.50 s"]
    assert float(second[1]) < 1
    assert main(["search", file, "--row", "1", "--view", "shared", "-k", "9"]) == 0
    rows = cells(capsys.readouterr().out)
    assert len(rows) == 3
    assert rows[0][1:] == second[1:]
    for wrong in (["--row", "4"], ["--row", "-1"], ["--row", "0", "-k", "0"], [str(tmp_path / "no.wav")]):
        assert main(["search", file, *wrong]) == 1
        out, err = capsys.readouterr()
        assert not out
        assert wrong[-1] in err
        assert err.count("\n") == 1


def test_a_page_to_listen_to(make_table: MakeTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sounds(tmp_path)
    file, page = str(embedded(make_table, paths).file), tmp_path / "out" / "page.html"
    assert main(["search", file, paths[3], "-k", "3", "--play", str(page)]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text()
    found = re.findall(r'<audio[^>]* src="data:audio/\w+;base64,([^"]+)" aria-label="([^"]*)">', text)
    assert [html.unescape(label).endswith(HOSTILE) for _, label in found] == [True, True, False, False]
    for content, _ in found:
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
        assert rate == listening.SAMPLE_RATE
        assert len(audio) / rate == pytest.approx(0.5, abs=0.05)
    assert "<img" not in text
    assert not re.search(r"https?:|<script|<link", text)


def test_an_excerpt_is_its_stretch_of_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rate = 8000
    samples = np.zeros((4 * rate, 2))
    samples[2 * rate :, 0] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
    samples[:, 1] = -samples[:, 0]  # the channels cancel each other
    soundfile.write(tmp_path / "x.wav", samples, rate)

    def heard(start: float, end: float) -> np.ndarray:
        address = listening.excerpt(Stretch(tmp_path / "x.wav", start, end))
        return soundfile.read(io.BytesIO(base64.b64decode(address.split(",")[1])))[0]

    sound = heard(1.5, 3.0)
    third = len(sound) // 3
    assert np.abs(sound[: third - 2000]).max() < 0.01
    assert np.abs(sound[third + 2000 :]).max() > 0.05
    monkeypatch.setattr(listening, "MAX_SECONDS", 0.25)
    assert len(heard(2.0, 4.0)) == pytest.approx(0.25 * listening.SAMPLE_RATE, abs=2000)
    with pytest.raises(ValueError, match=r"x\.wav"):
        heard(9.0, 10.0)


def test_a_recording_that_is_gone_leaves_no_page(make_table: MakeTable, tmp_path: Path) -> None:
    table = make_table(np.eye(2), [str(tmp_path / "gone.wav")] * 2)
    with pytest.raises(ValueError, match=r"gone\.wav"):
        write_listening_page(tmp_path / "page.html", table, Stretch.of_row(table, 0), [Hit(1, 1.0)], "joint")
    assert not (tmp_path / "page.html").exists()


def test_where_recordings_are(make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(*folders: str) -> Path:
        path = tmp_path.joinpath(*folders, "x", "a.wav")
        path.parent.mkdir(parents=True)
        path.touch()
        return path

    table = make_table(np.eye(1), ["x/a.wav"])
    table = replace(table, file=tmp_path / "one" / "two" / "table.npy")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert locate(table, "x/a.wav") == tmp_path / "here" / "x" / "a.wav", "nowhere"
    for where in (("one",), ("one", "two"), ("here",)):  # above the table, beside it, in the present folder
        assert put(*where) == locate(table, "x/a.wav")
    assert locate(table, "/d/b.wav") == Path("/d/b.wav")
    assert link(tmp_path / "a b#?.wav", tmp_path / "pages" / "p.html") == "../a%20b%23%3F.wav"
