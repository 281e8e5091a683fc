"""The page to explore a table: what stands in it, and the page itself at work in a browser."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from sklearn.metrics.pairwise import cosine_similarity

from hear_multiview.__main__ import main
from hear_multiview.api import BUNDLED
from hear_multiview.files import file_digest
from hear_multiview.recordings.pages.explore import NEIGHBOURS, draw, explore, gather
from hear_multiview.recordings.table import Rows, Table, open_table, write_table

HOSTILE = "</script><script>window.broken = 1<"
ROWS = 40


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Four windows each of ten recordings, in two folders, at two hours, with names that HTML and addresses escape."""
    folder = tmp_path_factory.mktemp("explore")
    rng = np.random.default_rng(0)
    rows = []
    for k in range(10):
        name = f"20260131_0{k % 2}0000 {k} #?%41&{HOSTILE.replace('/', '')}.wav"
        path = folder / "sounds" / f"<b>folder {k // 5}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.normal(size=8000), 8000)
        start = np.array([0.0, 0.25, 0.5, 0.75])
        embeddings = np.hstack([np.eye(4)[[k // 5] * 4], np.eye(4)[[k % 2] * 4]]) + 0.2 * rng.normal(size=(4, 8))
        rows.append(Rows(str(path), f"{k:064x}", start, start + 0.25, embeddings.astype(np.float32)))
    metadata = {"model": HOSTILE, "view": "joint", "kind": "window"}
    write_table(folder / "table.npy", rows, total=ROWS, dim=8, metadata=metadata)
    return open_table(folder / "table.npy")


@pytest.fixture(scope="module")
def page(table: Table) -> Path:
    out = table.file.parent / "pages" / "page.html"
    assert explore(table, out, {"private": slice(0, 4), "shared": slice(4, 8)}) == ROWS
    return out


def contents(page: Path) -> dict[str, Any]:
    return json.loads(page.read_text().split('id="explore-data">')[1].split("</script>")[0])


def test_every_row_is_in_the_page_once(table: Table, page: Path) -> None:
    data = contents(page)
    assert [page.parent / unquote(data["files"][file][1]) for file, _, _ in data["rows"]] == [
        page.parent / ".." / Path(path).relative_to(table.file.parent) for path in table.paths
    ]
    assert [[start, end] for _, start, end in data["rows"]] == np.stack([table.start, table.end], axis=1).tolist()
    assert data["files"][0][0].startswith("<b>folder 0/20260131")
    assert data["whole"] is False
    for view in data["views"].values():
        assert len({tuple(point) for point in view["points"]}) == ROWS
        assert all(0 <= x <= 1 for point in view["points"] for x in point)
        assert [grouping["name"] for grouping in view["groupings"]] == ["folder", "hour of day", "cluster"]
        for grouping in view["groupings"]:
            assert len(grouping["of"]) == ROWS
            for group, rows in enumerate(grouping["typical"]):
                assert {grouping["of"][row] for row in rows} <= {group}
        assert Counter(view["groupings"][1]["of"]) == {0: 20, 1: 20}


def test_neighbours_against_all_pairs(table: Table, page: Path) -> None:
    whole = gather(table, np.arange(ROWS)).astype(np.float64)
    for view, columns in (("private", slice(0, 4)), ("shared", slice(4, 8))):
        found = contents(page)["views"][view]
        expected = cosine_similarity(whole[:, columns])
        np.fill_diagonal(expected, -2)
        assert found["neighbours"] == np.argsort(-expected, axis=1)[:, :NEIGHBOURS].tolist()
        np.testing.assert_allclose(found["similarities"], -np.sort(-expected, axis=1)[:, :NEIGHBOURS], atol=6e-4)


def test_nothing_hostile_is_html_and_nothing_is_loaded_but_sounds(page: Path) -> None:
    text = page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert not re.search(r"https?:|\*", policy[1])
    assert HOSTILE not in text
    assert not re.search(r"<(?:script|link|img|iframe)[^>]* (?:src|href)=", text)
    assert sorted(page.parent.iterdir()) == [page]


def test_a_larger_table_is_drawn_from(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw(ROWS, 7)
    assert len(set(rows.tolist())) == 7
    whole = np.concatenate(list(table.blocks()))
    monkeypatch.setattr(Table, "blocks", lambda self: (self.rows(k, min(k + 9, ROWS)) for k in range(0, ROWS, 9)))
    assert np.array_equal(gather(table, rows), whole[rows])
    assert explore(table, tmp_path / "page.html", {"joint": slice(None)}, max_rows=7) == 7
    assert [row[1] for row in contents(tmp_path / "page.html")["rows"]] == table.start[rows].tolist()
    assert "7 of 40" in (tmp_path / "page.html").read_text()


def test_an_embedding_that_is_not_finite(make_table: Callable[..., Table], tmp_path: Path) -> None:
    embeddings = np.eye(5)
    embeddings[3, 1] = np.nan
    broken = make_table(embeddings, [f"{k}.wav" for k in range(5)])
    with pytest.raises(ValueError, match=r"table\.npy.* 3 .*3\.wav"):
        gather(broken, np.array([0, 3]))
    assert gather(broken, np.array([0, 4])).shape == (2, 5)


def test_recordings_that_are_gone_are_told(make_table: Callable[..., Table], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    paths = [str(tmp_path / name) for name in ("a.wav", "gone.wav")]
    with pytest.warns(UserWarning, match=r"1 of 2 .*gone\.wav"):
        explore(make_table(np.eye(2), paths), tmp_path / "page.html", {"joint": slice(None)})
    data = contents(tmp_path / "page.html")
    assert [file for file, _ in data["files"]] == ["a.wav", "gone.wav"]
    assert data["views"]["joint"]["neighbours"] == [[1], [0]]
    assert data["whole"] is True


def test_the_command(
    make_table: Callable[..., Table],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    arguments = ["--out", str(tmp_path / "page.html")]
    made = {"checkpoint_sha256": file_digest(BUNDLED)}
    table = make_table(np.eye(3), [str(tmp_path / "a.wav")] * 3, kind="window", **made)
    assert main(["explore", str(table.file), *arguments, "--rows", "2"]) == 0
    assert str(tmp_path / "page.html") in capsys.readouterr().out
    assert len(contents(tmp_path / "page.html")["rows"]) == 2
    (tmp_path / "page.html").unlink()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.delitem(sys.modules, "hear_multiview.recordings.pages.explore")
    assert main(["explore", str(table.file), *arguments]) == 1
    assert "plotly" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["explore", str(table.file), *arguments, "--rows", "1"]) == 1
    assert "1" in capsys.readouterr().err
    assert main(["explore", str(table.file), *arguments, "--view", "frontend"]) == 1
    assert "frontend" in capsys.readouterr().err
    for few in (0, 1):
        make_table(np.eye(2)[:few], ["a.wav"] * few)
        assert main(["explore", str(table.file), *arguments]) == 1
        assert str(table.file) in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_in_a_browser(table: Table, page: Path, tmp_path: Path, chromium: Callable[[Path], Any]) -> None:
    data = contents(page)
    with chromium(tmp_path) as (call, events):

        def run(script: str) -> Any:
            script = f"(async () => {{ {script} }})()"
            result = call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
            assert "exceptionDetails" not in result, result
            return result["result"].get("value")

        for domain in ("Runtime", "Log", "Network", "Page"):
            call(f"{domain}.enable")
        call("Page.navigate", url=page.as_uri())
        while not run("return document.readyState === 'complete' && !!document.querySelector('#map .nsewdrag')"):
            time.sleep(0.05)

        # Every row is one point of the map, whether WebGL or SVG draws it.
        points = "return map.data.flatMap(trace => trace.customdata.map((row, k) => [row, trace.x[k], trace.y[k]]))"
        places = {row: [x, y] for row, x, y in run(points)}
        assert len(run(points)) == ROWS
        assert [places[row] for row in range(ROWS)] == data["views"]["private"]["points"]
        assert run("return map.data.length") == 2
        run("document.querySelector('[name=colour][value=cluster]').click()")
        assert run("return map.data.length") == len(data["views"]["private"]["groupings"][2]["labels"])
        run("document.querySelector('[name=view][value=shared]').click()")
        assert sorted(run(points)) == [[k, *point] for k, point in enumerate(data["views"]["shared"]["points"])]

        # A real click of the mouse on a mark; plotly picks the nearest.
        x, y = run("""map.scrollIntoView();
            const { left, top } = map.getBoundingClientRect(), { xaxis, yaxis } = map._fullLayout, trace = map.data[0];
            return [left + xaxis._offset + xaxis.d2p(trace.x[0]), top + yaxis._offset + yaxis.d2p(trace.y[0])]""")
        call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        while not run("return !!document.querySelector('.hoverlayer .hovertext')"):
            time.sleep(0.05)
        for kind in ("mousePressed", "mouseReleased"):
            call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        at = "const row = +document.querySelector('#chosen .card').dataset.row;"
        clicked = run(f"{at} const t = map.data[0]; return [row, row === t.customdata[0]]")
        assert clicked[1]
        assert run("return map.layout.shapes.length") == 1 + NEIGHBOURS
        shown = run("return [...document.querySelectorAll('#neighbours li')].map(one => +one.dataset.row)")
        assert shown == data["views"]["shared"]["neighbours"][clicked[0]]

        # By keyboard: found by name, then by its button.
        run("const box = document.getElementById('find'); box.value = ' 7 #?'; box.dispatchEvent(new Event('input'))")
        assert run("return document.querySelectorAll('#found button').length") == 4
        assert run(f"document.querySelector('#found button').click(); {at} return row") == 28
        lengths = run("""
            const length = (sound) => new Promise((done) => {
              const tell = () => done(sound.error ? sound.error.message : sound.duration);
              if (sound.error || sound.readyState >= 1) tell();
              for (const event of ['loadedmetadata', 'error']) sound.addEventListener(event, tell);
            });
            return Promise.all([...document.querySelectorAll('.panel audio')].map(length))""")
        assert lengths == [pytest.approx(1.0)] * (1 + NEIGHBOURS)
        assert run("return document.querySelector('#chosen audio').src.split('#t=')[1]") == "0,0.25"
        assert run("return window.broken === undefined && !document.querySelector('b')")
    assert not [event for event in events if event["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
    # What a browser says of its graphics driver is a warning.
    entries = [event["params"]["entry"] for event in events if event["method"] == "Log.entryAdded"]
    assert not [entry for entry in entries if entry["level"] == "error"]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    files = {unquote(url.split("#")[0].removeprefix("file://")) for url in requests if not url.startswith("data:")}
    assert files - {"about:blank"} <= {str(page), *table.paths}
