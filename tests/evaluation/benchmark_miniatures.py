"""Miniatures in the layouts of NoW and FG2018: three people, face-like scans, a few photographs each."""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from evaluation.metrics.marked_mesh import MarkedMesh
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import write_face

SEVEN = [36, 39, 42, 45, 33, 48, 54]
NOW_PEOPLE = {"FaMoS_180424_03335_TA": 22.0, "FaMoS_180426_03336_TA": 18.0, "FaMoS_180427_03338_TA": 26.0}
NOW_IMAGES = {
    "FaMoS_180424_03335_TA": ("multiview_neutral/IMG_0041", "multiview_neutral/IMG_0042", "selfie/IMG_0041"),
    "FaMoS_180426_03336_TA": ("multiview_neutral/IMG_0050", "multiview_occlusions/IMG_0051"),
    "FaMoS_180427_03338_TA": ("multiview_expressions/IMG_0060",),
}
FG2018_PEOPLE = {"F1001": 22.0, "M1002": 18.0}
FG2018_IMAGES = {"HQ": ("F1001_01", "M1002_01"), "LQ": ("F1001_77",)}


def posed_scan(nose_mm: float, seed: int) -> tuple[MarkedMesh, np.ndarray]:
    """A scan in a pose of its own, and its seven landmarks."""
    face = face_like(4.0, nose_mm=nose_mm, scattered=True)
    turn = Rotation.from_rotvec(np.random.default_rng(seed).uniform(-0.1, 0.1, 3))
    return face._replace(vertices=turn.apply(face.vertices)), turn.apply(face.landmarks[SEVEN])


def picked_points(points: np.ndarray) -> str:
    """MeshLab's picked points, as in NoW's scans_lmks_onlypp."""
    lines = [
        f' <point x="{x:.6f}" y="{y:.6f}" z="{z:.6f}" name="{number}" active="1"/>'
        for number, (x, y, z) in enumerate(points)
    ]
    head = [
        "<!DOCTYPE PickedPoints>", "<PickedPoints>", " <DocumentData>", '  <DateTime date="" time=""/>',
        '  <User name=""/>', '  <DataFileName name="scan.obj"/>', '  <templateName name=""/>',
        " </DocumentData>",
    ]  # fmt: skip
    return "\n".join([*head, *lines, "</PickedPoints>", ""])


def photograph(path: Path, grey: int = 120) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 64, 3), grey, np.uint8)).save(path)


def now_names() -> list[str]:
    return [f"{person}/{image}" for person, images in NOW_IMAGES.items() for image in images]


def now_folder(root: Path) -> Path:
    """The validation set, and a test list of the last photograph."""
    for seed, (person, nose_mm) in enumerate(NOW_PEOPLE.items()):
        scan, points = posed_scan(nose_mm, seed)
        write_face(root / "scans" / person / "natural_head_rotation.000001.obj", scan)
        marks = root / "scans_lmks_onlypp" / person / "natural_head_rotation.000001_picked_points.pp"
        marks.parent.mkdir(parents=True)
        marks.write_text(picked_points(points))
    names = now_names()
    (root / "imagepathsvalidation.txt").write_text("".join(f"{name}.jpg\n" for name in names))
    (root / "imagepathstest.txt").write_text("".join(f"{name}.jpg\n" for name in names[-2:]))
    for name in names:
        photograph(root / "NoW_Dataset/final_release_version/iphone_pictures" / f"{name}.jpg")
    return root


def now_predictions(root: Path, *, error_mm: float = 0.0, scale: float = 0.001) -> Path:
    """Meshes of all photographs with seven landmarks, half of them .txt and half .npy, in metres."""
    for number, name in enumerate(now_names()):
        nose_mm = NOW_PEOPLE[name.partition("/")[0]] + error_mm * (1 + number / 10)
        write_mesh_and_points(root / name, nose_mm, scale, as_text=bool(number % 2))
    return root


def write_mesh_and_points(stem: Path, nose_mm: float, scale: float, *, as_text: bool) -> None:
    face = face_like(5.0, nose_mm=nose_mm)
    write_face(stem.with_suffix(".obj"), face, scale=scale)
    points = scale * face.landmarks[SEVEN]
    if as_text:
        np.savetxt(stem.with_suffix(".txt"), points, fmt="%.9f")
    else:
        np.save(stem.with_suffix(".npy"), points.astype(np.float32))


def fg2018_folder(root: Path) -> Path:
    for seed, (person, nose_mm) in enumerate(FG2018_PEOPLE.items()):
        scan, points = posed_scan(nose_mm, seed)
        sex = person[0]
        write_face(root / f"{sex}_3D_N" / f"{person.lower()}_N.obj", scan)
        marks = root / "annotations" / f"{sex}_3D_N" / f"{person}_N.lnd"
        marks.parent.mkdir(parents=True)
        marks.write_text("".join(f"{n} {x} {y} {z}\n" for n, (x, y, z) in enumerate(points, 1)))
    for quality, images in FG2018_IMAGES.items():
        for image in images:
            photograph(root / "Subset_2D_FG2018" / quality / f"{image}.jpg")
    return root


def fg2018_predictions(root: Path, *, error_mm: float = 0.0) -> Path:
    for quality, images in FG2018_IMAGES.items():
        for image in images:
            nose_mm = FG2018_PEOPLE[image.partition("_")[0]] + error_mm
            write_mesh_and_points(root / quality / image, nose_mm, 1.0, as_text=True)
    return root
