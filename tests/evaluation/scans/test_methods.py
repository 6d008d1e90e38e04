import json
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from datamodules.scan_folders import Subject
from evaluation.metrics.marked_mesh import Unscorable
from evaluation.metrics.similarity_transform import similarity
from evaluation.scans.landmarks import Marker
from evaluation.scans.methods import ANY_CONDITION, MeanFace, MeshFolder, RandomFace
from evaluation.scans.sentences import unused_sentences
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model, vertex_ids, write_face

ANN, BOB = (Subject(name, (), {}) for name in ("ann", "bob"))


def folder_of(root: Path, *names: str) -> MeshFolder:
    for number, name in enumerate(names):
        write_face(root / f"{name}.obj", face_like(5.0, nose_mm=16.0 + 2 * number))
    marker = Marker(face_like_model)
    return MeshFolder("theirs", root, marker, landmarks=vertex_ids(root.parent / "ids.json"))


def nose(folder: MeshFolder, subject: Subject, condition: str) -> float:
    return float(folder.mesh(subject, condition).vertices[:, 2].max())


@pytest.mark.parametrize("layout", ["ann/{}", "{}/ann"])
def test_meshes_of_conditions_are_found_by_either_layout_and_micc_s_own_names(
    tmp_path: Path, layout: str
) -> None:
    names = [layout.format(condition) for condition in ("cooperative", "PTZ-Indoor")]
    folder = folder_of(tmp_path / "meshes", *names)
    assert folder.conditions(("cooperative", "indoor", "outdoor")) == ("cooperative", "indoor")
    assert nose(folder, ANN, "indoor") > nose(folder, ANN, "cooperative") + 1
    with pytest.raises(Unscorable, match="no mesh: meshes has none of ann"):
        folder.mesh(ANN, "outdoor")


def test_meshes_of_nobody_are_named_and_those_of_any_condition_or_frame_are_not(tmp_path: Path) -> None:
    names = ("ann/cooperative", "ann/PTZ-Indoor/1", "ann/PTZ-Indoor/2", "ann/lab", "bob", "cat", "zoe/indoor")
    folder = folder_of(tmp_path / "meshes", *names)
    assert folder.of_nobody([ANN, BOB], ("cooperative", "indoor")) == ["ann/lab", "cat", "zoe/indoor"]
    said = "of 7, 3 are no subject's and not scored: ann/lab, cat, zoe/indoor; name each after its subject"
    (sentence,) = unused_sentences([ANN, BOB], [folder], ("cooperative", "indoor"))
    assert sentence == f"meshes of theirs: {said}"
    own = folder_of(tmp_path / "own", "ann", "bob")
    assert unused_sentences([ANN, BOB], [own], (ANY_CONDITION,)) == []


def test_meshes_with_their_coefficients_beside_them_are_scored(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "meshes", "ann")
    (tmp_path / "meshes" / "ann.json").write_text('{"coefficient_unit": "standard deviations"}')
    assert np.isfinite(folder.mesh(ANN, ANY_CONDITION).landmarks[30]).all()


def test_one_mesh_for_all_conditions(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "meshes", "ann")
    assert folder.conditions(("cooperative", "indoor")) == (ANY_CONDITION,)
    assert nose(folder, ANN, ANY_CONDITION) == nose(folder, ANN, "indoor")
    with pytest.raises(Unscorable, match="no mesh: meshes has none of bob"):
        folder.mesh(BOB, ANY_CONDITION)


def test_a_mesh_is_found_however_its_name_s_accents_are_written(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "meshes", normalize("NFC", "Müller"))
    subject = Subject(normalize("NFD", "Müller"), (), {})
    assert np.isfinite(folder.mesh(subject, ANY_CONDITION).vertices).all()


def test_a_mesh_that_is_a_link_to_nowhere_is_said_to_be_one(tmp_path: Path) -> None:
    folder_of(tmp_path / "meshes", "bob")
    (tmp_path / "meshes/ann.obj").symlink_to(tmp_path / "not-fetched.obj")
    folder = folder_of(tmp_path / "meshes")
    with pytest.raises(Unscorable, match=r"unusable mesh: .*ann\.obj is a link whose target is missing"):
        folder.mesh(ANN, ANY_CONDITION)


def test_a_mesh_without_triangles_is_empty(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "meshes", "ann")
    rows = [f"v {x} {y} 0" for x in range(0, 200, 20) for y in range(0, 200, 20)]
    (tmp_path / "meshes/ann.obj").write_text("\n".join(rows))
    with pytest.raises(Unscorable, match=r"empty mesh: ann\.obj has no triangle; export them, too"):
        folder.mesh(ANN, ANY_CONDITION)


def test_random_faces_differ_between_subjects_and_not_between_conditions() -> None:
    method = RandomFace(face_like_model(), {"ann": 0, "bob": 1}, seed=3)
    ann, again, bob = (method.mesh(s, c).vertices for s, c in ((ANN, "x"), (ANN, "y"), (BOB, "x")))
    np.testing.assert_array_equal(ann, again)
    assert np.abs(ann - bob).max() > 0.1
    mean = MeanFace(face_like_model()).mesh(ANN, "x").vertices
    assert not np.allclose(mean, ann)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("m", 0.001), ("cm", 0.1)])
def test_points_of_a_shared_topology_are_in_the_unit_of_its_meshes(
    tmp_path: Path, unit: str, factor: float
) -> None:
    face = face_like(5.0)
    write_face(tmp_path / "meshes/ann.obj", face, scale=factor)
    file = tmp_path / "points.json"
    points = [None if np.isnan(point).any() else (factor * point).tolist() for point in face.landmarks]
    file.write_text(json.dumps([[None] * 3 if point is None else point for point in points]))
    folder = MeshFolder("theirs", tmp_path / "meshes", Marker(face_like_model), unit=unit, landmarks=file)
    marked = folder.mesh(ANN, ANY_CONDITION).landmarks
    expected = np.isfinite(face.landmarks).all(1)
    np.testing.assert_allclose(marked[expected], face.landmarks[expected], atol=1.0)


@pytest.mark.parametrize("layout", ["ann/{}/{}", "{}/ann/{}"])
def test_meshes_of_frames_are_averaged(tmp_path: Path, layout: str) -> None:
    names = [layout.format("indoor", frame) for frame in ("0001", "0002", "0003")]
    folder = folder_of(tmp_path / "meshes", *names, "bob/outdoor")
    assert folder.conditions(("cooperative", "indoor", "outdoor")) == ("indoor", "outdoor")
    faces = [face_like(5.0, nose_mm=16.0 + 2 * number).vertices for number in range(3)]
    mesh = folder.mesh(ANN, "indoor")
    np.testing.assert_allclose(mesh.vertices, np.mean(faces, 0), atol=1e-4)
    assert np.isfinite(mesh.landmarks[30]).all()
    with pytest.raises(Unscorable, match="no mesh: meshes has none of ann"):
        folder.mesh(ANN, "outdoor")


def test_frames_of_a_subject_without_conditions_are_averaged(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "meshes", "ann/frame_1", "ann/frame_2", "bob")
    faces = [face_like(5.0, nose_mm=16.0 + 2 * number).vertices for number in range(2)]
    np.testing.assert_allclose(folder.mesh(ANN, ANY_CONDITION).vertices, np.mean(faces, 0), atol=1e-4)


def test_frames_of_another_topology_or_pose_are_no_mean(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "meshes", "ann/1", "ann/2", "bob/1", "bob/2")
    write_face(tmp_path / "meshes" / "ann" / "2.obj", face_like(4.0))
    with pytest.raises(Unscorable, match=r"frames of different topologies: 2\.obj has other triangles"):
        folder.mesh(ANN, ANY_CONDITION)
    face = face_like(5.0)
    turned = face._replace(vertices=similarity(rotation_vector=(0, 0.5, 0)).points(face.vertices))
    write_face(tmp_path / "meshes" / "bob" / "2.obj", turned)
    with pytest.raises(Unscorable, match=r"different poses: 2\.obj is turned by 29 degrees"):
        folder.mesh(BOB, ANY_CONDITION)
