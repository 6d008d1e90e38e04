import numpy as np
import pytest

from benchmarks.scan_alignment import inner_errors
from benchmarks.scan_disturbances import grown_beyond
from benchmarks.scanned_heads import model_faces
from evaluation.metrics.marked_mesh import NOSE_TIP
from evaluation.metrics.registration import align
from evaluation.metrics.scan_protocols import PROTOCOLS
from evaluation.metrics.scan_region import Region
from evaluation.metrics.scan_score import alignment_settings, prepare_scan
from evaluation.metrics.similarity_transform import similarity
from evaluation.metrics.surface import Surface

TRIALS = 10


@pytest.mark.slow
def test_model_faces_come_back_from_15_degrees_20_mm_and_10_percent() -> None:
    """The small version of `benchmarks.scan_alignment`, every start at the limits."""
    _, face = model_faces(1)
    points, triangles, landmarks = face
    scan = prepare_scan(face)
    region = Region(landmarks[NOSE_TIP], 95.0)
    inside = region.contains(points)
    known = similarity(scale=1 / 80, rotation_vector=(0.5, -1, 2), translation=(1, 2, 3))
    copy = Surface(known.points(points), triangles)
    generator = np.random.default_rng(0)
    for _ in range(TRIALS):
        axis, direction = (each / np.linalg.norm(each) for each in generator.normal(size=(2, 3)))
        away = similarity(scale=generator.choice([0.9, 1.1]), rotation_vector=np.radians(15) * axis)
        shift = region.centre - away.points(region.centre[None])[0] + 20 * direction
        start = away._replace(translation=shift).after(known.inverse())
        found = align(scan.surface, copy, start, region, alignment_settings(PROTOCOLS["genova"]))
        error = np.linalg.norm(found.transform.points(copy.vertices) - points, axis=1)[inside].max()
        assert found.converged
        assert error < 0.01


@pytest.mark.slow
def test_what_lies_beyond_the_face_does_not_draw_it_off_its_place() -> None:
    mean, face = model_faces(1)
    least, least_squares, robust = inner_errors(grown_beyond(face, 0.35), mean, (None, 0.5))
    assert robust < 0.5 * least_squares
    assert robust < 2 * least
