"""The table of run times, and README's copy of it."""

import os
import platform

import pytest
import torch

from agt_lib.workspace import paths, times


def test_a_run_that_found_its_work_done_does_not_replace_one_that_did_it():
    times.record("01_a", "smoke", 5.4)
    times.record("01_a", "mini", 50.0)
    times.record("01_a", "smoke", 7.0)
    times.record("01_a", "smoke", 2.0)
    table = times.read()
    assert table[["notebook", "profile", "seconds"]].to_numpy().tolist() == [
        ["01_a", "mini", 50],
        ["01_a", "smoke", 7],
    ]


def test_readme_gets_the_table_between_its_marks_and_nothing_else_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{times.START}old\n{times.END}\nafter\n")
    times.record("01_a", "smoke", 5.0)
    times.record("02_b", "mini", 61.0)
    times.main()
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", "profile", "01", "02", ""] in lines
    assert ["", "mini", "", "61 s", ""] in lines
    assert ["", "smoke", "5 s", "", ""] in lines
    assert "old" not in text
    assert f"\nMeasured on {os.cpu_count()} cores, {platform.machine()}, no GPU.\n" in text
    times.main()
    assert readme.read_text() == text


def test_without_a_finished_run_readme_stays_as_it_is():
    with pytest.raises(ValueError, match="make reproduce"):
        times.main()


def test_the_table_says_that_a_gpu_was_used(monkeypatch):
    monkeypatch.setattr(times.machine, "pick_device", lambda: torch.device("cuda"))
    times.record("01_a", "smoke", 5.0)
    assert times.as_text(times.read()).endswith("cuda GPU.\n")
