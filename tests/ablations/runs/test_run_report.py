from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from ablations.runs import run_report
from ablations.runs.settings import Settings
from evaluation.reporting.results import Counts, Results, Row
from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.optimisation import Optimisation
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.similarity import Centre
from lightning_modules.regression import Regression, Rendering
from lightning_modules.regressor import Regressor
from lightning_modules.teachers import Teachers
from tests import miniatures


@pytest.fixture
def module() -> Regression:
    network, judge = miniatures.SmallNetwork(1), miniatures.SmallNetwork(2)
    judge.name = "judge"
    torch.manual_seed(0)
    return Regression(
        Regressor(20, 4, 3, hidden_width=16),
        Teachers(miniatures.small_model(), network, network, judge),
        replace(SUITE_WEIGHTS, tone=0.0),
        Rendering(2, 2),
        Optimisation(1e-3, 0.0, 0, 10),
    )


def faces(count: int = 40) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    return Prediction(*(torch.randn(count, width, generator=generator) for width in (4, 3)))


def value(rows: list[Row], method: str, metric: str) -> float:
    (row,) = (row for row in rows if (row.method, row.metric) == (method, metric))
    return row.value


@torch.no_grad()
def test_faces_that_are_the_photographs_score_one_and_are_found(module: Regression) -> None:
    people = faces()
    judge = module.teachers.judge
    photographs = run_report.shown_to(judge, module, people)
    rows = run_report.similarity_rows("judge", module, people, photographs, judge)
    assert value(rows, "this run", "similarity") == pytest.approx(1, abs=1e-6)
    assert value(rows, "this run", "top-1") == value(rows, "this run", "top-5") == 1
    shuffled = (photographs * photographs.roll(1, 0)).sum(1).mean()
    assert value(rows, "its faces shuffled", "similarity") == pytest.approx(float(shuffled), abs=1e-6)
    mean = run_report.shown_to(judge, module, Prediction(torch.zeros(1, 4), torch.zeros(1, 3)))
    assert value(rows, "mean face", "similarity") == pytest.approx(
        float((photographs @ mean.T).mean()), abs=1e-6
    )
    assert {row.n for row in rows} == {40}


@torch.no_grad()
def test_a_centre_is_subtracted_and_named(module: Regression) -> None:
    people = faces(6)
    judge = module.teachers.judge
    photographs = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
    centre = torch.full((8,), 0.2)
    raw = run_report.similarity_rows("judge", module, people, photographs, judge)
    module.centres = {"judge": Centre(centre, "judge", judge.sha256, 500, "some")}
    rows = run_report.similarity_rows("judge", module, people, photographs, judge)
    assert rows[0].protocol == "held-back photographs, judge, centred"
    assert raw[0].protocol == "held-back photographs, judge"
    seen = run_report.shown_to(judge, module, people)
    cosine = torch.cosine_similarity(photographs - centre, seen - centre).mean()
    assert rows[0].value == pytest.approx(float(cosine), abs=1e-5)


def test_five_photographs_have_no_top_5(module: Regression) -> None:
    with torch.no_grad():
        photographs = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
        rows = run_report.similarity_rows("judge", module, faces(5), photographs, module.teachers.judge)
    assert [row.metric for row in rows] == ["similarity"] * 3 + ["top-1"]


def test_coefficients_are_compared_with_their_targets(module: Regression) -> None:
    decoded = Prediction(torch.tensor([[1.0] * 4, [-1.0] * 4]), torch.tensor([[4.0, 0, 0], [4.0, 0, 0]]))
    rows = {row.metric: row.value for row in run_report.coefficient_rows(module, decoded, {})}
    assert rows["|mean - target|"] == pytest.approx(4 / 7)
    # Shape varies by 2, albedo not at all.
    assert rows["|variance - target|"] == pytest.approx(1)
    assert rows["beyond 3 sd"] == pytest.approx(2 / 14)


@torch.no_grad()
def test_the_contact_sheet_has_each_photograph_beside_its_face(module: Regression, tmp_path: Path) -> None:
    photographs = torch.zeros(3, 3, 224, 224)
    photographs[:, 0] = torch.tensor([0.2, 0.6, 1.0])[:, None, None]
    run_report.contact_sheet(module, photographs, faces(8), tmp_path / "sheet.png", "STAND-IN: people")
    with Image.open(tmp_path / "sheet.png") as picture:
        sheet = np.asarray(picture)
    top = len(sheet) - 2 * 224  # title and captions
    assert 50 < top < 100
    assert sheet.shape[1] == 8 * 224
    assert sheet[:top].std() > 5
    for (row, column), red in {(0, 0): 51, (1, 0): 153, (0, 4): 255}.items():
        tile = sheet[top + row * 224 :, column * 224 :][:224, :224]
        assert (tile == (red, 0, 0)).all()
        for view in range(1, 4):
            assert sheet[top + row * 224 :, (column + view) * 224 :][:224, :224].std() > 5
    assert (sheet[top + 224 :, 4 * 224 :] == 255).all()


@torch.no_grad()
def test_the_sheet_without_photographs_has_the_same_faces(
    module: Regression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_report, "SHEET_PEOPLE", 4)
    for name, photographs in (("whole.png", torch.zeros(4, 3, 224, 224)), ("faces.png", None)):
        run_report.contact_sheet(module, photographs, faces(8), tmp_path / name, "people")
    whole, alone = (
        np.asarray(Image.open(tmp_path / name))[-2 * 224 :] for name in ("whole.png", "faces.png")
    )
    assert alone.shape[1] == 6 * 224
    for half in (0, 1):
        of_whole = whole[:, (4 * half + 1) * 224 : (4 * half + 4) * 224]
        assert np.array_equal(of_whole, alone[:, 3 * half * 224 : 3 * (half + 1) * 224])


def test_what_is_printed_fits_a_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [
        Row(
            "this run", "held-back photographs, judge sface, centred", "similarity", "similarity", 0.25, 0.125
        ),
        Row("mean face", "held-back photographs, judge sface, centred", "similarity", "similarity", 0.125),
        Row("this run", "held-back photographs, judge sface", "top-1", "share", 0.5),
        Row(
            "this run", "held-back photographs, coefficients", "|mean - target|", "standard deviations", 0.75
        ),
    ]
    (tmp_path / "final.ckpt").touch()
    run_report.show(
        Results("run", "STAND-IN: [a run]", {}, Counts(3, 2, {"no face": 1}), rows, {}, True), tmp_path
    )
    *table, files = capsys.readouterr().out.splitlines()
    assert files == f"{tmp_path}: results.json final.ckpt"
    assert (
        "\n".join(table)
        == """\
STAND-IN: [a run]

held-back photographs, judge sface
───────────────────────────────────
             similarity,
Method           centred  top-1 (%)
───────────────────────────────────
this run   0.250 ± 0.125      50.00
mean face          0.125          –
───────────────────────────────────

held-back photographs, coefficients
──────────────────────
               |mean -
Method    target| (sd)
──────────────────────
this run         0.750
──────────────────────

± standard error over photographs.
2 of 3 photographs used; failed: 1 no face."""
    )


def test_stage_1_reports_on_rank_0_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert run_report.of_stage_1(*[None] * 3, SimpleNamespace(fast_dev_run=False), Path("nowhere")) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "suite method, quick preset"),
        ({"preset": "standard", "max_steps": 1234}, "suite method, standard preset with 1,234 steps"),
        ({"loopback": False, "pretraining": False, "linear_start": 0.0},
         "suite method, no-loopback+no-pretraining, linear start 0.0, quick preset"),
        ({"contrast_weight": 0.0, "centred": False},
         "suite method, centred False, contrast weight 0.0, quick preset"),
        ({"multi_view": False},
         "suite method, no-multi-view, identity and loopback both see one view, quick preset"),
        ({"method": "paper", "views": 2}, "paper method, views 2, quick preset"),
        ({"method": "paper", "rendered": 16}, "paper method, quick preset"),
        ({"method": "paper", "photographs_per_step": 16},
         "paper method, photographs per step 16, quick preset"),
        ({"identity_network": "facenet"}, "suite method, identity network facenet, quick preset"),
    ],
)  # fmt: skip
def test_a_title_says_how_a_run_departs_from_its_method(given: dict, words: str) -> None:
    assert run_report.described(Settings(**given).resolved()) == words
