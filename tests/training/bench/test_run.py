"""The table goes between its markers and nowhere else; contenders run in processes of their own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from training.bench.interleaved import environment, measure_interleaved
from training.bench.pretraining import step
from training.bench.row import Row, table
from training.bench.run import bench, write_between

ROW = Row("a thing", "3.00 s", "1.00 s", 3.0, "0.50 s", 0.5, "at least 2 x", True)
PAGE = "before\n<!-- bench: cpu -->\nold\n<!-- end -->\nbetween\n<!-- bench: gpu -->\n<!-- end -->\nafter\n"


def test_a_row_in_markdown() -> None:
    head, rule, line = table([ROW]).splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["a thing", "3.00 s", "1.00 s", "3.00 x", "0.50 s", "50 %", "at least 2 x", "met"]
    assert head.count("|") == rule.count("|") == line.count("|")


def test_the_table_replaces_what_is_between_the_markers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    for _ in range(2):
        assert bench(page, families={"one": lambda: [ROW], "two": lambda: [ROW]}) == [ROW, ROW]
    text = page.read_text()
    assert text.startswith("before\n<!-- bench: cpu -->\n")
    assert text.endswith("<!-- end -->\nbetween\n<!-- bench: gpu -->\n<!-- end -->\nafter\n")
    assert "old" not in text
    assert text.count(table([ROW, ROW])) == 1
    assert "[2/2] two" in caplog.text
    assert table([ROW, ROW]) in caplog.text


def test_a_document_without_markers_is_refused_at_once(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"page\.md.*<!-- bench: cpu -->"):
        bench(page, families={"one": lambda: pytest.fail("measured")})
    absent = tmp_path / "absent.md"
    with pytest.raises(ValueError, match="absent"):
        write_between(absent, "gpu", "text")
    assert not absent.exists()


def test_the_document_of_the_project_has_them() -> None:
    for name in ("cpu", "gpu"):
        write_between(Path(__file__).parents[3] / "docs" / "performance.md", name, None)


def test_a_user_has_nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    assert not {"OMP_WAIT_POLICY", "MALLOC_TRIM_THRESHOLD_"} & set(environment())
    assert "PATH" in environment()


@pytest.mark.slow
def test_contenders_are_measured_in_their_own_processes() -> None:
    size = {"frames": 4, "dim": 8, "device": "cpu"}
    small, large = measure_interleaved([(step, {**size, "pairs": 1}), (step, {**size, "pairs": 2})], 2)
    assert small["seconds"] > 0
    assert large["flop"] == 2 * small["flop"]
    with pytest.raises(ValueError, match=r"step.*TypeError.*pairs"):
        measure_interleaved([(step, size)], 1)
