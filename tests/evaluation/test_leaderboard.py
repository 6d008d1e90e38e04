import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.leaderboard import main
from evaluation.reporting.provenance import provenance
from evaluation.reporting.results import Counts, Results, Row, write_results
from evaluation.scans.leaderboard import change_sentences, joined, standings, unsettled
from lightning_modules.plain.output_folder import OutputFolder
from tests.evaluation.small_checkpoint import status_of

PEOPLE = [f"subject_{number:02d}" for number in range(1, 9)]
EASE = np.linspace(-0.5, 0.5, len(PEOPLE))  # what is easy or hard for every method


def micc_folder(
    path: Path,
    scores: dict[tuple[str, str, str], np.ndarray],
    *,
    stand_in: bool = False,
    digest: str = "ab",
    kind: str = "micc",
    command: str = "micc",
    people: dict[str, str] | None = None,
) -> Path:
    """What micc.py leaves: scores of (method, condition, protocol) by subject."""
    path.mkdir(parents=True)
    label = "stand-in" if stand_in else "MICC"
    rows = [
        Row(method, f"{label} {condition}, {protocol}", "mean", "mm", 1.0, n=len(values))
        for (method, condition, protocol), values in scores.items()
    ]
    title = "STAND-IN: x" if stand_in else "x"
    source = provenance(data={"kind": kind, "digest": digest, "stand_in": stand_in})
    results = Results(command, title, {}, Counts(1, 1, {}), rows, source, stand_in)
    write_results(results, OutputFolder(path, command))
    lines = [
        {"subject": subject, "scan": "s", "condition": condition, "method": method, "protocol": protocol,
         "value_mm": value, "person": (people or {}).get(subject, "")}
        for (method, condition, protocol), values in scores.items()
        for subject, value in zip(PEOPLE, values, strict=True)
    ]  # fmt: skip
    pd.DataFrame(lines).to_csv(path / "subjects.csv", index=False)
    return path


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return micc_folder(
        tmp_path / "ours",
        {
            ("ours", "indoor", "genova"): 1.2 + EASE,
            ("ours", "indoor", "now"): 1.5 + EASE,
            ("mean face", "any", "genova"): 2.0 + EASE,
            ("mean face", "any", "now"): 1.9 + EASE,
        },
    )


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    return micc_folder(
        tmp_path / "theirs",
        {
            ("theirs", "indoor", "genova"): 1.3 + EASE,
            ("theirs", "indoor", "now"): 1.4 + EASE + 0.3 * np.resize([1, -1], len(PEOPLE)),
            ("mean face", "any", "genova"): 2.0 + EASE,
            ("mean face", "any", "now"): 1.9 + EASE,
        },
    )


def test_methods_are_ranked_over_the_same_people_by_hand(ours: Path, theirs: Path) -> None:
    genova, now = standings(joined([ours, theirs]).scores)
    assert genova.methods == ["ours", "theirs", "mean face"]
    np.testing.assert_allclose(genova.means, [1.2, 1.3, 2.0])
    # What is hard for all cancels: the difference is the same in every resample.
    np.testing.assert_allclose(genova.resampled[:, 1] - genova.resampled[:, 0], 0.1, atol=1e-12)
    assert genova.resampled[:, 0].std() > 0.05
    assert now.methods == ["theirs", "ours", "mean face"]
    assert list(unsettled(genova)) == []
    assert list(unsettled(now)) == ["theirs and ours"]


def test_a_baseline_that_both_have_stands_once_and_a_different_one_says_whose_it_is(
    tmp_path: Path, ours: Path, theirs: Path
) -> None:
    assert set(joined([ours, theirs]).scores.method) == {"ours", "theirs", "mean face"}
    other = micc_folder(
        tmp_path / "other",
        {("other", "indoor", "genova"): 1.2 + EASE, ("mean face", "any", "genova"): 1.8 + EASE},
    )
    methods = list(dict.fromkeys(joined([ours, other]).scores.method))
    assert methods == ["ours", "mean face", "other", "mean face (other)"]


def test_rank_changes_are_said(ours: Path, theirs: Path) -> None:
    (sentence,) = change_sentences(standings(joined([ours, theirs]).scores))
    assert sentence == "indoor, genova to now: theirs passes ours"


def test_the_command_writes_tables_in_four_forms(
    tmp_path: Path, ours: Path, theirs: Path, capsys: pytest.CaptureFixture
) -> None:
    output = tmp_path / "out"
    assert status_of(main, [str(ours), str(theirs / "results.json"), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "genova, Indoor: over the 8 subjects that all have" in printed
    assert "indoor, genova to now: theirs passes ours" in printed
    assert "indoor, now, may be chance: theirs and ours" in printed
    names = {path.name for path in output.iterdir()}
    assert {
        "results.json",
        "results.md",
        "results.tex",
        "results.csv",
        "scores.csv",
        "leaderboard.html",
    } <= names
    rows = {
        (r["method"], r["protocol"], r["metric"]): r
        for r in json.loads((output / "results.json").read_text())["rows"]
    }
    behind = rows["theirs", "MICC indoor, genova", "behind the first"]
    assert behind["value"] == pytest.approx(0.1)
    np.testing.assert_allclose(behind["interval"], 0.1, atol=1e-9)
    assert rows["ours", "MICC indoor, genova", "rank"]["interval"] == [1, 1]
    assert rows["ours", "MICC indoor, now", "rank"]["value"] == 2
    assert rows["ours", "MICC indoor, now", "rank"]["interval"] == [1, 2]
    assert rows["ours", "MICC indoor, now", "places lost since genova"]["value"] == 1
    page = (output / "leaderboard.html").read_text()
    assert "theirs passes ours" in page
    assert "2 methods against MICC: ours, theirs" in page
    assert r"\begin{tabular}" in (output / "results.tex").read_text()
    assert "ranks by protocol" in (output / "results.md").read_text()


def test_only_subjects_that_all_have_count_and_the_others_are_told(tmp_path: Path, ours: Path) -> None:
    values = 1.0 + EASE
    values[0] = np.nan  # the easiest
    short = micc_folder(tmp_path / "short", {("short", "indoor", "genova"): values})
    genova, _ = standings(joined([ours, short]).scores)
    assert (genova.used, genova.missing) == (7, {"short": 1})
    np.testing.assert_allclose(genova.means[genova.methods.index("ours")], (1.2 + EASE)[1:].mean())
    assert status_of(main, [str(ours), str(short), "--output", str(tmp_path / "out")]) == 1
    counts = json.loads((tmp_path / "out/results.json").read_text())["counts"]
    assert counts["failed"] == {"no score in its own results": 1}


def test_equal_means_share_a_rank_and_pass_nobody(tmp_path: Path, ours: Path) -> None:
    twin = micc_folder(
        tmp_path / "twin",
        {("twin", "indoor", "genova"): 1.2 + EASE, ("twin", "indoor", "now"): 1.6 + EASE},
    )
    third = micc_folder(
        tmp_path / "third",
        {("third", "indoor", "genova"): 1.3 + EASE, ("third", "indoor", "now"): 1.6 + EASE},
    )
    assert status_of(main, [*map(str, (ours, twin, third)), "--output", str(tmp_path / "out")]) == 0
    rows = {
        (row["method"], row["protocol"].rpartition(" ")[2], row["metric"]): row
        for row in json.loads((tmp_path / "out/results.json").read_text())["rows"]
    }
    ranks = {
        protocol: {
            name: rows[name, protocol, "rank"]["value"] for name in ("ours", "twin", "third", "mean face")
        }
        for protocol in ("genova", "now")
    }
    assert ranks["genova"] == {"ours": 1, "twin": 1, "third": 3, "mean face": 4}
    assert ranks["now"] == {"ours": 1, "twin": 2, "third": 2, "mean face": 4}
    assert rows["twin", "genova", "rank"]["interval"] == [1, 1]
    moved = {
        name: rows[name, "now", "places lost since genova"]["value"] for name in ("ours", "twin", "third")
    }
    assert moved == {"ours": 0, "twin": 1, "third": -1}
    # Third draws level with twin; nobody was equal before and is ahead now, either.
    (sentence,) = change_sentences(standings(joined([ours, twin, third]).scores))
    assert sentence == "indoor, genova to now: nobody passes anybody"


def test_a_subject_without_a_line_lacks_as_well_as_one_without_a_score(
    tmp_path: Path, ours: Path, theirs: Path, capsys: pytest.CaptureFixture
) -> None:
    table = pd.read_csv(theirs / "subjects.csv")
    gone = (table.subject == PEOPLE[3]) & (table.protocol == "now") & (table.method == "theirs")
    table[~gone].to_csv(theirs / "subjects.csv", index=False)
    assert status_of(main, [str(ours), str(theirs), "--output", str(tmp_path / "out")]) == 1
    counts = json.loads((tmp_path / "out/results.json").read_text())["counts"]
    assert counts["failed"] == {"no score in its own results": 1}
    assert counts["total"] == 2 * 3 * len(PEOPLE)
    said = "indoor, now: 7 of 8 count, since theirs lacks 1"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "out/leaderboard.html").read_text()


def test_the_page_says_why_a_method_failed_and_takes_any_name(tmp_path: Path, ours: Path) -> None:
    # Dollar signs would begin a formula in a figure, and a bracket be an argument in LaTeX.
    name = r"[12] $\lambda{$ <i> & co_2|%"
    other = micc_folder(
        tmp_path / "other",
        {
            (name, "indoor", "genova"): 1.1 + EASE,
            (name, "indoor", "now"): np.full(len(PEOPLE), np.nan),
        },
    )
    assert status_of(main, [str(ours), str(other), "--output", str(tmp_path / "out")]) == 1
    page = (tmp_path / "out/leaderboard.html").read_text()
    assert "<td>failed¹</td>" in page
    assert '<p class="note">¹ no score on a subject that the other methods have;' in page
    assert "&lt;i&gt; &amp; co_2|%" in page
    lines = (tmp_path / "out/results.tex").read_text().splitlines()
    assert sum(line.startswith("{}[12]") for line in lines) == 3
    assert not any(line.startswith("[") for line in lines)


def test_a_method_without_any_score_has_no_rank_and_spoils_no_other(tmp_path: Path, ours: Path) -> None:
    none = micc_folder(tmp_path / "none", {("none", "indoor", "genova"): np.full(len(PEOPLE), np.nan)})
    genova, _ = standings(joined([ours, none]).scores)
    assert genova.methods == ["ours", "mean face"]
    assert genova.unscored == ["none"]
    assert genova.used == len(PEOPLE)


def test_methods_that_share_no_subject_have_no_ranks(tmp_path: Path) -> None:
    halves = [np.where(np.arange(8) % 2 == part, 1.0, np.nan) for part in (0, 1)]
    folders = [
        micc_folder(tmp_path / name, {(name, "indoor", "genova"): values})
        for name, values in zip(("odd", "even"), halves, strict=True)
    ]
    (genova,) = standings(joined(folders).scores)
    assert (genova.methods, genova.unscored, genova.used) == ([], ["odd", "even"], 0)
    assert status_of(main, [*map(str, folders), "--output", str(tmp_path / "out")]) == 1
    rows = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    assert [row["value"] for row in rows if row["metric"] == "mean"] == [None, None]


def test_the_best_of_several_scans_counts(tmp_path: Path, ours: Path, theirs: Path) -> None:
    table = pd.read_csv(theirs / "subjects.csv")
    second = table[table.protocol == "genova"].assign(scan="t", value_mm=table.value_mm - 0.7)
    pd.concat([table, second]).to_csv(theirs / "subjects.csv", index=False)
    genova, _ = standings(joined([ours, theirs]).scores)
    assert genova.methods[0] == "theirs"
    np.testing.assert_allclose(genova.means[0], 0.6)


def test_photographs_are_resampled_with_their_people(tmp_path: Path) -> None:
    people = {subject: f"person_{number // 4}" for number, subject in enumerate(PEOPLE)}
    folders = [
        micc_folder(tmp_path / name, {(name, "neutral", "now"): value + EASE}, kind="now", people=people)
        for name, value in (("a", 1.0), ("b", 1.2))
    ]
    everything, neutral = standings(joined(folders).scores)
    assert (everything.condition, neutral.condition) == ("all photographs", "neutral")
    assert (neutral.used, neutral.people) == (8, 2)
    # Two people can be drawn in three ways.
    assert len(np.unique(neutral.resampled[:, 0].round(9))) == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"stand_in": True}, r"other is of a STAND-IN and .*ours of real data; they share no table"),
        ({"digest": "cd"}, "were scored against different scans"),
        ({"kind": "now"}, r"different scans \(micc, now\)"),
        ({"command": "similarity"}, r"holds results of similarity; a leaderboard joins those of micc\.py"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_sentence(
    tmp_path: Path, ours: Path, other: dict, message: str, capsys: pytest.CaptureFixture
) -> None:
    folder = micc_folder(tmp_path / "other", {("other", "indoor", "genova"): 1 + EASE}, **other)
    with pytest.raises(ValueError, match=message):
        joined([ours, folder])
    with pytest.raises(SystemExit, match="2"):
        main([str(ours), str(folder), "--output", str(tmp_path / "out")])
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_one_result_twice_or_one_name_twice_is_refused(tmp_path: Path, ours: Path) -> None:
    with pytest.raises(ValueError, match="at least two runs"):
        joined([ours, ours / "results.json"])
    same = micc_folder(tmp_path / "same", {("ours", "indoor", "genova"): 1 + EASE})
    with pytest.raises(ValueError, match="both call a method 'ours'; score one again with --method NAME"):
        joined([ours, same])


def test_missing_and_broken_tables_of_subjects_are_refused(tmp_path: Path, ours: Path, theirs: Path) -> None:
    table = (theirs / "subjects.csv").read_text()
    for wrong in ("inf", "-inf", "broken"):
        lines = table.splitlines()
        place = lines[0].split(",").index("value_mm")
        cells = lines[1].split(",")
        lines[1] = ",".join([*cells[:place], wrong, *cells[place + 1 :]])
        (theirs / "subjects.csv").write_text("\n".join(lines) + "\n")
        with pytest.raises(ValueError, match=r"subjects\.csv is no table of micc\.py"):
            joined([ours, theirs])
    (theirs / "subjects.csv").write_text("name,score\na,1\n")
    with pytest.raises(ValueError, match=r"no table of micc\.py: expected columns subject, condition"):
        joined([ours, theirs])
    (theirs / "subjects.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no subjects\.csv beside"):
        joined([ours, theirs])
    with pytest.raises(FileNotFoundError):
        joined([ours, tmp_path / "absent"])
