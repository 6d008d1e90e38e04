import base64
import json
import re

import numpy as np
import pytest

from evaluation.reporting.page.faces import STEP_MM, viewer

TRIANGLE = np.array([[0, 1, 2]])


def faces(size: float = 100.0) -> np.ndarray:
    return size * np.random.default_rng(0).uniform(-1, 1, (2, 3, 3, 3))


def content_of(written: str) -> dict:
    return json.loads(re.search(r'id="faces">(.*?)</script>', written).group(1))


def test_vertices_and_colours_come_back_within_a_step() -> None:
    vertices, colours = faces(), np.random.default_rng(1).uniform(-0.2, 1.2, (2, 3, 3, 3))
    content = content_of(viewer(TRIANGLE, vertices, colours, ["1", "2"], ["a", "b", "c"], "Turn"))
    centre = vertices.reshape(-1, 3).mean(0)
    for person in range(2):
        for variant in range(3):
            face = content["faces"][person][variant]
            steps = np.frombuffer(base64.b64decode(face["positions"]), "<i2").reshape(-1, 3)
            found = steps * content["step"] + centre
            assert np.abs(found - vertices[person, variant]).max() <= STEP_MM / 2 + 1e-9
            levels = np.frombuffer(base64.b64decode(face["colours"]), np.uint8).reshape(-1, 3)
            expected = np.clip(colours[person, variant], 0, 1) * 255
            assert np.abs(levels - expected).max() <= 0.5
    ids = np.frombuffer(base64.b64decode(content["triangles"]), "<u2")
    assert ids.tolist() == [0, 1, 2]


def test_the_first_and_the_last_variant_are_shown_first() -> None:
    written = viewer(TRIANGLE, faces(), faces(), ["1", "2"], ["<a>", "b", "c"], "Turn")
    assert written.count("<option selected>&lt;a&gt;</option>") == 1
    assert written.count("<option selected>c</option>") == 1


def test_a_fine_mesh_has_wide_ids() -> None:
    many = np.zeros((1, 1, 2**16 + 1, 3))
    content = content_of(viewer(np.array([[0, 1, 2**16]]), many, many, ["1"], ["a"], "Turn"))
    assert content["wide"]
    assert np.frombuffer(base64.b64decode(content["triangles"]), "<u4").tolist() == [0, 1, 2**16]


def test_faces_in_another_unit_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"mm from the faces' centre; expected less than 328: vertices must be"
    ):
        viewer(TRIANGLE, faces(1e5), faces(), ["1", "2"], ["a", "b", "c"], "Turn")


def test_no_face_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \[P, V, N, 3\] with a face at least, got \[0, 3, 3, 3\]"):
        viewer(TRIANGLE, faces()[:0], faces()[:0], [], [], "Turn")
