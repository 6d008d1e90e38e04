import pytest
import torch

from lightning_modules.faces import linear_combinations as module
from lightning_modules.faces.linear_combinations import linear_combinations

MEAN = torch.tensor([1.0, 2, 3])
BASIS = torch.tensor([[1.0, 0], [0, 1], [2, -1]])


@pytest.fixture
def threads() -> None:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def drawn(faces: int, components: int, rows: int) -> tuple[torch.Tensor, ...]:
    """A mean, coefficients, a basis and a gradient."""
    generator = torch.Generator().manual_seed(0)
    sizes = (rows,), (faces, components), (rows, components), (faces, rows)
    return tuple(torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes)


def test_components_are_added_to_the_mean() -> None:
    combined = linear_combinations(MEAN, torch.tensor([[1.0, 0], [10, 100]]), BASIS)
    assert combined.tolist() == [[2, 2, 5], [11, 102, -77]]


def test_a_prefix_of_the_coefficients_takes_the_first_components() -> None:
    assert linear_combinations(MEAN, torch.tensor([[2.0]]), BASIS).tolist() == [[3, 2, 7]]
    assert linear_combinations(MEAN, torch.zeros(1, 0), BASIS).tolist() == [[1, 2, 3]]


def test_each_face_may_have_a_mean_of_its_own() -> None:
    combined = linear_combinations(torch.tensor([[0.0, 0, 0], [1, 2, 3]]), torch.ones(2, 2), BASIS)
    assert combined.tolist() == [[1, 1, 1], [2, 3, 4]]


@pytest.mark.parametrize("faces", [3, 4])
def test_sums_may_be_changed_in_place(faces: int) -> None:
    mean, coefficients, basis, gradient = drawn(faces, 2, 5)
    combined = linear_combinations(mean, coefficients.requires_grad_(), basis)
    combined += 1
    (found,) = torch.autograd.grad(combined, coefficients, gradient)
    torch.testing.assert_close(found, gradient @ basis)


def test_sizes_that_do_not_fit_are_refused_as_by_a_matrix_product() -> None:
    with pytest.raises(RuntimeError):
        linear_combinations(MEAN, torch.ones(1, 3), BASIS)
    with pytest.raises(RuntimeError):
        linear_combinations(torch.zeros(5), torch.ones(1, 2), BASIS)
    assert linear_combinations(torch.ones(1), torch.ones(1, 2), BASIS).tolist() == [[2, 2, 2]]


# Fewer rows than tasks, an even and an odd number for each, some over; faces that fill no four, one, and too
# many; components that fill no vector and some, all of the basis's and the first.
@pytest.mark.parametrize("rows", [3, 20 * module.TASKS, 21 * module.TASKS, 20 * module.TASKS + 5])
@pytest.mark.parametrize("faces", [0, 1, 4, 7, module.MOST_FACES + 1])
@pytest.mark.parametrize("components", [3, 16, 19])
def test_values_and_gradients_are_those_of_a_matrix_product(faces: int, rows: int, components: int) -> None:
    mean, coefficients, basis, gradient = drawn(faces, 19, rows)
    coefficients = coefficients[:, :components].requires_grad_()
    gradient[:, rows // 3 : rows // 2] = 0  # vertices that no picture shows
    combined = linear_combinations(mean, coefficients, basis)
    torch.testing.assert_close(combined, mean + coefficients @ basis[:, :components].T)
    (found,) = torch.autograd.grad(combined, coefficients, gradient)
    torch.testing.assert_close(found, gradient @ basis[:, :components])


@pytest.mark.parametrize("components", [1, 2, 6, 19])
def test_what_lies_behind_the_basis_is_not_read(components: int) -> None:
    mean, coefficients, basis, gradient = drawn(2, components, 20 * module.TASKS)
    memory = torch.full((basis.numel() + module.VECTOR,), torch.nan, dtype=basis.dtype)
    memory[: basis.numel()] = basis.flatten()
    coefficients.requires_grad_()
    combined = linear_combinations(mean, coefficients, memory[: basis.numel()].view_as(basis))
    torch.testing.assert_close(combined, mean + coefficients @ basis.T)
    (found,) = torch.autograd.grad(combined, coefficients, gradient)
    torch.testing.assert_close(found, gradient @ basis)


def test_a_gradient_of_the_mean_or_the_basis_is_that_of_a_matrix_product() -> None:
    mean, coefficients, basis, gradient = drawn(2, 3, 5)
    for given in (mean, basis):
        given.requires_grad_()
        (found,) = torch.autograd.grad(linear_combinations(mean, coefficients, basis), given, gradient)
        expected = gradient.sum(0) if given is mean else gradient.T @ coefficients
        torch.testing.assert_close(found, expected)
        given.requires_grad_(False)


@pytest.mark.parametrize("faces", [1, module.MOST_FACES + 1])
def test_autocast_leaves_the_precision_alone(faces: int) -> None:
    mean, coefficients, basis, _ = (part.float() for part in drawn(faces, 3, 50))
    expected = linear_combinations(mean, coefficients, basis)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(linear_combinations(mean, coefficients, basis), expected)
        rounded = linear_combinations(mean, coefficients.bfloat16(), basis)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, linear_combinations(mean, coefficients.bfloat16().float(), basis))


def test_a_gradient_that_is_not_a_number_is_not_taken_for_a_hidden_vertex() -> None:
    mean, coefficients, basis, gradient = drawn(1, 3, 6)
    coefficients.requires_grad_()
    gradient.zero_()[0, 3] = torch.nan
    (found,) = torch.autograd.grad(linear_combinations(mean, coefficients, basis), coefficients, gradient)
    assert found.isnan().all()


def test_any_number_of_threads_gives_the_same_bits(threads: None) -> None:
    mean, coefficients, basis, gradient = (part.float() for part in drawn(8, 199, 300 * module.TASKS))
    coefficients.requires_grad_()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        combined = linear_combinations(mean, coefficients, basis)
        results.append((combined, *torch.autograd.grad(combined, coefficients, gradient)))
    assert all(
        torch.equal(part, first)
        for result in results[1:]
        for part, first in zip(result, results[0], strict=True)
    )
