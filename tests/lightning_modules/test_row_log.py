import csv
from pathlib import Path

import pytest

from lightning_modules import row_log
from lightning_modules.row_log import RowLog


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "first" / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def log_in(folder: Path) -> RowLog:
    return RowLog(folder, name="logs", version="first", flush_logs_every_n_steps=1)


def test_every_row_is_in_the_file_when_it_is_logged(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for step in range(3):
        log.log_metrics({"loss": step / 4}, step)
        assert [float(row["loss"]) for row in rows(tmp_path)] == [number / 4 for number in range(step + 1)]
    log.log_metrics({"loss": 1.0, "score": 0.5}, 3)
    assert [row["score"] for row in rows(tmp_path)] == ["", "", "", "0.5"]
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "3"]


def test_a_kill_while_a_column_is_added_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_in(tmp_path)
    log.log_metrics({"loss": 0.25}, 19)

    class Killed(csv.DictWriter):
        def writerows(self, *_: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(row_log.csv, "DictWriter", Killed)
    with pytest.raises(KeyboardInterrupt):
        log.log_metrics({"loss": 0.5, "score": 0.5}, 20)
    assert rows(tmp_path) == [{"loss": "0.25", "step": "19"}]
