"""The renderer of GPUs, on one where there is one and on the CPU always, beside the CPU's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.rendering.camera import camera_matrices
from lightning_modules.rendering.pose import cameras_from_poses
from lightning_modules.rendering.renderer import render, visible_triangles
from lightning_modules.rendering.scenes import random_scenes, scene_generators
from tests.devices import ON_EVERY_DEVICE

SIZE = (40, 32)


def moved(value: Any, change: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401 - tensors and tuples of them
    """Every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)(*(None if part is None else moved(part, change) for part in value))


def scene_of(
    bumpy_head: Callable,
    views: Callable,
    dtype: torch.dtype,
    *,
    rows: int = 20,
    size: tuple[int, int] = SIZE,
) -> list[Any]:
    """Two heads in three views: vertices, triangles, normals, albedo, cameras, lights."""
    mesh = bumpy_head(rows)
    vertices, normals, albedo = (
        torch.stack([part, 1.02 * part]).to(dtype) for part in (mesh.vertices, mesh.normals, mesh.albedo)
    )
    return [vertices, mesh.triangles, normals, albedo, *views(2, size, dtype)]


def leaves_of(scene: list[Any]) -> list[Tensor]:
    found: list[Tensor] = []
    for part in scene:
        moved(part, lambda value: found.append(value) or value)
    return [leaf for leaf in found if leaf.is_floating_point()]


@ON_EVERY_DEVICE
@pytest.mark.parametrize("rows", [20, 90])
def test_ids_are_those_of_the_cpu_to_the_last_pixel(
    bumpy_head: Callable, views: Callable, device: str, rows: int
) -> None:
    vertices, triangles, _, _, cameras, _ = scene_of(
        bumpy_head, views, torch.float32, rows=rows, size=(112, 112)
    )
    matrices = camera_matrices(cameras)
    expected = visible_triangles(vertices, triangles, matrices, (112, 112), backend="numba")
    on_device = (part.to(device) for part in (vertices, triangles, matrices))
    found = visible_triangles(*on_device, (112, 112), backend="warp")
    assert found.device.type == device
    assert torch.equal(found.cpu(), expected)
    assert (expected >= 0).float().mean() > 0.1


@pytest.mark.slow
@ON_EVERY_DEVICE
@pytest.mark.parametrize("model", ["open", "open:2"])
def test_ids_of_whole_models_are_those_of_the_cpu(device: str, model: str) -> None:
    model = load_morphable_model(model, shape_components=20, albedo_components=0)
    vertices = model.vertices(torch.randn(2, 20, generator=torch.Generator().manual_seed(0)))
    poses = random_scenes(scene_generators(0, 0, range(2)), 2).poses
    matrices = camera_matrices(cameras_from_poses(poses, (224, 224)))
    expected = visible_triangles(vertices, model.triangles, matrices, (224, 224), backend="numba")
    on_device = (part.to(device) for part in (vertices, model.triangles, matrices))
    assert torch.equal(visible_triangles(*on_device, (224, 224), backend="warp").cpu(), expected)


@ON_EVERY_DEVICE
@pytest.mark.parametrize("samples", [1, 2])
def test_images_are_those_of_the_cpu(
    bumpy_head: Callable, views: Callable, device: str, samples: int
) -> None:
    scene = scene_of(bumpy_head, views, torch.float32)
    expected = render(*scene, SIZE, samples_per_axis=samples)
    on_device = [moved(part, lambda value: value.to(device)) for part in scene]
    found = render(*on_device, SIZE, samples_per_axis=samples, backend="warp", shading="warp")
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=0)


@ON_EVERY_DEVICE
@pytest.mark.parametrize("samples", [1, 2])
def test_gradients_are_those_of_float64_in_plain_torch(
    bumpy_head: Callable, views: Callable, device: str, samples: int
) -> None:
    scene = scene_of(bumpy_head, views, torch.float64)
    weights = torch.rand(2, 3, 3, *SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def gradients(on: str, **chosen: str) -> list[Tensor]:
        leaf = [moved(part, lambda v: v.to(on).requires_grad_(v.is_floating_point())) for part in scene]
        images = render(*leaf, SIZE, samples_per_axis=samples, **chosen)
        found = torch.autograd.grad((images * weights.to(on)).sum(), leaves_of(leaf))
        return [gradient.cpu() for gradient in found]

    exact = gradients("cpu", backend="numba", shading="torch")
    found = gradients(device, backend="warp", shading="warp")
    for one, other in zip(found, exact, strict=True):
        assert float((one - other).norm()) <= 1e-5 * float(other.norm())


@ON_EVERY_DEVICE
def test_a_rendering_on_a_device_s_defaults_differs_from_the_cpu_s_by_rounding(
    bumpy_head: Callable, views: Callable, device: str
) -> None:
    scene = scene_of(bumpy_head, views, torch.float32)
    expected = render(*scene, SIZE)
    found = render(*(moved(part, lambda value: value.to(device)) for part in scene), SIZE)
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=0)


@pytest.mark.slow
@ON_EVERY_DEVICE
@pytest.mark.parametrize(("model", "vertices"), [("open", 15_675), ("open:2", 61_859)])
def test_the_open_model_s_mean_head_is_drawn_as_in_float64(device: str, model: str, vertices: int) -> None:
    model = load_morphable_model(model, shape_components=1, albedo_components=1, expression_components=0)
    mean = [part.detach() for part in model(torch.zeros(1, 1), torch.zeros(1, 1))]
    head = [mean[0], model.normals(mean[0]), mean[1]]
    assert head[0].shape[1] == vertices
    scenes, size = random_scenes(scene_generators(0, 0, range(1)), 3), (112, 112)
    cameras = cameras_from_poses(scenes.poses, size)
    weights = torch.rand(1, 3, 3, *size, generator=torch.Generator().manual_seed(0))

    def drawn(on: str, dtype: torch.dtype, **chosen: str) -> list[Tensor]:
        """Images, and the gradients of vertices, normals and albedo."""
        place, normals, albedo = leaves = [part.to(on, dtype).requires_grad_() for part in head]
        given = [moved(part, lambda value: value.to(on)) for part in (cameras, scenes.lights)]
        images = render(place, model.triangles.to(on), normals, albedo, *given, size, **chosen)
        gradients = torch.autograd.grad((images * weights.to(images)).sum(), leaves)
        return [part.detach().cpu().double() for part in (images, *gradients)]

    exact = drawn("cpu", torch.float64, backend="numba", shading="torch")
    assert (exact[0] > 0).double().mean() > 0.1
    for on, kernels in (("cpu", "numba"), (device, "warp")):
        images, *gradients = drawn(on, torch.float32, backend=kernels, shading=kernels)
        torch.testing.assert_close(images, exact[0], atol=1e-5, rtol=0)
        for found, expected in zip(gradients, exact[1:], strict=True):
            assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())
