"""Renderings of the open model, where a face is needed that detectors and networks take for one."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.alignment import align, estimate_pose, select_faces
from datamodules.detection import DetectorName, load_detector
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.recognition.frame import FIVE_OF_68, RENDERED_POINTS, WHOLE_FRAME, Crop
from lightning_modules.recognition.networks import load_network
from lightning_modules.rendering.camera import Cameras, align_to_template, look_at
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.shading import Lights

pytestmark = pytest.mark.slow
YAW = (-20.0, 0.0, 15.0, 30.0)


@pytest.fixture(scope="module")
def draw() -> object:
    """Draws four faces, each from its own side, into a crop: [4, 3, size, size]."""
    model = load_morphable_model("open")
    coefficients = model.sample(len(YAW), torch.Generator().manual_seed(1))
    faces = model(coefficients.shape, coefficients.albedo)
    landmarks = (faces.vertices[:, model.landmark_vertex_ids] * model.landmark_weights[None, :, :, None]).sum(
        2
    )
    five = torch.from_numpy(FIVE_OF_68).float() @ landmarks
    yaw = torch.tensor(YAW).deg2rad()
    eyes = five.mean(1) + 600 * torch.stack([yaw.sin(), torch.zeros(4), yaw.cos()], -1)
    up = torch.tensor([0.0, 1.0, 0.0])
    cameras = Cameras(
        *look_at(eyes[:, None], five.mean(1)[:, None], up), torch.ones(4, 1), torch.zeros(4, 1, 2)
    )
    lights = Lights(
        eyes[:, None, None] + torch.tensor([[800.0, 900.0, 500.0], [-1500.0, 400.0, 800.0]]),
        torch.ones(4, 1, 2, 3),
        torch.tensor([0.5, 0.3]).expand(4, 1, 2),
        torch.full((4, 1, 3), 0.25),
    )
    normals = model.normals(faces.vertices)

    def into(crop: Crop) -> Tensor:
        aligned = align_to_template(cameras, five, torch.from_numpy(crop.to_crop(RENDERED_POINTS)).float())
        images = render(
            faces.vertices, model.triangles, normals, faces.albedo, aligned, lights,
            (crop.size, crop.size), background=torch.full((3, 1, 1), 0.5), samples_per_axis=2,
        )  # fmt: skip
        return images[:, 0]

    return into


def as_photographs(images: Tensor) -> np.ndarray:
    return (255 * images).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("name", ["dlib", "sface"])
def test_native_and_canonical_frames_agree_on_one_scene(draw: object, name: str) -> None:
    network = load_network(name)
    canonical, native = network(draw(WHOLE_FRAME)), network(draw(network.crop), frame="native")
    assert (canonical.embedding * native.embedding).sum(1).min() >= 0.995


@pytest.mark.parametrize("detector", ["yunet", "mtcnn"])
def test_the_face_of_a_rendering_is_found_where_it_was_drawn(draw: object, detector: DetectorName) -> None:
    if detector == "mtcnn":
        pytest.importorskip("facenet_pytorch")
    for image, yaw in zip(as_photographs(draw(WHOLE_FRAME)), YAW, strict=True):
        (face,) = load_detector(detector)(image)
        assert np.abs(face.points - RENDERED_POINTS).max() < 20  # a turned nose leaves the template
        assert np.sign(estimate_pose(face.points)[0]) == (
            -np.sign(yaw) if abs(yaw) > 10 else _any(face.points)
        )


def _any(points: np.ndarray) -> float:
    return float(np.sign(estimate_pose(points)[0]))


@pytest.mark.parametrize("scale", [0.6, 3.0])
def test_a_rendering_survives_detection_and_alignment(draw: object, scale: float) -> None:
    network, images = load_network("dlib"), draw(WHOLE_FRAME)
    aligned = []
    for image in as_photographs(images):
        photograph = cv2.copyMakeBorder(image, 30, 90, 120, 10, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        photograph = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=flags)
        (face,) = select_faces(load_detector()(photograph), photograph.shape[:2], "largest")
        aligned.append(align(photograph, face.points))
    again = torch.from_numpy(np.stack(aligned)).permute(0, 3, 1, 2).float() / 255
    cosine = (network(images).embedding * network(again).embedding).sum(1)
    assert cosine.min() > 0.97
    mirrored = network(again.flip(3)).embedding
    assert (mirrored * network(images).embedding).sum(1).min() < cosine.min()
