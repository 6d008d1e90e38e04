import torch

from lightning_modules.faces.loaders.principal_components import principal_components


def test_the_covariance_is_that_of_the_modes() -> None:
    modes = torch.randn(30, 5, generator=torch.Generator().manual_seed(0))
    components = principal_components(torch.zeros(30), modes)
    covariance = components.basis * components.variance @ components.basis.T
    torch.testing.assert_close(covariance, modes @ modes.T, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(components.basis.T @ components.basis, torch.eye(5), atol=1e-6, rtol=0)
    assert components.variance.tolist() == sorted(components.variance.tolist(), reverse=True)
    assert abs(components.total_variance - float((modes**2).sum())) < 1e-4


def test_dependent_modes_leave_no_empty_component() -> None:
    mode = torch.randn(12, 1, generator=torch.Generator().manual_seed(0))
    components = principal_components(torch.zeros(12), torch.cat([mode, 2 * mode, 0 * mode], 1))
    assert components.basis.shape == (12, 1)
    torch.testing.assert_close(components.variance, 5 * (mode**2).sum()[None])


def test_positive_coefficients_go_the_way_of_the_modes() -> None:
    modes = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    basis = principal_components(torch.zeros(12), modes).basis
    assert (basis.T @ modes.sum(1) > 0).all()
    torch.testing.assert_close(principal_components(torch.zeros(12), -modes).basis, -basis)


def test_no_modes_give_no_components() -> None:
    assert principal_components(torch.ones(6), torch.zeros(6, 0)).basis.shape == (6, 0)
    assert principal_components(torch.ones(6), torch.zeros(6, 2)).basis.shape == (6, 0)
