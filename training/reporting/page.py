"""One self-contained HTML page of results: tables, figures, a map of the embeddings, and clips to listen to.

The page works from a file, without any network: pictures and sounds are inside it, and its own policy forbids the rest.
What moves is in `page.js`, how it looks in `page.css`, both beside this file.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from hear_multiview.audio import loudness
from sonyc_tasks.dataset.audio import read_mono

#: Sound in the page: speech quality, and long enough to know a street again. 120 clips make about 6 MB.
SAMPLE_RATE, SECONDS, MOST_CLIPS = 16_000, 5.0, 120
NEAREST = 5
#: From this many clips on, t-SNE; of fewer it makes shapes of its own.
LEAST_FOR_TSNE = 12
_VIEWS = {"private": "z_private", "shared": "z_shared", "joint": "joint (both halves)", "frontend": "front end"}
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True)
class PageClip:
    """One clip: its name, the sensor that recorded it, the sources that sound in it (maybe none), its audio file."""

    name: str
    sensor: str
    sources: tuple[str, ...]
    audio: Path


@dataclass(frozen=True)
class Room:
    """Clips and, by view ("private", "shared", "joint", "frontend", …), their scene embeddings [clip, dim].

    All pairs of clips are held in memory: a test set's thousand or two, not a whole data set.
    """

    clips: Sequence[PageClip]
    embeddings: Mapping[str, np.ndarray]


def write_page(
    path: Path,
    title: str,
    about: Sequence[str],
    tables: Sequence[tuple[str, str]],
    figures: Sequence[tuple[str, Path]],
    room: Room | None,
    sounds: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page to ``path``, whole or not at all.

    Args:
        about: sentences that say what the numbers stand on; they come first.
        tables: (heading, Markdown with tables in it).
        figures: (caption, PNG file).
        room: what the map and the listening panel show; None leaves both out.
        sounds: (caption, data URI as `encode` makes it), to be heard below the figures.

    Raises:
        ValueError: ``room`` has fewer than two clips or no view, an embedding has another number of clips or is not
            finite, or a clip's audio cannot be read.
    """
    body = [f"<main><h1>{html.escape(title)}</h1>", *(f"<p>{html.escape(line)}</p>" for line in about)]
    body += [f"<section><h2>{html.escape(heading)}</h2>{markdown_html(text)}</section>" for heading, text in tables]
    for caption, png in figures:
        image, text = _data_uri("image/png", png.read_bytes()), html.escape(caption)
        body.append(f'<figure><img src="{image}" alt="{text}"><figcaption>{text}</figcaption></figure>')
    for caption, sound in sounds:
        text = html.escape(caption)
        body.append(f'<figure><audio controls src="{sound}"></audio><figcaption>{text}</figcaption></figure>')
    body += [] if room is None else [_room_html(room)]
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f'<meta http-equiv=Content-Security-Policy content="{_POLICY}">'
        f"<title>{html.escape(title)}</title><style>{_beside('page.css')}</style><body>" + "\n".join(body)
    )
    size = len(page.encode()) / 1e6
    page += f"<footer>This page is one file of {size:.1f} MB and loads nothing else.</footer></main>"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
    return path


def markdown_html(text: str) -> str:
    """GitHub's tables, headings, bold and code as HTML; other blocks are paragraphs. All else that HTML could take for
    its own is escaped.

    >>> markdown_html("a < b")
    '<p>a &lt; b</p>'
    """
    blocks = []
    for block in re.findall(r"(?:^ *\|.*\n?)+|^#.*|(?:^(?! *\||#).*\S.*\n?)+", text, flags=re.MULTILINE):
        lines = block.strip().splitlines()
        if len(lines) > 1 and re.fullmatch(r"[\s|:-]+", lines[1]):
            head, rule, *rows = (re.split(r"(?<!\\)\|", line.strip().removesuffix("|"))[1:] for line in lines)
            sides = ["right" if cell.strip().endswith(":") else "left" for cell in rule]
            top = "".join(f'<th scope=col class="{s}">{_inline(cell)}' for s, cell in zip(sides, head, strict=False))
            body = ""
            for first, *others in rows:
                cells = (f'<td class="{s}">{_inline(cell)}' for s, cell in zip(sides[1:], others, strict=False))
                body += f"<tr><th scope=row>{_inline(first)}{''.join(cells)}"
            blocks.append(f"<div class=scroll tabindex=0><table><thead><tr>{top}<tbody>{body}</table></div>")
        else:
            tag = "h3" if block.startswith("#") else "p"
            blocks.append(f"<{tag}>{_inline(block.lstrip('# '))}</{tag}>")
    return "".join(blocks)


def similarities(embedding: np.ndarray) -> np.ndarray:
    """Cosine similarity of every two rows of ``embedding`` [clip, dim], standardised by dimension: [clip, clip]."""
    unit = _standardised(embedding)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T


def nearest(similarity: np.ndarray, count: int = NEAREST) -> np.ndarray:
    """The most similar other clips of each, best first: int64 [clip, at most ``count``], of [clip, clip]."""
    others = similarity.copy()
    np.fill_diagonal(others, -np.inf)
    return np.argsort(-others, axis=1, kind="stable")[:, : min(count, len(others) - 1)]


def project(embedding: np.ndarray) -> tuple[np.ndarray, str]:
    """``embedding`` [clip, dim] in the plane, [clip, 2] within 0 to 1, and how that was done."""
    clips = len(embedding)
    points = _standardised(embedding)
    points = points[:, points.any(axis=0)]
    tsne = clips >= LEAST_FOR_TSNE and points.shape[1] > 1
    how = "the first two principal components (t-SNE needs more)"
    if wide := min(20 if tsne else 2, *points.shape):
        points = PCA(wide, svd_solver="full").fit_transform(points)
    if tsne:
        perplexity = min(30.0, (clips - 1) / 3)
        how = f"{wide} principal components, then t-SNE of perplexity {perplexity:.3g} with a fixed seed"
        # One thread: the same map on any number of cores, and no threads that wait for each other on busy ones.
        with threadpool_limits(1):
            points = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(points)
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    extent = np.ptp(points, axis=0).max() or 1.0
    return (points - (points.max(axis=0) + points.min(axis=0)) / 2) / extent + 0.5, how


def choose_clips(sensors: Sequence[str], most: int) -> list[int]:
    """Indices of at most ``most`` clips, evenly by sensor, drawn with a fixed seed, in order.

    >>> chosen = choose_clips(["a"] * 5 + ["b"] * 100 + ["c"] * 20, 45)
    >>> [sum(low <= k < high for k in chosen) for low, high in ((0, 5), (5, 105), (105, 125))]
    [5, 20, 20]
    >>> choose_clips(["a", "b", "a"], 45)
    [0, 1, 2]
    """
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, int]] = []
    for index in np.random.default_rng(0).permutation(len(sensors)).tolist():
        turns.append((seen[sensors[index]], len(turns), index))
        seen[sensors[index]] += 1
    return sorted(index for _, _, index in sorted(turns)[:most])


def encode(samples: np.ndarray) -> str:
    """Mono ``samples`` [n] at `SAMPLE_RATE` as a data URI: Ogg Vorbis, or FLAC where this libsndfile cannot."""
    vorbis = "VORBIS" in soundfile.available_subtypes("OGG")
    kind, subtype = ("OGG", "VORBIS") if vorbis else ("FLAC", "PCM_16")
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", SAMPLE_RATE, 1, subtype, format=kind) as file:
        # In pieces: libsndfile's Vorbis encoder overflows the stack on long ones.
        for start in range(0, len(samples), SAMPLE_RATE):
            file.write(samples[start : start + SAMPLE_RATE].clip(-1, 1))
    return _data_uri(f"audio/{kind.lower()}", content.getvalue())


def _room_html(room: Room) -> str:
    """The map, the listening panel, and the data of both as JSON."""
    clips, views = room.clips, sorted(room.embeddings, key=lambda v: [*_VIEWS, v].index(v))
    _check(room)
    panel = choose_clips([clip.sensor for clip in clips], MOST_CLIPS)
    similarity = {view: similarities(room.embeddings[view]) for view in views}
    maps = {view: project(room.embeddings[view]) for view in views}
    neighbours: dict[str, list[Any]] = {}
    for view in [view for view in ("private", "shared") if view in views]:
        within = similarity[view][np.ix_(panel, panel)]
        rows = zip(within, nearest(within), strict=True)
        neighbours[view] = [[(panel[j], round(float(row[j]), 3)) for j in best] for row, best in rows]
    data = {
        "clips": [{"name": clip.name, "sensor": clip.sensor, "sources": clip.sources} for clip in clips],
        "views": {view: points.round(4).tolist() for view, (points, _) in maps.items()},
        "names": {view: _VIEWS.get(view, view) for view in views},
        "how": {view: how for view, (_, how) in maps.items()},
        "panel": panel,
        "neighbours": neighbours,
        "audio": [_sound(clips[index].audio) for index in panel],
        "seconds": SECONDS,
    }
    few = f"The panel holds {len(panel)} of the {len(clips)} clips, drawn evenly by sensor with a fixed seed; "
    few += "neighbours are looked for among these, the table above counts over all."
    # A "<" inside the JSON could end its element.
    content = json.dumps(data).replace("<", "\\u003c")
    parts = [
        f"<section><h2>What lies near in each half</h2>{_counts(clips, similarity)}",
        f"<p>{few}</p>" if len(panel) < len(clips) else "",
        "</section><div id=room><noscript>The map and the sounds need JavaScript.</noscript></div>",
        f"<script type='application/json' id=room-data>{content}</script>",
        f"<script>{_beside('page.js')}</script>",
    ]
    return "\n".join(parts)


def _check(room: Room) -> None:
    if len(room.clips) < 2 or not room.embeddings:
        raise ValueError(f"a map needs two clips and a view: {len(room.clips)} and {len(room.embeddings)} were given")
    for view, embedding in room.embeddings.items():
        if embedding.ndim != 2 or len(embedding) != len(room.clips):
            raise ValueError(f"view {view}: embeddings {embedding.shape} are not of {len(room.clips)} clips")
        if not np.isfinite(embedding).all():
            raise ValueError(f"view {view}: embeddings hold NaN or infinity: compute them again")


def _counts(clips: Sequence[PageClip], similarity: Mapping[str, np.ndarray]) -> str:
    """In words and as a table: of a clip's nearest, how many are of its sensor, and how many have a source with it."""
    same = np.array([[a.sensor == b.sensor for b in clips] for a in clips], dtype=float)
    common = np.array([[bool({*a.sources} & {*b.sources}) for b in clips] for a in clips], dtype=float)
    rows = {}
    for view, values in similarity.items():
        best = nearest(values)
        rows[_VIEWS.get(view, view)] = [np.take_along_axis(x, best, axis=1).mean() for x in (same, common)]
    others = ~np.eye(len(clips), dtype=bool)
    rows["any other clip (chance)"] = [x[others].mean() for x in (same, common)]
    count = best.shape[1]
    said = "; ".join(
        f"in {name} {sensor:.0%} are of the same sensor and {source:.0%} have a source in common"
        for name, (sensor, source) in rows.items()
        if name in ("z_private", "z_shared")
    )
    line = f"Over all {len(clips)} clips, of the {count} nearest to a clip, {said or 'see the table'}."
    table = [f"| nearest {count} by | same sensor | a source in common |", "|---|--:|--:|"]
    table += [f"| {_cell(name)} | {a:.1%} | {b:.1%} |" for name, (a, b) in rows.items()]
    return f"<p><strong>{html.escape(line)}</strong></p>" + markdown_html("\n".join(table))


def _cell(text: str) -> str:
    """``text`` as one cell of a Markdown table."""
    return text.replace("|", "\\|")


def _standardised(embedding: np.ndarray) -> np.ndarray:
    """float64, mean 0 and deviation 1 in each dimension; what is the same in all clips becomes 0."""
    centred = np.asarray(embedding, dtype=np.float64) - embedding.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    # Rounding leaves a trace of deviation in a constant dimension; it must not be blown up.
    constant = deviation <= 1e-9 * np.abs(embedding).max(axis=0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, deviation))


def _sound(path: Path) -> str:
    """The first `SECONDS` of a file at the loudness that the encoder hears it with, −24 LUFS."""
    samples = torch.from_numpy(read_mono(path, SAMPLE_RATE)[: round(SECONDS * SAMPLE_RATE)])
    return encode((samples * loudness.gains(samples[None], SAMPLE_RATE)[0]).numpy())


def _inline(text: str) -> str:
    escaped = html.escape(text.strip().replace("\\|", "|"))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped))


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
