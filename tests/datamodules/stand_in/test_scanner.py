import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from datamodules.stand_in.scanner import DISPLACEMENT_MM, FACE_RADIUS_MM, displacements, scan
from lightning_modules.faces.morphable_model import MorphableModel


@pytest.fixture
def bowl(small_model: MorphableModel) -> np.ndarray:
    return small_model.neutral_mean.view(-1, 3).double().numpy()


def test_a_displacement_has_its_size_and_no_part_in_the_models_basis(
    small_model: MorphableModel, bowl: np.ndarray
) -> None:
    moved = displacements(np.stack([bowl, bowl]), np.random.default_rng(0), small_model)
    face = np.linalg.norm(bowl, axis=1) < FACE_RADIUS_MM
    sizes = np.sqrt((moved[:, face] ** 2).sum(2).mean(1))
    np.testing.assert_allclose(sizes, DISPLACEMENT_MM, rtol=1e-6)
    assert not np.allclose(moved[0], moved[1])
    parts = torch.from_numpy(moved).flatten(1).float() @ small_model.components("shape").basis
    assert float(parts.abs().max()) < 1e-3


def test_a_scan_lies_on_the_surface_but_for_noise_and_clutter(
    small_model: MorphableModel, bowl: np.ndarray
) -> None:
    albedo = np.full_like(bowl, 0.5)
    scanned = scan(bowl, albedo, np.full(3, 0.2), small_model, np.random.default_rng(0))
    vertices, triangles, colours = scanned.mesh
    assert len(vertices) > 20 * len(bowl)  # another topology
    assert triangles.max() < len(vertices)
    assert colours.shape == vertices.shape
    assert bool(vertices.isfinite().all())
    # Landmark errors aside, the pose of its own takes the bowl's corner along.
    corners = scanned.landmarks[0], scanned.landmarks[30]
    drawn = np.linalg.norm(bowl[0] - bowl[np.linalg.norm(bowl, axis=1).argmin()])
    assert np.linalg.norm(corners[0] - corners[1]) == pytest.approx(drawn, abs=5)
    near = cKDTree(vertices.numpy()).query(scanned.landmarks[30])[0]
    assert near < 4


def test_a_seed_gives_one_scan_and_another_seed_another(
    small_model: MorphableModel, bowl: np.ndarray
) -> None:
    albedo = np.full_like(bowl, 0.5)
    first, again, other = (
        scan(bowl, albedo, np.zeros(3), small_model, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.mesh.vertices, again.mesh.vertices)
    assert first.mesh.vertices.shape != other.mesh.vertices.shape
