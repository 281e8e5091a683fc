"""The results page: what stands in it, what must not, and the page itself at work in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from sonyc_tasks.page.projection import nearest, similarities
from sonyc_tasks.page.sound import encode
from training.reporting.page import gallery as gallery_module
from training.reporting.page import markdown_html, write_page
from training.reporting.page.gallery import Gallery, GalleryClip

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>\"'&|"
TABLE = "| method | score |\n|---|--:|\n| **ours** \\| <i> | 0.6 [0.5, 0.7] |\n| `codec` | — |\n"


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text that is shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.shown += data


def make_gallery(folder: Path, clips: int = 24) -> Gallery:
    """``clips`` short sounds of four sensors and three sources; private holds the source, shared the sensor."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = []
    for k in range(clips):
        rate = (16_000, 44_100)[k % 2]
        tone = 0.1 * np.sin(2 * np.pi * (200 + 20 * k) * np.arange(rate // 2) / rate)
        soundfile.write(folder / f"{k}.wav", np.stack([tone, tone], axis=1), rate)
        sources = ((), ("engine",), ("music",), (HOSTILE, "engine"))[k % 4]
        made.append(GalleryClip(f"clip {k} {HOSTILE}", str(k // 6), sources, folder / f"{k}.wav"))
    what, where = (4 * np.eye(8)[[f(k) for k in range(clips)]] for f in (lambda k: k % 4, lambda k: k // 6))
    private, shared = (x + rng.normal(size=(clips, 8)) for x in (what, where))
    joint = np.concatenate([private, shared], axis=1)
    return Gallery(made, {"joint": joint, "private": private, "shared": shared, HOSTILE: joint[:, ::2]})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (4, 3), "red").save(folder / "figure.png")
    gallery = make_gallery(folder / "audio")
    figures, out = [(f"A figure {HOSTILE}", folder / "figure.png")], folder / "out" / "page.html"
    return write_page(out, f"Results {HOSTILE}", [f"About {HOSTILE}"], [(HOSTILE, TABLE)], figures, gallery)


def gallery_data(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text().split('id="gallery-data">')[1].split("</script>")[0])


def test_markdown() -> None:
    found = markdown_html(f"### Heading <b>\n{TABLE}\ntwo lines\nof *text* & more\n")
    assert Elements(found).tags == [
        *("h3", "div", "table", "thead", "tr", "th", "th", "tbody"),
        *("tr", "th", "strong", "td", "tr", "th", "code", "td", "p", "em"),
    ]
    assert "<h3>Heading &lt;b&gt;</h3>" in found
    assert '<th scope="row"><strong>ours</strong> | &lt;i&gt;</th>' in found
    assert '<td style="text-align:right">0.6 [0.5, 0.7]</td>' in found
    assert "<p>two lines\nof <em>text</em> &amp; more</p>" in found
    assert Elements(markdown_html("[a](b) ![c](d) <e@f.g> <b>")).tags == ["p"], "nothing that could load"


def test_nothing_is_loaded_nothing_hostile_is_html_and_about_comes_first(written: Path) -> None:
    text = written.read_text()
    assert not re.search(r"https?:|//[a-z]|\bimport\b|\bfetch\b|XMLHttp|url\(", re.sub(r"base64,[^\"]+", "", text))
    elements = Elements(text)
    links = [value or "" for name, value in elements.attributes if name in ("src", "href", "data", "action")]
    assert links
    assert all(link.startswith("data:") for link in links)
    assert not any(name.startswith("on") for name, _ in elements.attributes)
    assert elements.tags.count("script") == 2
    assert elements.shown.count("window.broken") >= 4
    assert sorted(written.parent.iterdir()) == [written]
    assert text.index("<p>About") < text.index("<table") < text.index("<figure>") < text.index('id="gallery-data"')


def test_every_clip_is_in_the_page_once(written: Path) -> None:
    data = gallery_data(written)
    assert data["panel"] == list(range(24))
    assert data["clips"][3]["sources"] == [HOSTILE, "engine"]
    assert len(set(data["audio"])) == 24
    for sound in data["audio"]:
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(sound.split(",")[1])))
        assert rate == 16_000
        assert len(audio) == pytest.approx(8_000, abs=4)
    assert all(len(lists) == 24 and all(len(one) == 5 for one in lists) for lists in data["neighbours"].values())


def test_counts_against_the_obvious_way(written: Path, tmp_path: Path) -> None:
    gallery = make_gallery(tmp_path / "audio")
    rows = re.findall(r"<tr>(.*?)</tr>", written.read_text(), re.S)
    lines = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    for view in ("private", "shared", "joint"):
        best = nearest(similarities(gallery.embeddings[view]))
        pairs = [(gallery.clips[a], gallery.clips[b]) for a in range(24) for b in best[a]]
        sensor = sum(a.sensor == b.sensor for a, b in pairs) / len(pairs)
        source = sum(any(s in b.sources for s in a.sources) for a, b in pairs) / len(pairs)
        (line,) = [line for line in lines if line[0].removeprefix("z_").startswith(view)]
        assert line[1:] == [f"{sensor:.1%}", f"{source:.1%}"]
    # Six clips of each sensor: 5 of the 23 others.
    assert next(line[1] for line in lines if "chance" in line[0]) == f"{5 / 23:.1%}"


def test_more_clips_than_the_panel_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_module, "MAX_AUDIBLE_CLIPS", 8)
    path = write_page(tmp_path / "p.html", "t", [], [], [], make_gallery(tmp_path / "audio"))
    data = gallery_data(path)
    assert [sum(k // 6 == sensor for k in data["panel"]) for sensor in range(4)] == [2] * 4
    assert len(data["audio"]) == 8
    assert len(data["clips"]) == len(data["views"]["joint"]) == 24
    assert {other for best in data["neighbours"]["shared"] for other, _ in best} <= {*data["panel"]}
    assert "8 of the 24 clips" in path.read_text()


def test_without_vorbis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile, "available_subtypes", lambda _format: {})
    samples = np.linspace(-1, 1, 100, dtype=np.float32)
    kind, content = encode(samples).split(",")
    assert kind == "data:audio/flac;base64"
    np.testing.assert_allclose(soundfile.read(io.BytesIO(base64.b64decode(content)))[0], samples, atol=1e-4)


def test_sounds_stand_below_the_figures_each_with_its_caption(tmp_path: Path) -> None:
    sound = encode(np.linspace(-1, 1, 100, dtype=np.float32))
    path = write_page(tmp_path / "p.html", "t", [], [], [], None, [("low < high", sound), ("other", sound)])
    found = re.findall(r'<audio controls src="(.*?)"></audio><figcaption>(.*?)</figcaption>', path.read_text())
    assert found == [(sound, "low &lt; high"), (sound, "other")]


def test_what_a_gallery_must_have_where_there_is_one(tmp_path: Path) -> None:
    gallery = make_gallery(tmp_path / "audio", clips=3)
    broken: dict[str, tuple[Sequence[GalleryClip], dict[str, np.ndarray]]] = {
        "1 clips": (gallery.clips[:1], {"joint": np.ones((1, 2))}),
        "0 views": (gallery.clips, {}),
        "joint.*3 clips": (gallery.clips, {"joint": np.ones((2, 2))}),
        "joint.*NaN": (gallery.clips, {"joint": np.full((3, 2), np.nan)}),
    }
    for message, (clips, embeddings) in broken.items():
        with pytest.raises(ValueError, match=message):
            Gallery(clips, embeddings)
    silent = GalleryClip("x", "1", (), tmp_path / "x.wav")
    with pytest.raises(ValueError, match=r"x\.wav"):
        write_page(tmp_path / "p.html", "t", [], [], [], Gallery([silent, *gallery.clips[1:]], gallery.embeddings))
    assert not (tmp_path / "p.html").exists()
    write_page(tmp_path / "p.html", "t", ["a"], [("b", TABLE)], [], None)
    assert "script" not in Elements((tmp_path / "p.html").read_text()).tags


def test_in_a_browser(written: Path, tmp_path: Path, chromium: Callable[[Path], Any]) -> None:
    with chromium(tmp_path) as (call, events):

        def run(script: str) -> Any:
            script = f"(async () => {{ {script} }})()"
            result = call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
            assert "exceptionDetails" not in result, result
            return result["result"].get("value")

        def drawing() -> list[str]:
            looks = ("style.transform", "lastChild.getAttribute('fill')")
            return [run(f"return [...document.querySelectorAll('.point')].map(p => p.{look}).join()") for look in looks]

        for domain in ("Runtime", "Log", "Network", "Page"):
            call(f"{domain}.enable")
        call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        call("Page.navigate", url=written.as_uri())
        while run("return document.readyState + location.protocol") != "completefile:":
            time.sleep(0.05)

        places, colours = drawing()
        assert len(set(colours.split(","))) == 4
        run("document.querySelector('[name=colour][value=source]').click()")
        assert drawing()[0] == places
        assert drawing()[1] != colours
        run("document.querySelector('[name=view][value=shared]').click()")
        assert drawing()[0] != places
        run("document.querySelector('#legend button').click()")
        assert run("return document.querySelectorAll('.point.dim').length") == 18

        # A mark that no other covers, and a real click of the mouse on it.
        index, x, y = run("""map.scrollIntoView();
            for (const point of document.querySelectorAll('.point:not([data-clip="0"])')) {
              const { x, y, width, height } = point.getBoundingClientRect();
              const at = [x + width / 2, y + height / 2];
              if (document.elementFromPoint(...at)?.closest('.point') === point) return [point.dataset.clip, ...at];
            }""")
        for kind in ("mousePressed", "mouseReleased"):
            call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        assert run("return [document.querySelector('.chosen').dataset.clip, clip.value]") == [index, index]
        selected = int(run("next.click(); return document.querySelector('.chosen').dataset.clip"))
        assert selected != int(index)

        for view, neighbours in gallery_data(written)["neighbours"].items():
            shown = f"[...document.querySelectorAll('[data-view={view}] li')]"
            best = run(f"return {shown}.map(one => [+one.dataset.clip, !!one.querySelector('.badge.sensor')])")
            assert best == [[other, other // 6 == selected // 6] for other, _ in neighbours[selected]]
        durations = run("""
            const length = (sound) => new Promise((done) => {
              const tell = () => done(sound.error ? sound.error.message : sound.duration);
              if (sound.error || sound.readyState >= 1) tell();
              for (const event of ['loadedmetadata', 'error']) sound.addEventListener(event, tell);
            });
            return Promise.all([...document.querySelectorAll('audio')].map(length))""")
        assert durations == [pytest.approx(0.5, abs=0.05)] * 11  # Vorbis ends on a whole block
        assert run("return window.broken === undefined")
    bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert not [event for event in events if event["method"] in bad]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in requests if not url.startswith(("data:", "about:"))] == [written.as_uri()]
