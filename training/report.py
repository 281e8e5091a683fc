"""One self-contained HTML page: the score tables, the losses, and what the numbers stand on."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sonyc_tasks.score import Estimate, ScoreTable

_COLUMNS = {
    "source_jaccard_micro": "source Jaccard, micro",
    "source_jaccard_macro": "macro",
    "source_jaccard_samples": "samples",
    "source_map": "source mAP",
    "sensor_accuracy": "sensor accuracy",
}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 74rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .5rem; text-align: right; border-bottom: 1px solid #d0d7de; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
small { color: #57606a; } .scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
"""


def write_report(
    path: Path, tables: Sequence[ScoreTable], histories: Mapping[str, Sequence[dict[str, Any]]], about: Sequence[str]
) -> Path:
    """Write the page to ``path``, whole or not at all; it loads nothing from anywhere.

    Args:
        tables: scores by model, from `sonyc_tasks.score.score_table`.
        histories: of each training run by name, a record an epoch, from `training.pretrain.Run`.
        about: sentences that say what the numbers stand on; they come first.
    """
    body = [
        "<h1>hear_multiview: scores of the views</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in about),
        *(_table(table) for table in tables),
        "<p><small>In brackets: 95 % interval, bootstrap over the test clips. Jaccard index at probability 0.5; two "
        "empty label sets count as 1. DSCΔ private: source Jaccard (micro), private minus shared. DSCΔ shared: sensor "
        "accuracy, shared minus private. Positive: each half holds what its name says.</small></p>",
        *(f"<h2>Losses of {html.escape(name)}</h2>{_curves(history)}" for name, history in histories.items()),
    ]
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>hear_multiview: scores</title><style>{_STYLE}</style><body>" + "\n".join(body)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
    return path


def _table(table: ScoreTable) -> str:
    head = "".join(f"<th>{html.escape(name)}" for name in ("view", *_COLUMNS.values(), "test clips"))
    rows = []
    for view in table.views:
        scores = [getattr(view, column) for column in _COLUMNS]
        clips = " / ".join(sorted({str(score.clips) for score in scores if score is not None}))
        rows.append(f"<tr><td>{html.escape(view.view)}{''.join(f'<td>{_score(s)}' for s in scores)}<td>{clips}")
    delta = f"DSCΔ private {_score(table.dsc_private, '+')} &emsp; DSCΔ shared {_score(table.dsc_shared, '+')}"
    return (
        f"<h2>{html.escape(table.model)}</h2><div class=scroll><table><thead><tr>{head}</thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div><p>{delta}</p>"
    )


def _score(score: Estimate | None, sign: str = "") -> str:
    if score is None:
        return "—"
    interval = "" if score.low is None else f" <small>[{score.low:{sign}.3f}, {score.high:{sign}.3f}]</small>"
    return f"{score.value:{sign}.3f}{interval}"


def _curves(history: Sequence[dict[str, Any]]) -> str:
    """Each term of the loss over the epochs, training and validation, as an inline SVG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    terms = list(history[0]["train"])
    figure = Figure(figsize=(3.2 * len(terms), 2.6), layout="constrained")
    for axes, term in zip(figure.subplots(1, len(terms), squeeze=False)[0], terms, strict=True):
        for split, style in (("train", "--"), ("valid", "-")):
            axes.plot(
                [record["epoch"] + 1 for record in history],
                [record[split][term] for record in history],
                style,
                label=split,
            )
        axes.set(title=term.replace("_", " "), xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
