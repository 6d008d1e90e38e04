import numpy as np
import pytest
from scipy import sparse

from lightning_modules.faces.open_model.statistics import principal_components, rigidly_aligned


@pytest.fixture
def samples() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(60, 8, 3)) @ np.diag([3.0, 1.0, 0.3]) + generator.normal(size=(8, 3))


def test_components_are_those_of_a_singular_value_decomposition(samples: np.ndarray) -> None:
    components = principal_components(samples, 5)
    flat = samples.reshape(60, -1)
    _, values, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    np.testing.assert_allclose(components.mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(components.variance, values[:5] ** 2 / 59, rtol=1e-5)
    np.testing.assert_allclose(
        np.abs(directions[:5] @ components.basis.double().numpy()), np.eye(5), atol=1e-5
    )
    assert components.total_variance == pytest.approx((values**2).sum() / 59)


def test_statistics_of_mapped_samples_need_no_mapped_samples(samples: np.ndarray) -> None:
    chance = np.random.default_rng(1)
    matrix = sparse.csr_array(chance.uniform(size=(20, 8)) * (chance.uniform(size=(20, 8)) < 0.4))
    mapped = np.stack([matrix @ sample for sample in samples])
    ours, direct = principal_components(samples, 6, matrix), principal_components(mapped, 6)
    for a, b in zip(ours, direct, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_columns_are_orthonormal_even_where_the_variance_is_tiny() -> None:
    generator = np.random.default_rng(2)
    scales = np.logspace(0, -5, 24)
    basis = np.linalg.qr(generator.normal(size=(60, 24)))[0]
    samples = (generator.normal(size=(100, 24)) * scales) @ basis.T
    columns = principal_components(samples.reshape(100, 20, 3), 24).basis.double().numpy()
    np.testing.assert_allclose(columns.T @ columns, np.eye(24), atol=1e-6)


def test_alignment_undoes_a_rigid_motion_and_keeps_size() -> None:
    generator = np.random.default_rng(3)
    reference = generator.normal(size=(10, 3))
    turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    moved = 1.2 * reference @ turn + [5.0, -2.0, 1.0]
    aligned = rigidly_aligned(moved[None], reference, np.ones(10, dtype=bool))[0]
    scaled = 1.2 * (reference - reference.mean(0)) + reference.mean(0)
    np.testing.assert_allclose(aligned, scaled, atol=1e-12)


def test_alignment_never_mirrors() -> None:
    reference = np.random.default_rng(4).normal(size=(10, 3))
    aligned = rigidly_aligned(reference[None] * [-1, 1, 1], reference, np.ones(10, dtype=bool))[0]
    motion = np.linalg.lstsq(np.column_stack([reference * [-1, 1, 1], np.ones(10)]), aligned, rcond=None)[0][
        :3
    ]
    assert np.linalg.det(motion) == pytest.approx(1.0)


def test_alignment_looks_only_at_the_region() -> None:
    reference = np.random.default_rng(5).normal(size=(10, 3))
    changed, region = reference.copy(), np.arange(10) < 6
    changed[~region] += 7.0
    aligned = rigidly_aligned(changed[None], reference, region)[0]
    np.testing.assert_allclose(aligned[region], reference[region], atol=1e-12)
