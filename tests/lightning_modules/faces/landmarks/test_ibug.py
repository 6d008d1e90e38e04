import torch

from lightning_modules.faces.landmarks.ibug import GROUPS, five_points, landmarks_on_vertices


def test_the_groups_name_every_landmark_once() -> None:
    assert sorted(index for group in GROUPS.values() for index in group) == list(range(68))


def test_landmarks_on_vertices_are_those_vertices() -> None:
    vertices = torch.randn(2, 100, 3, generator=torch.Generator().manual_seed(0))
    landmarks = landmarks_on_vertices(torch.arange(68) + 10, "user")
    assert torch.equal(landmarks.on(vertices), vertices[:, 10:78])
    assert landmarks.sources == ("user",) * 68


def test_five_points_are_eye_centres_nose_tip_and_mouth_corners() -> None:
    landmarks = torch.zeros(68, 2)
    landmarks[36:42, 0] = torch.arange(6.0)  # the right eye's mean is 2.5
    landmarks[42:48, 1] = 4
    landmarks[30], landmarks[48], landmarks[54] = (
        torch.tensor([1.0, 1]),
        torch.tensor([2.0, 2]),
        torch.tensor([3.0, 3]),
    )
    assert five_points(landmarks).tolist() == [[2.5, 0], [0, 4], [1, 1], [2, 2], [3, 3]]
