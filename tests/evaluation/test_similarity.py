import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pandas import read_csv
from scipy.stats import wasserstein_distance

from datamodules.alignment.footage_cache import SeenFaces
from datamodules.micc import Sighting
from datamodules.scan_folders import Subject as ScannedPerson
from evaluation import clustering, similarity
from evaluation.likeness import options, published_figures, rendering_embeddings, table_2_columns
from evaluation.likeness.table_2_columns import DataSetColumn
from evaluation.metrics.all_pairs import PairDistributions
from evaluation.metrics.similarity import histogram, histogram_distance
from evaluation.reporting.results import Counts
from evaluation.similarity import BINS, checked_distance, density, figure_of, main
from lightning_modules.recognition.similarity import Centre
from tests import miniatures

from .recognition_miniatures import Material, small_network, write_checkpoint
from .small_checkpoint import saw_in_training, was_trained_with


def results(material: Material, output: str = "out") -> dict[str, Any]:
    return json.loads((material.folder / output / "results.json").read_text())


def value(document: dict, method: str, metric: str, protocol: str = "identities") -> float:
    (row,) = [
        row for row in document["rows"]
        if (row["method"], row["metric"]) == (method, metric) and row["protocol"].startswith(protocol)
    ]  # fmt: skip
    return row["value"]


def test_every_figure_is_what_it_says(material: Material, capsys: pytest.CaptureFixture) -> None:
    assert material.run(main, material.checkpoint) == 1  # one photograph has no face
    found = results(material)
    assert found["counts"] == {"total": 15, "used": 14, "failed": {"no face found": 1}}
    items = read_csv(material.folder / "out" / "photographs.csv")
    ours = items["similarity, run"].dropna()
    assert len(ours) == 14
    assert items.loc[items["reason"].notna(), "photograph"].tolist() == ["P4/P4_0003"]
    assert value(found, "run", "mean") == pytest.approx(ours.mean())
    # By hand from the cached embeddings of the photographs.
    photographs, people = photographs_of(material)
    cosines = (photographs @ photographs.T).numpy()
    first, second = np.triu_indices(14, 1)
    same = people[first] == people[second]
    pairs = cosines[first, second]
    assert value(found, "photographs", "mean of pairs of one person") == pytest.approx(pairs[same].mean())
    assert value(found, "photographs", "mean of pairs of two people") == pytest.approx(pairs[~same].mean())
    for kind, chosen in (("one person", same), ("two people", ~same)):
        exact = wasserstein_distance(ours, pairs[chosen])
        assert value(found, "run", f"EMD to {kind}") == pytest.approx(exact, abs=0.01)  # a bin's width
    share = np.mean(pairs[same] < ours.mean())
    assert value(found, "run", "pairs of one person below the mean") == pytest.approx(share)
    share = np.mean(pairs[~same] > ours.mean())
    assert value(found, "run", "pairs of two people above the mean") == pytest.approx(share)
    assert "14 of 15 photographs used; failed: 1 no face found" in capsys.readouterr().out
    assert (material.folder / "out" / "distributions.pdf").exists()


def photographs_of(material: Material) -> tuple[torch.Tensor, np.ndarray]:
    from datamodules.identity_folder import IdentityFolder

    data = IdentityFolder(
        material.photographs, [small_network("sface")], cache_folder=material.folder / "cache",
        workers=0, progress=False,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    return data.dataset.batch(range(14)).embeddings["sface"], data.identity


def test_floors_and_absent_columns_are_there(material: Material) -> None:
    material.run(main, material.checkpoint)
    rows = results(material)["rows"]
    assert {row["method"] for row in rows} == {"photographs", "run", "its faces shuffled", "mean face"}
    absent = {row["protocol"]: row["reason"] for row in rows if row["value"] is None}
    assert absent == dict.fromkeys(("LFW", "MICC", "MoFA-Test"), "not measured")
    assert not any(row["quoted"] for row in rows)
    assert "not measured" in (material.folder / "out" / "results.md").read_text()


def test_renderings_are_kept_and_a_second_start_continues(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering_embeddings, "AT_ONCE", 4)
    render = rendering_embeddings.render_for_judge

    def killed(*arguments: object, **options: object) -> torch.Tensor:
        if sum(material.rendered) >= 8:
            raise KeyboardInterrupt
        return render(*arguments, **options)

    monkeypatch.setattr(rendering_embeddings, "render_for_judge", killed)
    assert material.run(main, material.checkpoint) == 130
    assert material.rendered == [4, 4]
    monkeypatch.setattr(rendering_embeddings, "render_for_judge", render)
    assert material.run(main, material.checkpoint) == 1
    assert material.rendered == [4, 4, 4, 2, 1]  # the last is the mean face
    stopped = results(material)
    assert material.run(main, material.checkpoint, output="again") == 1
    assert sum(material.rendered) == 16  # nothing but another mean face
    assert results(material, "again")["rows"] == stopped["rows"]


def test_a_face_that_cannot_be_rendered_is_named_and_counted(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    render, bad = rendering_embeddings.render_for_judge, []

    def fails_for_one(model: object, coefficients: object, **options: object) -> torch.Tensor:
        bad.append(coefficients.shape[0])
        if coefficients.shape.shape[1] and (coefficients.shape == bad[0]).all(1).any():
            raise ValueError("a landmark lies behind its camera")
        return render(model, coefficients, **options)

    monkeypatch.setattr(rendering_embeddings, "render_for_judge", fails_for_one)
    assert material.run(main, material.checkpoint) == 1
    assert results(material)["counts"]["failed"] == {"cannot be rendered": 1, "no face found": 1}
    items = read_csv(material.folder / "out" / "photographs.csv").set_index("photograph")
    assert items.loc["P0/P0_0001", "reason"] == "cannot be rendered (a landmark lies behind its camera)"


def test_coefficients_that_are_not_finite_are_failures(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = options.load_reconstructor

    def with_nan(file: Path, **options: object) -> object:
        reconstructor = load(file, **options)

        def coefficients(features: torch.Tensor) -> object:
            decoded = reconstructor.regressor(features)
            decoded.shape.detach()[0, 0] = torch.nan
            return decoded

        class Broken:
            model, encoder, content = reconstructor.model, reconstructor.encoder, reconstructor.content

        Broken.coefficients = staticmethod(torch.no_grad()(coefficients))
        return Broken

    monkeypatch.setattr(options, "load_reconstructor", with_nan)
    assert material.run(main, material.checkpoint) == 1
    failed = results(material)["counts"]["failed"]
    assert failed == {"coefficients are not finite": 1, "no face found": 1}


def test_the_training_network_may_not_judge_unless_it_is_allowed(
    material: Material, capsys: pytest.CaptureFixture
) -> None:
    assert material.run(main, material.checkpoint, "--judge", "dlib") == 2
    assert "was trained with dlib, which scores its own training too well" in capsys.readouterr().err
    assert material.run(main, material.checkpoint, "--judge=dlib", "--allow-training-network") == 1
    assert "judged by dlib" in results(material)["title"]


def test_a_centre_is_said_and_changes_the_figures(material: Material) -> None:
    material.run(main, material.checkpoint)
    material.run(main, material.checkpoint, "--centred", output="centred")
    raw, centred = results(material), results(material, "centred")
    assert "raw cosines" in raw["title"]
    assert "centre of 600 photographs (photographs, training)" in centred["title"]
    assert value(raw, "run", "mean") != value(centred, "run", "mean")


@pytest.mark.parametrize("more", [[], ["--people=4"]])
def test_faces_are_shown_as_in_the_checkpoint_s_training_unless_it_is_asked_otherwise(
    material: Material, more: list[str]
) -> None:
    def figures(output: str, *options: str) -> tuple[dict, bool]:
        material.run(main, material.checkpoint, *more, *options, output=output)
        found = results(material, output)
        shown_as_rendered = "faces shown as rendered" in found["title"]
        assert (found["settings"].get("retouched") is False) == shown_as_rendered
        rows = found["rows"]
        return {
            (row["method"], row["protocol"], row["metric"]): row["value"] for row in rows
        }, shown_as_rendered

    usual, says = figures("usual")
    assert not says
    assert figures("asked", "--retouched") == (usual, False)
    plain, says = figures("plain", "--no-retouched")
    assert says
    was_trained_with(material.checkpoint, retouched=False)
    assert figures("trained") == (plain, True)
    assert figures("trained, asked", "--retouched") == (usual, False)
    metric = "mean, one person" if more else "mean"
    for method in ("run", "its faces shuffled", "mean face"):
        assert {key: plain[key] != usual[key] for key in usual if key[::2] == (method, metric)}.popitem()[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--judge", "facenet", "--centred"],
            "the checkpoint keeps no centre of facenet; give --centre-from",
        ),
        (["--descriptor-crops", "10"], "--descriptor-crops is of vggface, the judge is sface"),
        (["--meshes", "x"], "give one of a checkpoint, --meshes DIR and --renderings DIR"),
    ],
)
def test_what_cannot_be_is_refused(
    material: Material, capsys: pytest.CaptureFixture, more: list[str], message: str
) -> None:
    assert material.run(main, material.checkpoint, *more) == 2
    assert message in capsys.readouterr().err


def test_another_checkpoint_s_results_are_not_taken_for_this_one_s(
    material: Material, capsys: pytest.CaptureFixture
) -> None:
    material.run(main, material.checkpoint)
    write_checkpoint(material.checkpoint, seed=1)
    assert material.run(main, material.checkpoint) == 2
    assert "computed with other settings (checkpoint_sha256:" in capsys.readouterr().err


def test_the_reporting_protocol_is_an_option(material: Material) -> None:
    assert material.run(main, material.checkpoint, "--people", "4") == 0
    found = results(material)
    assert found["counts"] == {"total": 4, "used": 4, "failed": {}}
    assert {row["metric"] for row in found["rows"]} >= {"AUC, the source photograph", "EMD to one person"}
    assert all(row["sd"] is not None for row in found["rows"])
    mean_face = value(found, "mean face", "AUC, both photographs", "identities, 4 people")
    assert mean_face == pytest.approx(0.5)


def test_without_data_the_stand_in_is_scored_and_named_first_and_last(
    material: Material, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from evaluation.likeness import photographs_of_people

    monkeypatch.setattr(photographs_of_people, "STAND_IN_PEOPLE", 4)
    arguments = ["--workers=0", "--no-progress", "--cache-folder", str(material.folder / "cache")]
    assert main([str(material.checkpoint), *arguments, "--output", str(material.folder / "out")]) in (0, 1)
    found = results(material)
    assert found["stand_in"]
    assert found["title"].startswith("STAND-IN: similarity of run")
    assert "true face (ceiling)" in {row["method"] for row in found["rows"]}
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[0].startswith("STAND-IN: no lfw is known here")
    assert lines[-1] == lines[0]


def test_meshes_and_pictures_of_another_method_are_scored(material: Material) -> None:
    from lightning_modules.faces.mesh import Mesh
    from lightning_modules.faces.mesh_files.any_format import write_mesh

    model = miniatures.small_model()
    for number in range(4):
        face = model(torch.full((1, 4), 0.3 * number), torch.zeros(1, 3))
        mesh = Mesh(face.vertices[0] / 1000, model.triangles, face.albedo[0].clamp(0, 1))  # metres
        file = material.folder / "meshes" / f"P{number}_0001.ply"
        file.parent.mkdir(exist_ok=True)
        write_mesh(mesh, file)
    (material.folder / "meshes" / "P4_0001.ply").write_text("no mesh")
    assert material.run(main, "--meshes", material.folder / "meshes", "--judge", "sface") == 1
    found = results(material)
    assert found["counts"]["used"] == 4
    assert found["counts"]["failed"] == {
        "cannot be used": 1,
        "no file of the method's": 9,
        "no face found": 1,
    }
    plain = ["--meshes", material.folder / "meshes", "--judge", "sface", "--no-retouched"]
    assert material.run(main, *plain, output="plain") == 1
    assert value(results(material, "plain"), "meshes", "mean") != value(found, "meshes", "mean")
    # Pictures are what they are.
    for retouched in ("--retouched", "--no-retouched"):
        pictures = ["--renderings", material.photographs, "--method", "perfect", retouched]
        assert material.run(main, *pictures, output=f"pictures{retouched}") == 1
        found = results(material, f"pictures{retouched}")
        assert value(found, "perfect", "mean") == pytest.approx(1.0, abs=1e-3)


def test_vggface_is_calibrated_first_and_nothing_is_quoted_unless_it_is_the_paper_s(
    material: Material,
) -> None:
    assert material.run(main, material.checkpoint, "--judge", "vggface", kind="lfw") == 1
    found = results(material)
    assert "the paper's set-up is NOT reproduced, so nothing is quoted" in found["title"]
    rows = [row for row in found["rows"] if row["quoted"]]
    assert {(row["protocol"], row["value"]) for row in rows} == {
        ("LFW, all pairs", 0.227), ("LFW, all pairs", 0.0004),
    }  # fmt: skip


def distributions(below: int, above: int) -> PairDistributions:
    same = np.concatenate([np.full(below, 0.3), np.full(1000 - below, 0.6)])
    return PairDistributions(same, histogram(np.zeros(10_000)), {0.403: above}, 0.0)


@pytest.mark.parametrize(
    ("below", "above", "reproduced"), [(227, 4, True), (240, 3, True), (260, 4, False), (227, 40, False)]
)
def test_a_set_up_is_the_paper_s_within_a_stated_tolerance(below: int, above: int, reproduced: bool) -> None:
    found = published_figures.calibration(distributions(below, above), "vggface")
    assert found.reproduced == reproduced
    assert ("NOT reproduced" in found.sentence) != reproduced


def test_the_literature_stands_where_the_data_set_is_the_paper_s() -> None:
    assert published_figures.is_the_papers("lfw", 13_233)
    assert not published_figures.is_the_papers("lfw", 13_000)
    rows = published_figures.distance_rows("lfw", "LFW")
    assert [(row.method, row.value) for row in rows] == [
        ("Tran et al.", 0.32), ("Tran et al.", 0.09),
        (published_figures.PAPER, 0.14), (published_figures.PAPER, 0.26),
    ]  # fmt: skip
    assert all(row.quoted for row in rows)


def test_pyemd_scipy_and_the_exact_distance_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyemd")
    generator = np.random.default_rng(0)
    counts = [histogram(generator.normal(mean, 0.1, 5000).clip(-1, 1)) for mean in (0.1, 0.5)]
    centres = similarity.BINS.centres
    scipy = wasserstein_distance(centres, centres, *counts)
    assert checked_distance(*counts) == pytest.approx(scipy, abs=1e-3)
    assert checked_distance(*counts) == pytest.approx(histogram_distance(*counts), abs=1e-3)
    monkeypatch.setattr(similarity, "pyemd_distance", lambda *_: 0.7)
    with pytest.raises(RuntimeError, match=r"pyemd gives 0.70000 where the exact distance is 0\.40"):
        checked_distance(*counts)


class SomeVideos:
    """MICC of three people: the third has no footage, and no scan has a face to find."""

    conditions = ("indoor",)

    def __init__(self, folder: Path, networks: list, **_: object) -> None:
        self.networks = {network.name: network for network in networks}

    def prepare_data(self) -> None:
        pass

    def subjects(self) -> list[ScannedPerson]:
        return [ScannedPerson(name, (), {}, "no scan") for name in ("a", "b", "c")]

    def sighting(self, subject: ScannedPerson, condition: str) -> Sighting:
        if subject.name == "c":
            return Sighting("c", condition, None, "no footage: indoor")
        generator = torch.Generator().manual_seed(ord(subject.name))
        widths = {"features": 20, "descriptors": 8}
        seen = [
            {n: torch.randn(4, width, generator=generator) for n in self.networks}
            for width in widths.values()
        ]
        return Sighting(subject.name, condition, SeenFaces(torch.arange(4), *seen, {}))

    def provenance(self) -> dict:
        return {"kind": "micc"}


def test_micc_is_a_column_of_its_own(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_2_columns, "MICC", SomeVideos)
    (material.folder / "micc" / "subject_01").mkdir(parents=True)
    assert material.run(main, material.checkpoint, "--micc", material.folder / "micc") == 1
    found = results(material)
    assert found["counts"]["total"] == 15 + 3
    assert found["counts"]["failed"]["no footage: indoor"] == 1
    mine = [row for row in found["rows"] if row["protocol"] == "MICC, 2 videos"]
    assert {row["method"] for row in mine} == {"run", "its faces shuffled", "mean face"}
    assert {row["n"] for row in mine if row["metric"] == "mean"} == {8}
    items = read_csv(material.folder / "out" / "photographs.csv").set_index("photograph")
    mean = np.mean([items.loc[f"{name}/indoor", "similarity, run"] for name in "ab"])
    assert value(found, "run", "mean", "MICC") == pytest.approx(mean)


@pytest.mark.parametrize("command", [similarity, clustering])
def test_a_title_says_how_many_photographs_were_trained_on(material: Material, command: ModuleType) -> None:
    files = sorted(material.photographs.rglob("*.jpg"))
    saw_in_training(material.checkpoint, files[:6])
    assert material.run(command.main, material.checkpoint) == 1
    assert results(material)["title"].endswith("; TRAINED ON 6 of these 14 photographs")
    assert material.run(command.main, material.checkpoint, "--people", "4", output="four") == 0
    assert "; TRAINED ON 2 of these 4 photographs" in results(material, "four")["title"]


def test_figure_5_has_a_panel_for_each_data_set_that_was_scored() -> None:
    nothing = (pd.DataFrame(), Counts(0, 0, {}), {})
    columns = [
        DataSetColumn("lfw", "LFW, 3 faces", 3, {"run": (np.array([0.2, 0.3]), np.arange(2))}, *nothing),
        DataSetColumn(
            "mofa", "MoFA-Test, 2 faces", 2, {"run": (np.array([0.6, 0.8]), np.arange(2))}, *nothing
        ),
    ]
    figure = figure_of("title", columns, distributions(1, 1))
    assert [axes.get_title() for axes in figure.axes] == ["LFW, 3 faces", "MoFA-Test, 2 faces"]
    drawn = [{line.get_label(): line.get_ydata() for line in axes.lines} for axes in figure.axes]
    for name in ("photographs of one person", "photographs of two people"):
        np.testing.assert_array_equal(drawn[0][name], drawn[1][name])
    run = [
        next(line for line in axes.lines if line.get_label() == "photograph and run") for axes in figure.axes
    ]
    means = [(line.get_xdata() * line.get_ydata()).sum() / line.get_ydata().sum() for line in run]
    assert means == pytest.approx([0.25, 0.7], abs=0.1)


@pytest.mark.parametrize("count", [5, 120, 13_233])
def test_a_density_is_drawn_in_bins_as_wide_as_its_number_of_values_allows(count: int) -> None:
    values = np.random.default_rng(0).normal(0.3, 0.12, count).clip(-1, 1)
    x, y = density(histogram(values, BINS))
    width = x[1] - x[0]
    assert (y.sum() * width, (x * y).sum() * width) == pytest.approx((1, values.mean()), abs=width / 2)
    assert max(BINS.width, 0.5 * 3.49 * values.std() * count ** (-1 / 3)) <= width + 1e-9
    true = np.exp(-(((x - 0.3) / 0.12) ** 2) / 2) / 0.12 / np.sqrt(2 * np.pi)
    assert np.abs(y - true).max() < {5: 5, 120: 1, 13_233: 0.6}[count]


def test_values_that_are_all_alike_have_a_density() -> None:
    x, y = density(histogram(np.full(7, 0.205), BINS))
    assert x[y > 0] == pytest.approx([0.205])


def test_help_names_units_and_defaults(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "mm, cm, dm, m, um, inch, a number of millimetres, or auto" in " ".join(
        capsys.readouterr().out.split()
    )


def test_centres_of_other_weights_are_refused(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"centres": {"sface": Centre(torch.ones(8), "sface", "ff" * 32, "x", 600).as_dict()}}
    scored = options.Scoring(checkpoint=material.checkpoint, data="stand-in", centred=True)
    subject = options.subject_of(scored)._replace(content=content)
    with pytest.raises(ValueError, match="the centre belongs to sface"):
        options.load_parts(scored, options.RenderingMachine(device="cpu"), subject)


def test_items_keep_photographs_apart(material: Material) -> None:
    material.run(main, material.checkpoint)
    frame = pd.read_csv(material.folder / "out" / "photographs.csv")
    assert frame["photograph"].is_unique
    assert frame["person"].dropna().nunique() == 5
