"""The built model as a whole, from the cache or built once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.faces.anthropometry.measures import NAMES
from lightning_modules.faces.anthropometry.survey import FINDINGS
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.loaders.basel import load_basel, save_basel
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.open_model import appearances, build, cache, marks
from lightning_modules.faces.open_model.head import ORIGIN
from lightning_modules.faces.proportions import measures_of


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_basel(cache.open_model_file())


def test_its_sizes_are_the_recipe_s(model: MorphableModel) -> None:
    described = model.describe()
    assert described["kind"] == "open"
    assert described["name"] == build.model_name(1)
    assert 14_000 < described["vertices"] < 16_000
    assert [described[f"{part}_components"] for part in ("shape", "albedo", "expression")] == [199, 199, 51]
    assert described["shape_variance_kept"] > 0.999
    assert "not scan statistics" in described["note"]


def test_columns_are_orthonormal(model: MorphableModel) -> None:
    for part in ("shape", "albedo", "expression"):
        basis = model.components(part).basis.double()
        torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]).double(), atol=1e-5, rtol=0)


def test_variances_fall_and_are_of_the_prototype_s_size(model: MorphableModel) -> None:
    vertices = model.neutral_mean.numel() / 3
    for part in ("shape", "albedo", "expression"):
        assert torch.all(model.components(part).variance.diff() <= 0)
    rms = [
        float((model.components(part).variance.sum() / vertices).sqrt()) for part in ("shape", "expression")
    ]
    assert 4.5 < rms[0] < 6.5  # mm; the prototype had 5.4
    assert 1.0 < rms[1] < 3.5
    channel_rms = float((model.albedo_variance.sum() / model.albedo_mean.numel()).sqrt())
    assert 0.08 < channel_rms < 0.15


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coefficients_projected_from_sampled_meshes_are_the_drawn_ones(
    model: MorphableModel, seed: int
) -> None:
    drawn = model.sample(16, torch.Generator().manual_seed(seed))
    faces = model(drawn.shape, drawn.albedo)
    shape, albedo = model.shape_coefficients(faces.vertices), model.albedo_coefficients(faces.albedo)
    assert (shape - drawn.shape)[:, :80].abs().max() < 1e-3
    assert (albedo - drawn.albedo)[:, :80].abs().max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_meshes_of_twenty_thousand_draws_are_standard_normal_again(model: MorphableModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    sums, squares, count = torch.zeros(199).double(), torch.zeros(199).double(), 20_000
    for _ in range(count // 500):
        drawn = model.sample(500, generator)
        seen = model.shape_coefficients(model.vertices(drawn.shape)).double()
        sums, squares = sums + seen.sum(0), squares + seen.square().sum(0)
    mean = sums / count
    assert mean.abs().max() < 0.03
    assert (squares / count - mean.square() - 1).abs().max() < 0.05


def test_no_expression_is_the_neutral_face(model: MorphableModel) -> None:
    drawn = model.sample(2, torch.Generator().manual_seed(0))
    neutral = model.vertices(drawn.shape)
    assert torch.equal(neutral, model.vertices(drawn.shape, torch.zeros(2, 51)))
    assert torch.all(model.expression_mean == 0)


def test_the_mean_is_a_face_in_millimetres_with_its_origin_at_the_nose(model: MorphableModel) -> None:
    mean = model.neutral_mean.view(1, -1, 3)
    (origin,) = build.read_head(1).head.vertex_of(ORIGIN)
    torch.testing.assert_close(mean[0, origin], torch.zeros(3), atol=1e-4, rtol=0)
    landmarks = model.landmarks.on(mean)[0]
    right_eye, left_eye, _, right_mouth, left_mouth = five_points(landmarks)
    assert 58 < (left_eye - right_eye).norm() < 68  # adults: 54 to 74
    assert right_eye[0] < 0 < left_eye[0]
    assert right_mouth[1] < 0 < right_eye[1]
    assert 40 < (left_mouth - right_mouth).norm() < 60
    assert mean[..., 2].max() < 3  # nothing stands before the nose tip but its own roundness


def test_the_nose_tip_is_the_foremost_point_of_the_nose(model: MorphableModel) -> None:
    shapes = model.sample(200, torch.Generator().manual_seed(5)).shape
    vertices = model.vertices(torch.cat([torch.zeros(1, 199), shapes]))
    tips = model.landmarks.on(vertices)[:, 30]
    near = (vertices - tips[:, None]).norm(dim=-1) < 15
    foremost = vertices[torch.arange(201), vertices[..., 2].where(near, -torch.inf).argmax(1)]
    above = (foremost - tips)[:, 1]  # vertices are 1.1 mm apart there
    assert above[0].abs() < 1
    assert above[1:].mean().abs() < 0.5
    assert (foremost - tips)[:, 2].max() < 1


def test_the_mean_s_eyes_have_a_person_s_size(model: MorphableModel) -> None:
    points = model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0]
    for corners, lids in (((36, 39), ((37, 41), (38, 40))), ((42, 45), ((43, 47), (44, 46)))):
        # mm; the corners that are marked on MICC's scans lie 27.4 apart from side to side
        assert 27 < (points[corners[0]] - points[corners[1]]).norm() < 31
        for upper, lower in lids:
            assert 9.5 < (points[upper] - points[lower]).norm() < 12  # about 11


def test_the_mean_is_nearly_symmetric(model: MorphableModel) -> None:
    landmarks = model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0]
    outer_eyes, mouth = landmarks[[36, 45]], landmarks[[48, 54]]
    for pair in (outer_eyes, mouth):
        assert (pair[0] * torch.tensor([-1.0, 1.0, 1.0]) - pair[1]).abs().max() < 1.0


def test_landmarks_are_the_marks_carried_through_the_subdivision(model: MorphableModel) -> None:
    assert set(model.landmarks.sources) == {"marked"}
    source = build.read_head(1)
    again = marks.marked_landmarks(source.head)
    assert torch.equal(again.vertex_ids, model.landmarks.vertex_ids)
    # A mark's descendant lies within a subdivided edge of it.
    positions = source.head.matrix @ source.base
    for mark, ids in zip(marks.BASE_VERTICES, again.vertex_ids, strict=True):
        base = source.base[np.searchsorted(source.head.base_vertices, mark)]
        assert np.abs(positions[ids[: len(mark)]] - base).max() < 3.0


def test_the_mesh_is_open_only_where_it_was_cut(model: MorphableModel) -> None:
    """Edges with one triangle: the rim of the crop, the throat, two eyeballs and two eye cavities."""
    triangles = model.triangles
    sides = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).sort(1).values
    edges, uses = sides.unique(dim=0, return_counts=True)
    assert uses.max() == 2
    rim = edges[uses == 1].numpy()
    neighbours = {int(v): set() for v in np.unique(rim)}
    for a, b in rim.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    loops = 0
    while neighbours:
        stack, loops = [next(iter(neighbours))], loops + 1
        while stack:
            stack += neighbours.pop(stack.pop(), ())
            stack = [vertex for vertex in stack if vertex in neighbours]
    assert loops == 6


def test_albedo_is_that_of_skin(model: MorphableModel) -> None:
    mean = model.albedo_mean.view(-1, 3)
    assert mean.min() >= 0  # the pupil is black
    assert mean.max() < 1
    cheek = mean[model.landmarks.vertex_ids[3, 0]]
    assert cheek[0] > cheek[1] > cheek[2]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="level must be 1 or 2, got 3"):
        build.build_open_model(3)


def tiny(level: int, *, progress: object = None) -> MorphableModel:
    """Stands in for the build."""
    basis = torch.eye(9)[:, :2].contiguous()
    components = build.PrincipalComponents(torch.arange(9.0), basis, torch.ones(2), 2.0)
    return MorphableModel(
        shape=components,
        albedo=components,
        expression=None,
        triangles=torch.tensor([[0, 1, 2]]),
        landmarks="a miniature",
        provenance=build.ModelSource("open", "tiny", "", ""),
    )


ASK_FOR_THE_MODEL = """
import os, sys, time
from pathlib import Path
from lightning_modules.faces.loaders.basel import load_basel
from lightning_modules.faces.open_model import cache

folder = Path(sys.argv[1])
whole = load_basel(folder / "whole.h5")

def build(level, *, progress):
    (folder / f"built-by-{os.getpid()}").touch()
    time.sleep(1)
    return whole

cache.cache_folder = lambda: folder / "cache"
cache.build_open_model = build
load_basel(cache.open_model_file())
"""


def test_two_processes_that_ask_at_once_build_it_once(tmp_path: Path) -> None:
    save_basel(tiny(1), tmp_path / "whole.h5")
    command = [sys.executable, "-c", ASK_FOR_THE_MODEL, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert len(list(tmp_path.glob("built-by-*"))) == 1


def test_an_interrupted_build_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(model: MorphableModel, path: Path) -> None:
        save_basel(model, path.with_name("reference.h5"))
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(cache, "build_open_model", tiny)
    monkeypatch.setattr(cache, "save_basel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.open_model_file()
    assert [path.name for path in tmp_path.glob("*.h5")] == ["reference.h5"]
    monkeypatch.undo()
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(cache, "build_open_model", tiny)
    assert load_basel(cache.open_model_file()).describe()["vertices"] == 3


@pytest.mark.slow
def test_building_again_gives_the_same_numbers(model: MorphableModel) -> None:
    again = build.build_open_model(1)
    for part in ("shape", "albedo", "expression"):
        for ours, cached in zip(again.components(part)[:3], model.components(part)[:3], strict=True):
            torch.testing.assert_close(ours, cached, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_finer_level_has_about_basel_s_size_and_the_same_face(model: MorphableModel) -> None:
    finer = load_basel(cache.open_model_file(2), shape_components=5, albedo_components=5)
    assert 53_000 < finer.describe()["vertices"] < 63_000
    ours, theirs = (each.landmarks.on(each.neutral_mean.view(1, -1, 3)) for each in (model, finer))
    assert (ours - theirs).norm(dim=-1).max() < 1.0


def test_its_faces_have_the_proportions_of_people(model: MorphableModel) -> None:
    drawn = measures_of(model, 2000, torch.Generator().manual_seed(0))
    for index, name in enumerate(NAMES):
        people = FINDINGS[name].mixed
        assert abs(drawn[:, index].mean() - people.mean) < 0.25 * people.deviation, name
        assert 0.7 < drawn[:, index].std() / people.deviation < 1.3, name


def test_no_rim_is_a_spike(model: MorphableModel) -> None:
    """In profile, the crop meets the crown at an obtuse angle: the forehead rises to no point."""
    profile = model.neutral_mean.view(-1, 3)[:, 1:]
    top = profile[profile[:, 0].argmax()]
    near = profile[(profile[:, 0] > top[0] - 10)]
    assert near[:, 1].amax() - near[:, 1].amin() > 25  # mm of crown 10 mm below the top


def test_upper_lids_cover_the_top_of_the_iris(model: MorphableModel) -> None:
    eyeballs = torch.from_numpy(build.read_head(1).head.parts == "eyeball")
    shapes = model.sample(100, torch.Generator().manual_seed(3)).shape
    vertices = model.vertices(torch.cat([torch.zeros(1, 199), shapes])).double()
    lids = model.landmarks.on(vertices)[:, [37, 38], 1].mean(1)
    covered = []
    for face, lid in zip(vertices, lids, strict=True):
        points = face[eyeballs & (model.neutral_mean.view(-1, 3)[:, 0] < 0)]
        system = torch.cat([2 * points, torch.ones(len(points), 1).double()], 1)
        *centre, rest = torch.linalg.lstsq(system, (points**2).sum(1, keepdim=True)).solution[:, 0]
        radius = (rest + torch.stack(centre).square().sum()).sqrt()
        covered.append(float(centre[1] + radius * np.sin(appearances.IRIS_ANGLE) - lid))
    assert 1.5 < covered[0] < 3.5  # mm; at rest people's cover one to two of an iris of 11.7
    assert np.percentile(covered, 5) > 0  # wide-open eyes exist, too


def test_nothing_shines_through_beside_the_eyeballs(model: MorphableModel) -> None:
    """A ray between the lids at the outer corners meets the eye or its cavity, never the other side."""
    parts = build.read_head(1).head.parts
    mean = model.neutral_mean.view(-1, 3).numpy()
    deepest = mean[parts == "eye_cavity", 2].min()
    assert deepest < mean[parts == "eyeball", 2].min() - 1
