"""The tables of the separated system: claims, the separator's scores, and a page to hear it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from training.recipes import recipe_named
from training.systems.separated.evaluation import Separation
from training.systems.separated.report import MEASURES, ReportInputs, claim_table, separator_table, write_report


def cells(table: str) -> list[list[str]]:
    """Rows of a Markdown table, below its header."""
    lines = [line for line in table.splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def scores(**rows: tuple[float, ...]) -> dict[str, dict[str, dict[int, float]]]:
    """The same scores, by seed, on every task."""
    return {row: {name: dict(enumerate(values)) for name in MEASURES} for row, values in rows.items()}


FOUND = scores(
    separated_mixture=(0.300, 0.310, 0.305, 0.302),
    separated_all=(0.501, 0.513, 0.504, 0.505),
    separated_early=(0.5, 0.6, 0.55, 0.5),
    separated_late=(0.55, 0.5, 0.6, 0.51),
    separated_all_similarity=(0.901, 0.912, 0.905, 0.904),
)


def test_claims_are_decided_by_the_paired_test() -> None:
    found = {(row[0], row[1]): row for row in cells(claim_table(FOUND))}
    assert len(found) == 3 * 2  # one recipe of the last claim is not there
    verdict = {claim: row[-1] for (claim, task), row in found.items() if task.startswith("tags")}
    assert list(verdict.values()) == ["supported", "not contradicted", "contradicted"]
    assert found["separated views beat mixtures", "tags (mAP)"][2].startswith("+0.20")
    worse = {"separated_late": FOUND["separated_all"], "separated_early": FOUND["separated_mixture"]}
    assert [row[-1] for row in cells(claim_table(worse))] == ["contradicted"] * 2


def test_one_seed_decides_nothing_and_no_rows_give_no_table() -> None:
    one = scores(separated_mixture=(0.1,), separated_all=(0.9,))
    assert [row[-1] for row in cells(claim_table(one))] == ["not tested"] * 2
    assert [row[2] for row in cells(claim_table(one))] == ["+0.800"] * 2
    assert claim_table(scores(log_mel=(0.1, 0.2))) == ""


SEPARATION = Separation(best_pair=-1.26, remixed=3.0, ideal=13.0, single=9.0, audible=3.9, audible_single=3.5)


def test_the_separator_has_a_row_for_each_state() -> None:
    assert cells(separator_table({"early": SEPARATION})) == [["early", "−1.3", "3.0", "13.0", "9.0", "3.9", "3.5"]]


class Halves:
    """Two equal channels, and a silent one."""

    sample_rate, sources = 16_000, 3

    def separate(self, audio: torch.Tensor) -> torch.Tensor:
        """[clip, 3, sample]."""
        return torch.stack([audio / 2, audio / 2, 0 * audio], 1)


def test_a_report_has_claims_states_and_channels_to_hear(tmp_path: Path) -> None:
    files = [tmp_path / f"clip{k}.wav" for k in range(3)]
    for k, file in enumerate(files):
        soundfile.write(file, np.random.default_rng(k).normal(0, 0.1, 16_000), 16_000)
    recipes = [recipe_named("separated_mixture"), recipe_named("separated_all")]
    states = {"early": Halves(), "late": Halves()}
    given = ReportInputs(recipes, FOUND, ["Something to know."], files, states, dict.fromkeys(states, SEPARATION))
    page, summary = write_report(tmp_path, given)
    text = page.read_text(encoding="utf-8")
    assert text.count("<audio") == 2 * (1 + 2 * 2)
    assert "channel 2 of 2" in text
    assert "Something to know." in text
    for table in (claim_table(FOUND), separator_table(given.separations)):
        assert table in summary
    assert summary in (tmp_path / "tables.md").read_text(encoding="utf-8")
