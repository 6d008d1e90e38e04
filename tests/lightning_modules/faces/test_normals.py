import pytest
import torch

from lightning_modules.faces.normals import normals_in_torch, triangle_normals, vertex_normals

# A corner of a cube: three unit squares' halves meet in the origin.
VERTICES = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [5, 5, 5]]])
TRIANGLES = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1]])


def test_a_triangles_normal_points_outward_with_twice_its_area() -> None:
    assert triangle_normals(VERTICES, TRIANGLES)[0].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_a_vertex_takes_the_mean_of_its_triangles() -> None:
    normals = vertex_normals(VERTICES, TRIANGLES)[0]
    torch.testing.assert_close(normals[0], torch.ones(3) / 3**0.5)
    torch.testing.assert_close(normals[1], torch.tensor([0.0, 1, 1]) / 2**0.5)


def test_larger_triangles_weigh_more() -> None:
    stretched = VERTICES * torch.tensor([2.0, 1, 1])
    # Twice the area for the two triangles that reach along x: their normals are y and z.
    torch.testing.assert_close(vertex_normals(stretched, TRIANGLES)[0, 0], torch.tensor([1.0, 2, 2]) / 3)


def test_a_vertex_without_a_triangle_has_a_zero_normal_and_gradient() -> None:
    vertices = VERTICES.clone().requires_grad_()
    normals = vertex_normals(vertices, TRIANGLES)
    assert normals[0, 4].tolist() == [0, 0, 0]
    (gradient,) = torch.autograd.grad(normals.sum(), vertices)
    assert gradient[0, 4].tolist() == [0, 0, 0]
    assert gradient.isfinite().all()


def test_a_degenerate_triangle_has_no_gradient() -> None:
    vertices = torch.zeros(1, 3, 3, requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    (gradient,) = torch.autograd.grad(normals.sum(), vertices)
    assert not normals.any()
    assert not gradient.any()


def test_normals_turn_with_the_mesh_and_ignore_its_place_and_size() -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(2, 30, 3, generator=generator, dtype=torch.float64)
    triangles = torch.randint(30, (50, 3), generator=generator)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    turn = turn * torch.linalg.det(turn)  # a rotation, never a reflection
    moved = vertex_normals(7 * vertices @ turn.T + 3, triangles)
    torch.testing.assert_close(moved, vertex_normals(vertices, triangles) @ turn.T)


def test_the_compiled_normals_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(3, 200, 3, generator=generator)
    triangles = torch.randint(200, (400, 3), generator=generator)
    expected = normals_in_torch(vertices, triangles)
    torch.testing.assert_close(vertex_normals(vertices, triangles), expected)
    # Also of a batch that lies transposed in memory.
    transposed = vertices.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(vertex_normals(transposed, triangles), expected)


def test_gradients_are_exact() -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(2, 8, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    triangles = torch.randint(8, (12, 3), generator=generator)
    assert torch.autograd.gradcheck(lambda points: vertex_normals(points, triangles), vertices)


@pytest.mark.parametrize("threads", [1, 2])
def test_normals_are_the_same_bits_at_any_number_of_threads(threads: int) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(8, 500, 3, generator=generator)
    triangles = torch.randint(500, (1000, 3), generator=generator)
    alone = torch.cat([vertex_normals(mesh[None], triangles) for mesh in vertices])
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert torch.equal(vertex_normals(vertices, triangles), alone)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_normals_in_16_bits_are_those_in_32_rounded(dtype: torch.dtype) -> None:
    normals = vertex_normals(VERTICES.to(dtype), TRIANGLES)
    assert normals.dtype == dtype
    torch.testing.assert_close(normals.float(), vertex_normals(VERTICES, TRIANGLES), atol=0.01, rtol=0)


@pytest.mark.parametrize("shift", [-1, 3, 10**8])
def test_a_triangle_of_no_vertex_never_reaches_a_kernel(shift: int) -> None:
    with pytest.raises(ValueError, match=f"triangles name vertices {shift} to {shift + 3}, but"):
        vertex_normals(VERTICES, TRIANGLES + shift)
    with pytest.raises(ValueError, match=r"vertices must be \[B, V, 3\], got \[1, 5, 2\]"):
        vertex_normals(VERTICES[..., :2], TRIANGLES)
