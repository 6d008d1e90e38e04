import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.reporting import results as module
from evaluation.reporting.results import (
    Counts,
    Results,
    Row,
    check,
    default_output,
    finished_results,
    mark_started,
    plain,
    read_results,
    settings_that_differ,
    write_results,
)
from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.plain.output_folder import OutputFolder

ROW = Row("ours", "stand-in, genova", "mean error", "mm", 1.5, sd=0.13, interval=(1.4, 1.6), n=53)
RESULTS = Results(
    "micc",
    "MICC: point-to-plane",
    {"data": Path("somewhere"), "seed": 0, "names": ("a", "b")},
    Counts(55, 53, {"no face": 2}),
    [ROW],
    {"commit": None, "versions": {"python": "3.11"}},
)


def written(results: Results, folder: Path) -> dict:
    return json.loads(write_results(results, OutputFolder(folder, "micc")).read_text())


def test_a_file_holds_what_the_contract_says(tmp_path: Path) -> None:
    assert written(RESULTS, tmp_path / "new" / "folder") == {
        "schema": 1,
        "command": "micc",
        "stand_in": False,
        "title": "MICC: point-to-plane",
        "provenance": {"commit": None, "versions": {"python": "3.11"}},
        "settings": {"data": "somewhere", "seed": 0, "names": ["a", "b"]},
        "counts": {"total": 55, "used": 53, "failed": {"no face": 2}},
        "rows": [
            {
                "method": "ours",
                "quoted": False,
                "protocol": "stand-in, genova",
                "metric": "mean error",
                "unit": "mm",
                "value": 1.5,
                "sd": 0.13,
                "interval": [1.4, 1.6],
                "n": 53,
            }
        ],
    }


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_results(RESULTS, OutputFolder(tmp_path, "micc"))
    assert read_results(tmp_path) == RESULTS._replace(settings=plain(RESULTS.settings))


def test_what_is_no_number_becomes_null_with_its_reason(tmp_path: Path) -> None:
    rows = [
        ROW._replace(value=float("nan"), sd=float("nan"), interval=(0.0, np.inf)),
        ROW._replace(value=np.float64("inf")),
        ROW._replace(value=None, reason="the alignment failed"),
    ]
    first, second, third = written(RESULTS._replace(rows=rows), tmp_path)["rows"]
    assert (first["value"], first["sd"], first["interval"]) == (None, None, None)
    assert first["reason"] == "the computation gave nan"
    assert second["reason"] == "the computation gave inf"
    assert third["reason"] == "the alignment failed"


def test_numbers_of_numpy_and_torch_are_taken(tmp_path: Path) -> None:
    results = RESULTS._replace(
        rows=[ROW._replace(value=np.float32(0.5), n=np.int64(3))],
        settings={"weights": np.arange(2), "scale": torch.tensor(2.0)},
    )
    document = written(results, tmp_path)
    assert (document["rows"][0]["value"], document["rows"][0]["n"]) == (0.5, 3)
    assert document["settings"] == {"weights": [0, 1], "scale": 2.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [ROW._replace(value=None)]}, r"at \$.rows\[0\]: 'reason' is a required property"),
        ({"rows": [ROW._replace(reason="why")]}, r"at \$.rows\[0\]: .*should not be valid"),
        ({"rows": [ROW._replace(value="1.5")]}, r"must be real number, not str"),
        ({"rows": [ROW._replace(n=-1)]}, r"at \$.rows\[0\].n: -1 is less than the minimum"),
        ({"stand_in": True}, r"at \$.title: 'MICC: point-to-plane' does not match '\^STAND-IN'"),
        ({"provenance": {}}, r"at \$.provenance: 'commit' is a required property"),
        ({"counts": Counts(55, 53, {})}, "do not add up: 55 in total, 53 used"),
        (
            {"counts": Counts(53, 53, {"no face": 0})},
            r"at \$.counts.failed(\.no face|\['no face'\]): 0 is less",
        ),
        ({"settings": {"rate": float("nan")}}, "Out of range float"),
        ({"settings": {"seed": object()}}, "object does not go into JSON"),
    ],
)
def test_what_breaks_the_contract_is_never_written(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        write_results(RESULTS._replace(**change), OutputFolder(tmp_path, "micc"))
    assert not list(tmp_path.iterdir())


def test_stand_ins_are_labelled_and_never_beside_quoted_rows() -> None:
    stand_in = RESULTS._replace(stand_in=True, title="STAND-IN: MICC")
    check(stand_in.as_dict())
    check(RESULTS._replace(rows=[ROW._replace(quoted=True)]).as_dict())
    with pytest.raises(ValueError, match=r"rows\[0\].quoted: False was expected"):
        check(stand_in._replace(rows=[ROW._replace(quoted=True)]).as_dict())


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(RESULTS, OutputFolder(tmp_path, "micc"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_results(RESULTS._replace(title="another"), OutputFolder(tmp_path, "micc"))
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", MANIFEST}
    assert read_results(tmp_path).title == RESULTS.title


def test_a_file_that_is_not_ours_is_named(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text("{")
    with pytest.raises(ValueError, match=r"results.json is not JSON"):
        read_results(tmp_path)
    file.write_text(json.dumps(RESULTS.as_dict() | {"schema": 2}))
    with pytest.raises(ValueError, match=r"results.json does not follow its schema at \$.schema: 1 was"):
        read_results(tmp_path)


WRONG = ["null", "[]", "3", '"text"', "{}", "[" * 100_000, '{"a":' * 100_000]


@pytest.mark.parametrize("content", WRONG)
def test_results_that_are_json_of_another_kind_are_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json (is not JSON|does not follow its schema)") as caught:
        finished_results(tmp_path, "micc", RESULTS.settings)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "content",
    [
        *WRONG,
        '{"command": "micc"}',
        '{"command": 3, "settings": {}}',
        '{"command": "micc", "settings": null}',
    ],
)
def test_a_mark_of_started_work_that_says_something_else_is_one_sentence(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "started.json").write_text(content)
    message = (
        r"started\.json (is not JSON|does not say what was started here).*; ?remove it, or pass --overwrite"
    )
    with pytest.raises(ValueError, match=message):
        finished_results(tmp_path, "micc", RESULTS.settings)


def test_the_same_command_gets_its_finished_results(tmp_path: Path) -> None:
    assert finished_results(tmp_path / "absent", "micc", RESULTS.settings) is None
    write_results(RESULTS, OutputFolder(tmp_path, "micc"))
    assert finished_results(tmp_path, "micc", RESULTS.settings) == read_results(tmp_path)
    assert finished_results(tmp_path, "micc", RESULTS.settings, overwrite=True) is None


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused_in_one_sentence(tmp_path: Path, finished: bool) -> None:
    if finished:
        write_results(RESULTS, OutputFolder(tmp_path, "micc"))
    else:
        mark_started(OutputFolder(tmp_path, "micc"), RESULTS.settings)
        assert finished_results(tmp_path, "micc", RESULTS.settings) is None
    other = {**RESULTS.settings, "seed": 1, "views": None}
    with pytest.raises(
        ValueError, match=r"other settings \(seed: 0 there, 1 now, views: None there, None now\)"
    ):
        finished_results(tmp_path, "micc", other)
    with pytest.raises(
        ValueError, match="belongs to the command micc, not similarity; name another --output"
    ):
        finished_results(tmp_path, "similarity", RESULTS.settings)
    assert finished_results(tmp_path, "micc", other, overwrite=True) is None


def test_starting_anew_removes_older_results(tmp_path: Path) -> None:
    write_results(RESULTS, OutputFolder(tmp_path, "micc"))
    mark_started(OutputFolder(tmp_path, "micc"), {"seed": 1})
    assert finished_results(tmp_path, "micc", {"seed": 1}) is None
    assert not (tmp_path / module.RESULTS).exists()


def test_the_default_folder_follows_from_the_settings_alone() -> None:
    folder = default_output("micc", {"a": 1, "b": Path("x")})
    assert folder.parent == Path("runs/micc")
    assert len(folder.name) == 12
    assert default_output("micc", {"b": "x", "a": 1}) == folder
    assert default_output("micc", {"b": "x", "a": 2}) != folder


DEEP = '{"command": "some", "settings": ' + '{"a":' * 100_000 + "1" + "}" * 100_001


@pytest.mark.parametrize("name", ["results.json", "started.json"])
@pytest.mark.parametrize(
    "content",
    [
        "null",
        "[]",
        "3",
        '"text"',
        "{}",
        '{"command": null, "settings": {}}',
        '{"command": "some"}',
        DEEP,
        "\xff",
        "",
    ],
    ids=["null", "list", "number", "text", "empty", "no command", "no settings", "deep", "latin", "nothing"],
)
def test_json_that_is_valid_and_wrong_is_one_sentence(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{name} (is not JSON|does not follow|is nested|does not say)"):
        finished_results(tmp_path, "some", {})


def test_groups_of_settings_are_compared_one_by_one_and_long_values_cut() -> None:
    found = {"run": {"seed": 0, "views": 3, "names": ["a"]}, "people": 6, "gone": 1}
    wanted = {"run": {"seed": 1, "views": 3, "names": ["b" * 500]}, "people": 6, "new": None}
    changed = settings_that_differ(found, wanted)
    assert changed[0] == "gone: 1 there, None now"
    assert changed[1] == "new: None there, None now"
    assert changed[2].startswith("run.names: ['a'] there, ['bbb")
    assert changed[2].endswith("b... now")
    assert changed[3] == "run.seed: 0 there, 1 now"
