from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.metrics import scan_score
from evaluation.metrics.landmark_start import landmark_start
from evaluation.metrics.marked_mesh import MarkedMesh, Unscorable, checked_mesh
from evaluation.metrics.registration import align
from evaluation.metrics.scan_protocols import PROTOCOLS, ScanProtocol
from evaluation.metrics.scan_score import ScanScore, common_scale, prepare_scan, score_protocols, score_scan
from evaluation.metrics.similarity_transform import similarity
from lightning_modules.plain.failures import failure_kind
from tests.evaluation.metrics.face_like import all_landmarks, face_like

SCAN = face_like()
WHOLE = SCAN._replace(landmarks=all_landmarks())
OTHER = face_like(4.0, nose_mm=16, scattered=True)
UNIT = similarity(scale=1 / 80, rotation_vector=(0.2, 0.1, -0.3), translation=(1, 2, 3))
GENOVA = PROTOCOLS["genova"]
RIGID = replace(GENOVA, scaling="none")
GLOBAL = replace(GENOVA, scaling="global")


def moved(mesh: MarkedMesh) -> MarkedMesh:
    """The mesh in another frame and unit."""
    return mesh._replace(vertices=UNIT.points(mesh.vertices), landmarks=UNIT.points(mesh.landmarks))


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_the_scan_itself_scores_zero_in_any_frame_and_unit(protocol: ScanProtocol) -> None:
    scan = WHOLE if protocol.alignment == "region-wise" else SCAN
    score = score_scan(scan, moved(scan), protocol)
    assert score.failure is None
    assert score.protocol == protocol.name
    # REALY's steps draw the nearest vertex to each keypoint; here vertices lie 5 mm apart.
    assert score.value_mm < (0.1 if scan is WHOLE else 1e-3)
    assert score.kept_fraction > 0.9
    assert score.alignment.scale == pytest.approx(80)
    assert (score.mesh_to_scan is None) == (protocol.directions == "scan to mesh")
    assert len(score.scan_to_mesh.values_mm) == len(SCAN.vertices)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_a_prepared_scan_gives_the_same_score_under_every_protocol(protocol: ScanProtocol) -> None:
    scan, other = SCAN, OTHER
    if protocol.alignment == "region-wise":
        scan, other = WHOLE, OTHER._replace(landmarks=all_landmarks(nose_mm=16))
    prepared = prepare_scan(scan)
    first = score_scan(prepared, moved(other), protocol)
    assert first.value_mm == score_scan(scan, moved(other), protocol).value_mm
    assert first.value_mm > 0.03
    mesh = MarkedMesh(*(torch.from_numpy(part) for part in moved(other)))
    assert first.value_mm == score_scan(prepared, mesh, protocol).value_mm


def test_protocols_scored_together_give_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare_scan(SCAN)
    protocols = [PROTOCOLS["genova"], PROTOCOLS["tran"], PROTOCOLS["fg2018"]]
    alone = [score_scan(prepared, moved(OTHER), protocol) for protocol in protocols]
    calls = []
    monkeypatch.setattr(
        "evaluation.metrics.scan_score.align", lambda *arguments: calls.append(1) or align(*arguments)
    )
    together = score_protocols(prepared, moved(OTHER), protocols)
    assert [score.value_mm for score in together] == [score.value_mm for score in alone]
    assert len(calls) == 1  # genova's and tran's alignments are one


def test_what_fails_for_one_protocol_leaves_the_others() -> None:
    scan = with_landmarks(SCAN, {33: np.nan})
    scores = score_protocols(scan, OTHER, [PROTOCOLS["now"], PROTOCOLS["genova"]])
    assert scores[0].failure == "missing landmarks: the subnasale of the scan"
    assert scores[1].failure is None


def test_another_topology_scores_nearly_the_same() -> None:
    same, other = score_scan(SCAN, face_like(nose_mm=16), GENOVA), score_scan(SCAN, OTHER, GENOVA)
    assert same.value_mm == pytest.approx(other.value_mm, abs=0.1)


def test_open3d_gives_the_same_score() -> None:
    pytest.importorskip("open3d")
    expected = score_scan(SCAN, OTHER, GENOVA)
    assert score_scan(SCAN, OTHER, GENOVA, backend="open3d").value_mm == pytest.approx(
        expected.value_mm, abs=1e-3
    )


def test_a_metrical_protocol_sees_a_wrong_size() -> None:
    larger = OTHER._replace(vertices=1.05 * OTHER.vertices, landmarks=1.05 * OTHER.landmarks)
    assert score_scan(SCAN, larger, RIGID).value_mm > score_scan(SCAN, larger, GENOVA).value_mm + 0.2
    assert score_scan(SCAN, larger, RIGID).alignment.scale == 1


def test_one_scale_for_all_meshes_is_the_mean_of_their_own() -> None:
    larger = OTHER._replace(vertices=1.05 * OTHER.vertices, landmarks=1.05 * OTHER.landmarks)
    own = [score_scan(SCAN, mesh, GENOVA) for mesh in (moved(OTHER), moved(larger))]
    scale = common_scale(own)
    assert scale == pytest.approx(np.sqrt(own[0].alignment.scale * own[1].alignment.scale))
    score = score_scan(SCAN, moved(larger), GLOBAL, global_scale=scale)
    assert score.failure is None
    assert score.alignment.scale == scale
    assert score.value_mm > own[1].value_mm


def test_a_global_scale_is_required_and_needs_a_mesh_that_was_aligned() -> None:
    with pytest.raises(ValueError, match="genova scales all meshes of a method alike"):
        score_scan(SCAN, OTHER, GLOBAL)
    failed = score_scan(SCAN, OTHER._replace(triangles=OTHER.triangles[:0]), GENOVA)
    with pytest.raises(ValueError, match="no mesh was aligned"):
        common_scale([failed])


def test_a_start_may_be_given_in_place_of_landmarks() -> None:
    unknown = np.full((68, 3), np.nan)
    mesh = moved(SCAN)._replace(landmarks=unknown)
    score = score_scan(SCAN, mesh, GENOVA, start=similarity(translation=(2, 2, 2)).after(UNIT.inverse()))
    assert score.value_mm < 1e-3


@pytest.mark.parametrize("protocol", [GENOVA, PROTOCOLS["fg2018"]], ids=["refined", "as it starts"])
@pytest.mark.parametrize("change", [{"scale": np.nan}, {"scale": 0.0}, {"translation": np.full(3, np.inf)}])
def test_a_start_that_is_no_similarity_is_a_failure(protocol: ScanProtocol, change: dict) -> None:
    score = score_scan(SCAN, OTHER, protocol, start=similarity()._replace(**change))
    assert score.failure.startswith("unusable start: ")
    assert np.isnan(score.value_mm)


def test_a_prepared_scan_keeps_its_score_when_the_callers_arrays_change() -> None:
    scan = checked_mesh(SCAN._replace(vertices=SCAN.vertices.copy(), landmarks=SCAN.landmarks.copy()), "")
    prepared = prepare_scan(scan)
    expected = score_scan(prepared, OTHER, GENOVA).value_mm
    scan.vertices[:, 2] *= 1.2
    scan.landmarks[:] = 0
    assert score_scan(prepared, OTHER, GENOVA).value_mm == expected


def test_a_subject_may_have_a_smaller_region() -> None:
    ganfit = PROTOCOLS["ganfit"]
    usual, small = (score_scan(SCAN, OTHER, ganfit, subject=subject) for subject in (27, 28))
    assert small.scan_to_mesh.counted.sum() < usual.scan_to_mesh.counted.sum()


def with_landmarks(mesh: MarkedMesh, change: dict[int, object]) -> MarkedMesh:
    landmarks = mesh.landmarks.copy()
    for index, place in change.items():
        landmarks[index] = place
    return mesh._replace(landmarks=landmarks)


def of_scale(mesh: MarkedMesh, scale: float) -> MarkedMesh:
    return mesh._replace(vertices=scale * mesh.vertices, landmarks=scale * mesh.landmarks)


BROKEN = OTHER.vertices.copy()
BROKEN[7] = np.nan
MIRRORED = OTHER._replace(vertices=OTHER.vertices * [-1, 1, 1], landmarks=OTHER.landmarks * [-1, 1, 1])
IN_A_LINE = OTHER._replace(landmarks=OTHER.landmarks * [1, 0, 0])
EYES_ONLY = with_landmarks(OTHER, dict.fromkeys([17, 26, 27, 30, 31, 33, 35, 48, 54, 39, 42], np.nan))


@pytest.mark.parametrize(
    ("scan", "mesh", "protocol", "reason"),
    [
        (
            SCAN,
            OTHER._replace(triangles=OTHER.triangles[:0]),
            GENOVA,
            "empty mesh: the mesh has .*; export both",
        ),
        (SCAN, OTHER._replace(vertices=OTHER.vertices[:0]), GENOVA, "empty mesh: the mesh has 0 vertices"),
        (
            SCAN,
            OTHER._replace(triangles=OTHER.triangles[:, [0, 0, 1]]),
            GENOVA,
            "empty mesh: the mesh has no",
        ),
        (SCAN, OTHER._replace(vertices=BROKEN), GENOVA, "not finite: the mesh has a vertex"),
        (SCAN, OTHER._replace(vertices=OTHER.vertices[:50]), GENOVA, "broken mesh: the mesh has a triangle"),
        (SCAN, EYES_ONLY, GENOVA, "missing landmarks: scan and mesh share 2"),
        (SCAN, MIRRORED, GENOVA, "landmarks do not fit: .* are left and right swapped"),
        (SCAN, IN_A_LINE, GENOVA, "landmarks do not fit: a similarity needs points"),
        (SCAN, moved(OTHER), RIGID, "implausible size: the outer eye corners of the mesh lie 1.12 mm"),
        (
            SCAN,
            with_landmarks(OTHER, {36: np.nan}),
            RIGID,
            "missing landmarks: the outer eye corners of the mesh",
        ),
        (of_scale(SCAN, 0.001), OTHER, GENOVA, "implausible size: the outer eye corners of the scan"),
        (with_landmarks(SCAN, {30: np.nan}), OTHER, GENOVA, "missing landmarks: the nose tip of the scan"),
        (SCAN._replace(vertices=SCAN.vertices + 500), OTHER, GENOVA, "empty mesh: the scan has no triangle"),
        (SCAN, OTHER, replace(GENOVA, radius_mm=145.0), "region too large: it reaches 155 mm"),
        (SCAN, OTHER._replace(vertices=OTHER.vertices * 9), GENOVA, "scale collapse: it changed"),
        (
            SCAN,
            OTHER._replace(vertices=OTHER.vertices + 300),
            replace(PROTOCOLS["fg2018"], counted="intersection"),
            "hardly any intersection",
        ),
    ],
)
def test_what_cannot_be_scored_fails_with_its_reason_and_has_no_value(
    scan: MarkedMesh, mesh: MarkedMesh, protocol: ScanProtocol, reason: str
) -> None:
    score = score_scan(scan, mesh, protocol)
    assert score.failure is not None
    assert np.isnan(score.value_mm)
    assert score.scan_to_mesh is None
    with pytest.raises(Unscorable, match=reason):
        raise Unscorable(score.failure)
    assert failure_kind(score.failure) == reason.partition(":")[0]


def test_a_mirrored_mesh_does_not_score_well_even_if_its_landmarks_are_allowed_to_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evaluation.metrics.landmark_start.LARGEST_LANDMARK_ERROR_MM", 1000.0)
    score: ScanScore = score_scan(SCAN, MIRRORED, GENOVA)
    assert np.linalg.det(score.alignment.transform.rotation) == pytest.approx(1)
    assert score.failure is not None or score.value_mm > 1


def test_wrong_shapes_are_the_callers_error() -> None:
    with pytest.raises(ValueError, match=r"landmarks of the mesh must be \[68, 3\], got \[5, 3\]"):
        checked_mesh(OTHER._replace(landmarks=OTHER.landmarks[:5]), "the mesh")
    with pytest.raises(ValueError, match=r"vertices of the scan must be \[\d+, 3\], got \[\d+, 2\]"):
        score_scan(SCAN._replace(vertices=SCAN.vertices[:, :2]), OTHER, GENOVA)


def test_the_start_uses_the_landmarks_that_both_know() -> None:
    start = landmark_start(with_landmarks(SCAN, {17: np.nan}).landmarks, moved(SCAN).landmarks, GENOVA)
    np.testing.assert_allclose(start.points(moved(SCAN).vertices), SCAN.vertices, atol=1e-9)


def test_a_scan_is_kept_up_to_150_mm_from_the_nose_tip() -> None:
    far = SCAN._replace(
        vertices=np.vstack([SCAN.vertices, SCAN.vertices + np.array([400, 0, 0])]),
        triangles=np.vstack([SCAN.triangles, SCAN.triangles + len(SCAN.vertices)]),
    )
    assert len(prepare_scan(far).surface.triangles) == len(prepare_scan(SCAN).surface.triangles)
    assert scan_score.KEPT_RADIUS_MM == 150
