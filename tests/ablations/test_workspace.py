import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ablations import workspace
from tests.wandb_reader import read_runs

from .conftest import Start


def written(file: Path, *more: str) -> dict[str, Any]:
    pytest.importorskip("wandb_workspaces")
    assert workspace.main([str(file), *more]) == 0
    return json.loads(file.read_text())


def panels(view: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in sections if section["panels"]}


def shown(view: dict[str, Any]) -> set[str]:
    """Every name that a panel shows."""
    configurations = [panel["config"] for section in panels(view).values() for panel in section]
    return {
        name.removesuffix(".max")
        for each in configurations
        for name in (each.get("metrics") or each.get("mediaKeys") or ["nothing"])
    }


def test_the_json_has_a_section_for_each_question(tmp_path: Path) -> None:
    view = written(tmp_path / "view.json", "--entity", "me", "--project", "mine")
    assert (view["entity"], view["project"]) == ("me", "mine")
    assert list(panels(view)) == [
        "Variants side by side", "Losses", "Gradient norms", "Coefficients", "Pictures", "Stage 1",
    ]  # fmt: skip
    text = json.dumps(view["spec"])
    assert '"group"' in text
    assert "stage 1" in text
    assert "stage 2" in text


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_what_panels_show_is_what_runs_log(start: Start, tmp_path: Path) -> None:
    view = written(tmp_path / "view.json")
    assert start("--wandb", "--output", "mine") == 0
    (stage_1,) = (tmp_path / "runs" / "pretraining").iterdir()
    rows = [row for folder in (stage_1, tmp_path / "mine") for run in read_runs(folder) for row in run.rows]
    logged = {name.split(".")[0] for row in rows for name in row}
    assert shown(view) <= logged


def test_its_own_file_is_replaced_on_request_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "view.json"
    written(file)
    with pytest.raises(SystemExit, match="2"):
        workspace.main([str(file), "--name=another"])
    assert "exists; move it away" in capsys.readouterr().err
    assert written(file, "--overwrite", "--name=another")["displayName"] == "another"


@pytest.mark.parametrize("text", ["theirs", "{}", '{"spec": {"section": 1}}', "[" * 100_000])
def test_a_file_of_others_is_never_replaced(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "view.json"
    file.write_text(text)
    for more in ([], ["--overwrite"]):
        with pytest.raises(SystemExit, match="2"):
            workspace.main([str(file), *more])
        assert "view.json " in capsys.readouterr().err
        assert file.read_text() == text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--save"], "--save needs --entity, the account or team"),
        ([], "workspace.py needs wandb-workspaces: pip install -e '.[workspace]'"),
    ],
)
def test_what_is_missing_is_one_sentence(
    tmp_path: Path,
    given: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    with pytest.raises(SystemExit, match="2"):
        workspace.main([str(tmp_path / "view.json"), *given])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "view.json").exists()
