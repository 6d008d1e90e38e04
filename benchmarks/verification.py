"""Verification on LFW for the packaged networks, and what lies between it and published figures.

    python -m benchmarks.verification --data DIR

First the test: all pairs of pairs.txt, ten folds. Then, on the 1,000 pairs of pairsDevTest.txt only, what
each step between photograph and network is worth. Writes benchmarks/verification.md.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch

from datamodules.alignment.crops import align, select_faces
from datamodules.alignment.detection import load_detector
from datamodules.alignment.feature_cache import to_images
from datamodules.alignment.images import read_photograph
from datamodules.lfw_lists import find_images, find_list, read_pairs
from evaluation.metrics.verification import area_under_curve, best_threshold, roc
from evaluation.reporting.cells import value_text
from evaluation.shared.options import Machine, Output
from evaluation.verification import VerifiedNetwork, verify
from lightning_modules.recognition.frame import SFACE_TEMPLATE, similarity_transform
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.weight_files import file_in_package

REPORT = Path(__file__).with_suffix(".md")
PUBLISHED = {"dlib": "99.38 % (100 jittered copies of each face)", "sface": "99.60 % (float weights)"}
# Cuts a photograph [H, W, 3] with its five points into the images that a network is shown, or None.
Cut = Callable[[np.ndarray, np.ndarray], list[np.ndarray] | None]


def main(arguments: list[str] | None = None) -> None:
    """Verify, measure the steps, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="LFW's folder")
    parser.add_argument("--cache-folder", type=Path, help="of aligned faces and features")
    parser.add_argument("--jitters", type=int, default=10, help="copies of each face, where dlib jitters")
    options = parser.parse_args(arguments)
    lines = ["# Verification on Labeled Faces in the Wild", ""]
    lines += test_section(options.data, options.cache_folder)
    lines += development_section(options.data, options.jitters)
    lines += [f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}.", ""]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


def test_section(data: Path, cache_folder: Path | None) -> list[str]:
    """All pairs of pairs.txt."""
    lines = [
        "All 6,000 pairs of pairs.txt, ten folds, YuNet, the face nearest the middle; "
        "`python evaluation/verification.py --data LFW --network NAME`.",
        "",
        "| network | comparison | accuracy | area under ROC | true accepts at 0.1 % false "
        "| pairs without a face | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in PUBLISHED:
        results = verify(
            VerifiedNetwork(name, str(data)), Output(overwrite=True), Machine("cpu", cache_folder)
        )
        values: dict[str, dict[str, str]] = {}
        for row in results.rows:
            values.setdefault(row.protocol.split(", ")[1], {})[row.metric] = value_text(row, " %")
        without = results.counts.failed.get("no face", 0)
        lines += [
            f"| `{name}` | {comparison} | {metrics['accuracy']} | {metrics['area under ROC']} "
            f"| {metrics['true accepts at 0.001 false']} | {without} | {PUBLISHED[name]} |"
            for comparison, metrics in values.items()
        ]
    return [*lines, ""]


def development_section(data: Path, jitters: int) -> list[str]:
    """What each step is worth, on pairs that no reported figure uses."""
    pairs = read_pairs(find_list(data, "pairsDevTest.txt"))
    names = sorted({name for pair in pairs for name in pair[:2]})
    place = {name: index for index, name in enumerate(names)}
    first, second = (np.array([place[pair[i]] for pair in pairs]) for i in (0, 1))
    same = np.array([pair.same for pair in pairs])
    photographs = [read_photograph(find_images(data) / name).pixels for name in names]
    points = [five_points(photograph) for photograph in photographs]
    lines = [
        f"What lies between: the {len(pairs):,} pairs of pairsDevTest.txt, each line at its best threshold. "
        "Separation is the distance of the two means in units of the standard deviation. The standard error "
        "of an accuracy here is about 0.3 points: separation tells more.",
        "",
        "| network | what it is shown | pairs | accuracy | area under ROC | separation |",
        "|---|---|---|---|---|---|",
    ]
    for name in PUBLISHED:
        network = load_network(name)
        for shown, cut in cuts(network, jitters):
            start = time.process_time()
            embeddings, seen = embed(network, photographs, points, cut)
            usable = seen[first] & seen[second]
            a, b, labels = embeddings[first[usable]], embeddings[second[usable]], same[usable]
            similarity = -np.linalg.norm(a - b, axis=1) if name == "dlib" else cosine(a, b)
            lines.append(f"| `{name}` | {shown} | {usable.sum():,} | " + scores(similarity, labels) + " |")
            print(lines[-1], f"{time.process_time() - start:.0f} s of CPU time", flush=True)
    return [*lines, ""]


def cuts(network: RecognitionNetwork, jitters: int) -> Iterator[tuple[str, Cut]]:
    """The ways from a photograph to what the network is shown."""
    yield "canonical frame, resampled (this project)", lambda image, points: [align(image, points)]
    yield "the same and its mirror image, averaged", lambda i, p: [align(i, p), align(i, p)[:, ::-1]]
    yield "its crop, cut directly", lambda image, points: [align(image, points, network.crop)]
    if network.name == "sface":
        yield "aligned to its own template (OpenCV)", sface_chip
    elif find_spec("dlib") is not None:
        own = dlib_chip()
        yield "dlib's own detector and five points", own
        yield f"the same, {jitters} jittered copies averaged", jittered(own, jitters)


def sface_chip(image: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """As OpenCV's FaceRecognizerSF aligns: a similarity to the template, linear interpolation."""
    return [cv2.warpAffine(image, similarity_transform(points, SFACE_TEMPLATE), (112, 112))]


def dlib_chip() -> Cut:
    """As dlib aligns: its HOG detector, its five points (CC0; not the 68 ones, whose terms are narrower)."""
    import dlib

    package = "face_recognition_models", "models/shape_predictor_5_face_landmarks.dat"
    predictor = dlib.shape_predictor(str(file_in_package(*package, "face-recognition-models==0.3.0")))
    detector = dlib.get_frontal_face_detector()

    def cut(image: np.ndarray, points: np.ndarray) -> list[np.ndarray] | None:
        faces = detector(image, 1)
        if not faces:
            return None
        middle = points.mean(0)
        face = min(faces, key=lambda f: np.hypot(f.center().x - middle[0], f.center().y - middle[1]))
        return [dlib.get_face_chip(image, predictor(image, face), size=150, padding=0.25)]

    return cut


def jittered(cut: Cut, count: int) -> Cut:
    """Copies that dlib moves, turns and scales a little."""
    import dlib

    def jitter(image: np.ndarray, points: np.ndarray) -> list[np.ndarray] | None:
        chips = cut(image, points)
        return chips and list(dlib.jitter_image(chips[0], num_jitters=count, disturb_colors=False))

    return jitter


def embed(
    network: RecognitionNetwork, photographs: list[np.ndarray], points: list[np.ndarray], cut: Cut
) -> tuple[np.ndarray, np.ndarray]:
    """Mean descriptors [N, D] of what is cut from each photograph, and [N] whether anything was."""
    shown = [cut(image, five) for image, five in zip(photographs, points, strict=True)]
    descriptors = np.zeros((len(shown), network.embedding_width), np.float32)
    for index, images in enumerate(shown):
        if images is not None:
            frame = "native" if images[0].shape[0] == network.crop.size else "canonical"
            descriptors[index] = network(to_images(np.stack(images)), frame=frame).descriptor.mean(0)
    return descriptors, np.array([images is not None for images in shown])


def five_points(photograph: np.ndarray) -> np.ndarray:
    """Of the face nearest the middle; LFW has one in every photograph."""
    (face,) = select_faces(load_detector()(photograph), photograph.shape[:2], "central")
    return face.points


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of paired rows."""
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def scores(similarity: np.ndarray, same: np.ndarray) -> str:
    """Accuracy at the best threshold, area and separation, as cells of the table."""
    accuracy = np.mean((similarity >= best_threshold(similarity, same)) == same)
    spread = np.sqrt((similarity[same].var() + similarity[~same].var()) / 2)
    separation = (similarity[same].mean() - similarity[~same].mean()) / spread
    area = area_under_curve(roc(similarity, same))
    return f"{100 * accuracy:.2f} % | {100 * area:.3f} % | {separation:.3f}"


if __name__ == "__main__":
    main()
