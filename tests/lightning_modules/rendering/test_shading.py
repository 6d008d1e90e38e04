import math

import pytest
import torch
from torch import Tensor

from lightning_modules.rendering.shading import Lights, Material, phong, specular_colour

GREY = 0.2140411  # linear light of sRGB 0.5


def light(
    direction: tuple[float, float, float], intensity: float = 1.0, distance: float = 1.0, **more: Tensor
) -> Lights:
    position = torch.tensor(direction, dtype=torch.float64)
    position = position / position.norm() * distance
    return Lights(
        positions=position[None, None],
        colours=torch.ones(1, 1, 3, dtype=torch.float64),
        intensities=torch.full((1, 1), intensity, dtype=torch.float64),
        ambient=torch.zeros(1, 3, dtype=torch.float64),
        **more,
    )


def shade(
    lights: Lights, *, eye: tuple[float, float, float] = (0.0, 0, 1), material: Material | None = None
) -> Tensor:
    """Light from a grey point at the origin whose normal is +z."""
    point = torch.zeros(1, 3, dtype=torch.float64)
    normal = torch.tensor([[0.0, 0, 2]], dtype=torch.float64)  # its length must not matter
    albedo = torch.full((1, 3), 0.5, dtype=torch.float64)
    eyes = torch.tensor([eye], dtype=torch.float64)
    return phong(point, normal, albedo, eyes, lights, material or Material(specular_constant=0.0))[0]


def slanted(degrees: float) -> tuple[float, float, float]:
    return math.sin(math.radians(degrees)), 0.0, math.cos(math.radians(degrees))


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, 1.0), (45, math.sqrt(0.5)), (60, 0.5), (90, 0.0), (135, 0.0)]
)
def test_diffuse_light_falls_with_the_cosine_and_ends_behind(degrees: float, expected: float) -> None:
    assert shade(light(slanted(degrees))).tolist() == pytest.approx([GREY * expected] * 3, abs=1e-7)


def test_intensity_colour_and_several_lights_add_up() -> None:
    lights = Lights(
        positions=torch.tensor([[[0.0, 0, 5], [0, 0, 9]]], dtype=torch.float64),
        colours=torch.tensor([[[1.0, 0.5, 0], [0, 0.5, 1]]], dtype=torch.float64),
        intensities=torch.tensor([[2.0, 4.0]], dtype=torch.float64),
        ambient=torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64),
    )
    assert shade(lights).tolist() == pytest.approx([GREY * 2.1, GREY * 3.2, GREY * 4.3], abs=1e-6)


def test_highlight_peaks_at_the_mirror_direction() -> None:
    material = Material(specular_constant=0.4, shininess=10.0)
    specular = 0.4 * (1 - GREY)
    brightness = []
    for degrees in (0, 15, 30, 45, 60):
        eye = slanted(-degrees)
        value = shade(light(slanted(30)), eye=eye, material=material)[0].item()
        expected = GREY * math.cos(math.radians(30)) + specular * math.cos(math.radians(30 - degrees)) ** 10
        assert value == pytest.approx(expected, abs=1e-6)
        brightness.append(value)
    assert max(brightness) == brightness[2]


def test_a_viewer_more_than_90_degrees_from_the_mirror_direction_sees_no_highlight() -> None:
    glossy, matt = Material(0.4, 2.0), Material(0.0, 2.0)
    lights = light(slanted(60))
    same_side = slanted(60)  # 120 degrees from the mirror direction; an even power must not bring it back
    assert (
        shade(lights, eye=same_side, material=glossy).tolist()
        == shade(lights, eye=same_side, material=matt).tolist()
    )


def test_a_light_behind_the_surface_gives_no_highlight() -> None:
    assert shade(light(slanted(100)), eye=slanted(-80), material=Material(0.5, 5.0)).tolist() == [0, 0, 0]


def test_fall_off_is_inverse_square_and_neutral_at_the_reference_distance() -> None:
    reference = torch.full((1, 1), 3.0, dtype=torch.float64)
    for distance in (1.0, 3.0, 6.0):
        value = shade(light((0, 0, 1), distance=distance, reference_distances=reference))
        assert value[0].item() == pytest.approx(GREY * (3 / distance) ** 2, abs=1e-6)
        assert shade(light((0, 0, 1), distance=distance))[0].item() == pytest.approx(GREY, abs=1e-7)


def test_specular_colour_is_the_papers_heuristic() -> None:
    assert specular_colour(torch.tensor([0.0, 0.25, 1.0]), 0.4).tolist() == pytest.approx([0.4, 0.3, 0.0])


@pytest.mark.parametrize(("albedo", "linear"), [(1.5, 1.0), (-0.5, 0.0)])
def test_albedo_outside_its_range_is_clamped_with_the_gradient_passed_through(
    albedo: float, linear: float
) -> None:
    lights, zero = light((0, 0, 1)), torch.zeros(1, 3, dtype=torch.float64)
    up = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    colour = torch.full((1, 3), albedo, dtype=torch.float64, requires_grad=True)
    value = phong(zero, up, colour, up, lights, Material(0.0))
    assert value[0].tolist() == pytest.approx([linear] * 3)
    value.sum().backward()
    assert (colour.grad > 0.07).all()  # the slope at the end of the range: 1/12.92 at 0, 2.27 at 1


def test_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    normals = torch.nn.functional.normalize(uniform(4, 3) - 0.5 + torch.tensor([0, 0, 1.5]), dim=-1)
    inputs = [uniform(4, 3), normals, 0.2 + 0.6 * uniform(4, 3), uniform(4, 3) + torch.tensor([0, 0, 3.0])]
    parts = [
        uniform(4, 2, 3) + torch.tensor([0, 0, 2.0]),
        uniform(4, 2, 3),
        uniform(4, 2),
        uniform(4, 3),
        1 + uniform(4, 2),
    ]
    arguments = [value.requires_grad_() for value in inputs + parts]

    def shaded(*values: Tensor) -> Tensor:
        return phong(*values[:4], Lights(*values[4:]), Material(0.3, 7.0))

    assert torch.autograd.gradcheck(shaded, arguments)
