from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_modules.faces import proportions
from lightning_modules.faces.anthropometry.measures import NAMES
from lightning_modules.faces.anthropometry.survey import FINDINGS
from lightning_modules.faces.loaders.basel import save_basel
from lightning_modules.faces.morphable_model import MorphableModel


def like_people(count: int = 4001) -> torch.Tensor:
    """Measures [count, M] whose moments are the survey's."""
    values = torch.randn(count, len(NAMES), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = (values - values.mean(0)) / values.std(0)
    findings = [FINDINGS[name].mixed for name in NAMES]
    means = torch.tensor([finding.mean for finding in findings], dtype=torch.float64)
    return means + values * torch.tensor([finding.deviation for finding in findings], dtype=torch.float64)


def test_people_s_own_measures_are_nowhere_off() -> None:
    rows = proportions.comparison(like_people()).splitlines()[2:]
    assert len(rows) == len(NAMES)
    for row, name in zip(rows, NAMES, strict=True):
        assert row[4:].startswith(name)
        off, ratio = row[23:].split()[4:6]
        assert float(off) == pytest.approx(0, abs=0.005)
        assert float(ratio) == pytest.approx(1)


def test_a_mean_is_off_in_people_s_deviations_and_deviations_are_compared_by_ratio() -> None:
    people, index = like_people(), NAMES.index("mouth width")
    people[:, index] = 54.1 + 2.7 + 0.5 * (people[:, index] - 54.1)
    row = proportions.comparison(people).splitlines()[2 + index]
    assert row.split()[3:9] == ["54.1", "5.4", "56.8", "2.7", "+0.50", "0.50"]


def test_correlations_are_the_lower_triangle_in_hundredths() -> None:
    people = like_people()
    people[:, 1] = -people[:, 0]
    lines = proportions.correlations(people).splitlines()
    assert lines[1].split() == ["2", "-100"]
    assert len(lines[len(NAMES) - 1].split()) == len(NAMES)
    assert "people 0.46 (reported), model" in lines[-1]


def test_measures_are_drawn_from_the_model_s_prior(make_model: Callable[..., MorphableModel]) -> None:
    model = make_model()
    drawn = proportions.measures_of(model, 60, torch.Generator().manual_seed(1))
    assert drawn.shape == (60, len(NAMES))
    shapes = model.sample(60, torch.Generator().manual_seed(1)).shape
    landmarks = model.landmarks.on(model.vertices(shapes))
    mouth = (landmarks[:, 48] - landmarks[:, 54]).norm(dim=-1)
    torch.testing.assert_close(drawn[:, NAMES.index("mouth width")].float(), mouth)


def test_a_model_without_landmarks_is_refused(make_model: Callable[..., MorphableModel]) -> None:
    model = make_model(landmarks="a miniature")
    with pytest.raises(ValueError, match="has no landmarks: a miniature"):
        proportions.measures_of(model, 2, torch.Generator())


def test_the_command_prints_a_table_of_80_columns_with_sources(
    make_model: Callable[..., MorphableModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_basel(make_model(), tmp_path / "model.h5")
    proportions.main([f"basel:{tmp_path / 'model.h5'}", "--faces", "20"])
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines()) <= 80
    for name in (*NAMES, "ANSUR II (recalled)", "Farkas 1994 (recalled)", "MICC marks (reported)"):
        assert name in printed


def test_one_face_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        proportions.main(["open", "--faces", "1"])
    assert "faces" in capsys.readouterr().err
