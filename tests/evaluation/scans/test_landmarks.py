import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from scipy.spatial import Delaunay

from evaluation.metrics.marked_mesh import Unscorable
from evaluation.scans import landmarks
from evaluation.scans.landmarks import Marker, carried
from evaluation.scans.model_fit import ModelFit, fit_model
from lightning_modules.faces.landmarks import topologies
from lightning_modules.faces.landmarks.ibug import landmarks_on_vertices
from lightning_modules.faces.landmarks.topologies import Topology
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model
from tests.evaluation.seen_faces_of_meshes import detector_at, five_of_model, mesh_of


def test_landmarks_are_found_by_a_detector_and_carried_over_to_other_meshes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landmarks, "load_detector", lambda name: detector_at(five_of_model()))
    marker = Marker(face_like_model)
    marks = marker.marks(mesh_of(), None)
    assert marks.source == "detected"
    inner = [30, 36, 39, 42, 45, 48, 54]
    expected = face_like(4.0).landmarks[inner]
    np.testing.assert_allclose(marks.points[inner], expected, atol=4)
    other = carried(marks, mesh_of()).on(mesh_of(nose_mm=14.0).vertices[None])[0]
    np.testing.assert_allclose(other[36], marks.points[36], atol=1)
    assert float(other[30, 2]) < marks.points[30, 2] - 5


def test_some_marked_points_are_completed_and_kept_as_they_are(tmp_path: Path) -> None:
    face = face_like(4.0)
    order = (36, 39, 42, 45, 33, 48, 54)
    (tmp_path / "seven.json").write_text(json.dumps((0.1 * face.landmarks[list(order)]).tolist()))
    marks = Marker(face_like_model).marks(mesh_of(), tmp_path / "seven.json", unit="cm")
    assert marks.source == "completed"
    np.testing.assert_allclose(marks.points[list(order)], face.landmarks[list(order)], atol=1e-9)
    np.testing.assert_allclose(marks.points[30], face.landmarks[30], atol=4)


def typical_face() -> Mesh:
    """A surface through the places where a face has its landmarks."""
    x, y = np.meshgrid(np.arange(-80, 80.1, 3), np.arange(-90, 75.1, 3))
    flat = np.stack([x.ravel(), y.ravel()], 1)
    depth = RBFInterpolator(TYPICAL_PLACES[:, :2], TYPICAL_PLACES[:, 2], smoothing=1)(flat)
    vertices, triangles = np.column_stack([flat, depth]), Delaunay(flat).simplices
    return Mesh(torch.from_numpy(vertices).float(), torch.from_numpy(triangles).long(), None)


def test_all_marked_points_need_no_model(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", TYPICAL_PLACES)
    marks = Marker(lambda: pytest.fail("not needed")).marks(typical_face(), tmp_path / "all.npy")
    assert marks.source == "marked"
    np.testing.assert_array_equal(marks.points, TYPICAL_PLACES)


@pytest.mark.parametrize(
    ("moved", "reason"),
    [
        ((0, 0, 60), r"landmark 31 \(iBUG, from 1\) lies \d+ mm off the surface; mark it again"),
        ((-44, 35, -37), r"landmark 31 \(iBUG, from 1\) lies .* mm from where a face has it, by the others"),
    ],
)
def test_a_wrong_landmark_fails_and_is_named(tmp_path: Path, moved: tuple[int, ...], reason: str) -> None:
    points = TYPICAL_PLACES.copy()
    points[30] += moved
    np.save(tmp_path / "all.npy", points)
    with pytest.raises(Unscorable, match=rf"unusable landmarks: .*all\.npy: {reason}"):
        Marker(face_like_model).marks(typical_face(), tmp_path / "all.npy")


def test_a_landmark_over_a_hole_of_a_scan_is_believed(tmp_path: Path) -> None:
    np.save(tmp_path / "all.npy", TYPICAL_PLACES)
    whole = typical_face()
    hole = (whole.vertices[:, :2] - torch.tensor([-30.0, 35.0])).norm(dim=1) < 25
    holed = whole._replace(triangles=whole.triangles[~hole[whole.triangles].any(1)])
    assert Marker(face_like_model).marks(holed, tmp_path / "all.npy").source == "marked"


@pytest.mark.parametrize("factor", [10, 25.4, 1000])
def test_points_of_another_unit_lie_over_no_hole(tmp_path: Path, factor: float) -> None:
    np.save(tmp_path / "all.npy", factor * TYPICAL_PLACES)
    whole = typical_face()
    open_face = whole._replace(triangles=whole.triangles[::2])  # everything lies on a border
    with pytest.raises(
        Unscorable, match=r"(\d+, ){7}\d+ and \d+ more \(iBUG, from 1\) lies .* off the surface"
    ):
        Marker(face_like_model).marks(open_face, tmp_path / "all.npy")


def test_a_known_topology_needs_neither_file_nor_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = typical_face()
    ids = np.linalg.norm(mesh.vertices.numpy()[None] - TYPICAL_PLACES[:, None], axis=-1).argmin(1)
    known = {len(mesh.vertices): Topology("face-like", dict(enumerate(ids.tolist())))}
    monkeypatch.setattr(topologies, "TOPOLOGIES", known)
    marks = Marker(lambda: pytest.fail("not needed")).marks(mesh, None)
    assert marks.source == "topology"
    np.testing.assert_allclose(marks.points, mesh.vertices.numpy()[ids])


def test_a_topology_with_some_landmarks_is_completed_by_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, face = mesh_of(), face_like(4.0)
    some = (30, 33, 36, 39, 42, 45, 48, 54)
    ids = {
        index: int(np.linalg.norm(face.vertices - face.landmarks[index], axis=1).argmin()) for index in some
    }
    monkeypatch.setattr(topologies, "TOPOLOGIES", {len(mesh.vertices): Topology("face-like", ids)})
    marks = Marker(face_like_model).marks(mesh, None)
    assert marks.source == "completed"
    assert np.isfinite(marks.points).all()
    np.testing.assert_allclose(marks.points[30], mesh.vertices.numpy()[ids[30]])


def test_a_fit_that_fails_from_the_front_begins_anew_from_another_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right, wrong = five_of_model(), five_of_model() + np.array([0, 0, 400])
    views = iter([wrong, right])
    monkeypatch.setattr(landmarks, "load_detector", lambda name: None)
    monkeypatch.setattr(landmarks, "detected_points", lambda mesh, detect: views)
    marks = Marker(face_like_model).marks(mesh_of(), None)
    np.testing.assert_allclose(marks.points[30], face_like(4.0).landmarks[30], atol=4)


def test_a_fit_as_no_face_is_begins_anew_and_fails_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    # Across the face the model meets two thirds of the surface, at coefficients of 10 and more deviations.
    tried = []

    def fit_wrongly(*given: object, prior_mm2: float) -> ModelFit:
        tried.append(fit_model(*given, prior_mm2=prior_mm2))
        wrong = len(tried) == 1
        return tried[-1]._replace(coefficients=np.full(2, 3.4)) if wrong else tried[-1]

    monkeypatch.setattr(landmarks, "load_detector", lambda name: None)
    monkeypatch.setattr(landmarks, "fit_model", fit_wrongly)
    marker = Marker(face_like_model)
    monkeypatch.setattr(landmarks, "detected_points", lambda *_: iter([five_of_model()] * 2))
    np.testing.assert_allclose(marker.marks(mesh_of(), None).points[30], face_like(4.0).landmarks[30], atol=4)
    assert len(tried) == 2
    tried.clear()
    monkeypatch.setattr(landmarks, "detected_points", lambda *_: iter([five_of_model()]))
    with pytest.raises(
        Unscorable,
        match=r"no landmarks: .* only as no face's do \(3\.4 standard deviations\); mark them in a",
    ):
        marker.marks(mesh_of(), None)


@pytest.mark.parametrize("inward", [False, True])
def test_our_own_reconstructions_have_their_model_s_landmarks(inward: bool) -> None:
    model = typical_model()
    vertices = 1.1 * model.neutral_mean.view(-1, 3) + 7
    triangles = model.triangles.flip(1) if inward else model.triangles
    marks = Marker(lambda: model).marks(Mesh(vertices, triangles, None), None)
    assert marks.source == "topology"
    np.testing.assert_allclose(marks.points, 1.1 * model.landmarks.on(typical_face().vertices[None])[0] + 7)


def test_vertices_in_another_order_are_not_taken_for_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model, face = typical_model(), typical_face()
    monkeypatch.setattr(landmarks, "load_detector", lambda name: lambda picture: [])
    renumbered = face._replace(vertices=face.vertices.flip(0))
    with pytest.raises(Unscorable, match="no face found"):
        Marker(lambda: model).marks(renumbered, None)


def typical_model() -> MorphableModel:
    """The typical face as a model, with landmarks where a face has them."""
    face, small = typical_face(), face_like_model()
    ids = (face.vertices[None] - torch.from_numpy(TYPICAL_PLACES)[:, None]).norm(dim=-1).argmin(1)
    nothing = torch.zeros(face.vertices.numel(), 0)
    flat = PrincipalComponents(face.vertices.flatten(), nothing, torch.zeros(0), 0.0)
    return MorphableModel(
        shape=flat, albedo=flat._replace(mean=torch.full_like(flat.mean, 0.5)), expression=None,
        triangles=face.triangles, landmarks=landmarks_on_vertices(ids, "marked"),
        provenance=small.provenance,
    )  # fmt: skip


def test_a_landmark_file_that_cannot_be_used_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[1, 2]")
    with pytest.raises(Unscorable, match=r"unusable landmarks: .*bad\.json must hold"):
        Marker(face_like_model).marks(mesh_of(), tmp_path / "bad.json")


@pytest.mark.parametrize("has_file", [True, False])
def test_a_cloud_of_points_is_an_empty_mesh(tmp_path: Path, has_file: bool) -> None:
    cloud = mesh_of()._replace(triangles=torch.zeros(0, 3, dtype=torch.int64))
    file = tmp_path / "seven.txt"
    np.savetxt(file, np.arange(21.0).reshape(7, 3))
    with pytest.raises(Unscorable, match="empty mesh: the mesh has no triangle with an area"):
        Marker(face_like_model).marks(cloud, file if has_file else None)


def test_what_is_no_face_gets_no_landmarks(tmp_path: Path) -> None:
    ball = torch.nn.functional.normalize(
        torch.randn(400, 3, generator=torch.Generator().manual_seed(0)), dim=1
    )
    triangles = torch.randint(0, 400, (600, 3), generator=torch.Generator().manual_seed(1))
    face = face_like(4.0)
    (tmp_path / "seven.json").write_text(json.dumps(face.landmarks[[36, 39, 42, 45, 33, 48, 54]].tolist()))
    with pytest.raises(Unscorable, match=r"no landmarks: .* of the model's points meet the surface"):
        Marker(face_like_model).marks(Mesh(900 * ball, triangles, None), tmp_path / "seven.json")


@pytest.mark.parametrize("factor", [0.001, 1.0], ids=["metres", "millimetres"])
def test_points_beside_a_glb_are_in_its_metres_or_in_mm(tmp_path: Path, factor: float) -> None:
    face = face_like(5.0)
    write_mesh(
        Mesh(torch.from_numpy(face.vertices).float(), torch.from_numpy(face.triangles), None),
        tmp_path / "ann.glb",
    )
    rows = [[None] * 3 if np.isnan(point).any() else (factor * point).tolist() for point in face.landmarks]
    (tmp_path / "ann.json").write_text(json.dumps(rows))
    read = read_mesh_in_mm(tmp_path / "ann.glb")
    assert read.unit == "m"
    marks = Marker(face_like_model).marks(read.mesh, tmp_path / "ann.json", unit=read.unit)
    known = np.isfinite(face.landmarks).all(1)
    np.testing.assert_allclose(marks.points[known], face.landmarks[known], atol=1.0)
