from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pandas import DataFrame, read_csv

from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.results import Counts, Results, Row, read_results
from evaluation.shared import lifecycle
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import Dashboard, Output
from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.plain.output_folder import OutputFolder

SETTINGS = {"data": "stand-in", "k": 5}


def report(failed: dict[str, int] | None = None) -> Report:
    failed = failed or {}
    rows = [Row("ours", "stand-in", "top-1", "share", 0.5, n=2)]
    results = Results(
        "clustering", "STAND-IN: clustering", SETTINGS, Counts(2, 2 - sum(failed.values()), failed), rows,
        {"commit": None, "versions": {}}, stand_in=True,
    )  # fmt: skip
    figure, _ = line_figure("STAND-IN", "k", "share", [Line("ours", np.arange(3), np.arange(3))])
    return Report(results, {"items": DataFrame({"name": ["a", "b"], "rank": [1, np.nan]})}, {"cmc": figure})


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Results]:
    def start(
        compute: Callable[[OutputFolder], Report],
        settings: dict = SETTINGS,
        *,
        overwrite: bool = False,
        **more: object,
    ) -> Results:
        options = {
            "inputs": (),
            "output": Output(tmp_path / "out", overwrite),
            "layout": Layout(items="photographs"),
            "notice": "STAND-IN: so it is",
        }
        return evaluate("clustering", settings, compute, **options | more)

    return start


def test_everything_is_written_and_the_notice_comes_first_and_last(
    start: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert exit_status(start(lambda _: report())) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "results.json", "results.md", "results.tex", "results.csv", "items.csv", "cmc.png", "cmc.pdf",
        "started.json", MANIFEST,
    }  # fmt: skip
    assert read_csv(tmp_path / "out" / "items.csv")["rank"].isna().tolist() == [False, True]
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0] == lines[-1] == "STAND-IN: so it is"
    assert lines[-2].endswith(
        "cmc.pdf, cmc.png, items.csv, results.csv, results.json, results.md, results.tex"
    )


def test_a_terminal_gets_lines_that_end_between_words(
    start: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    start(lambda _: report())
    printed = capsys.readouterr().out
    last = printed[printed.index("cmc.pdf") :].splitlines()[:-1]
    assert len(last) > 1
    assert all(len(line) <= 40 for line in last)
    assert " ".join(last).split() == [
        "cmc.pdf,", "cmc.png,", "items.csv,", "results.csv,", "results.json,", "results.md,", "results.tex",
    ]  # fmt: skip


def test_a_finished_folder_is_not_computed_again_unless_asked(start: Callable) -> None:
    first = start(lambda _: report())

    def compute(_: OutputFolder) -> Report:
        raise AssertionError("computed again")

    assert start(compute) == first
    with pytest.raises(ValueError, match=r"computed with other settings \(k: 5 there, 9 now\)"):
        start(compute, SETTINGS | {"k": 9})
    with pytest.raises(AssertionError, match="computed again"):
        start(compute, overwrite=True)


def test_unfinished_work_is_handed_over_as_it_is(start: Callable) -> None:
    def killed(folder: OutputFolder) -> Report:
        folder.claim("half.bin").write_text("half")
        raise KeyboardInterrupt

    def continued(folder: OutputFolder) -> Report:
        assert (folder.path / "half.bin").read_text() == "half"
        return report()

    with pytest.raises(KeyboardInterrupt):
        start(killed)
    with pytest.raises(ValueError, match="other settings"):
        start(continued, SETTINGS | {"k": 9})
    assert start(continued).rows[0].value == 0.5


def test_bad_input_leaves_no_folder_behind(start: Callable, tmp_path: Path) -> None:
    def refused(_: OutputFolder) -> Report:
        raise ValueError("no LFW images")

    with pytest.raises(ValueError, match="no LFW images"):
        start(refused)
    assert not (tmp_path / "out").exists()


def test_failed_items_change_the_exit_status(start: Callable) -> None:
    assert exit_status(start(lambda _: report({"no face found": 1}))) == 1


def test_what_is_published_is_told(
    start: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def publish(results: Results, folder: OutputFolder, content: dict, project: str) -> str:
        seen.append((read_results(folder.path) == results, content, project))
        return "added to the run x"

    monkeypatch.setattr(lifecycle, "publish", publish)
    start(lambda _: report(), dashboard=Dashboard(wandb=False), checkpoint={"wandb_id": "x"})
    assert seen == []
    start(lambda _: report(), dashboard=Dashboard(True, "mine"), checkpoint={"wandb_id": "x"})
    assert seen == [(True, {"wandb_id": "x"}, "mine")]
    assert "added to the run x" in capsys.readouterr().out
