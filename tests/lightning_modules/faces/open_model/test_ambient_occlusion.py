import numpy as np
import pytest

from lightning_modules.faces.open_model.ambient_occlusion import visible_sky


def sheet(
    height: float, half_width: float, cells: int, upwards: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """A flat square at y = height that faces up or down."""
    ticks = np.linspace(-half_width, half_width, cells + 1)
    x, z = np.meshgrid(ticks, ticks, indexing="ij")
    first = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    around = np.stack([first, first + 1, first + cells + 2, first + cells + 1], 1)
    triangles = around[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
    return np.stack([x.ravel(), np.full(x.size, height), z.ravel()], 1), triangles if upwards else triangles[
        :, ::-1
    ]


def test_a_convex_body_sees_the_whole_sky() -> None:
    vertices, triangles = sheet(0.0, 50.0, 6)
    np.testing.assert_allclose(visible_sky(vertices, triangles), 1.0)


def test_a_roof_hides_the_sky_that_it_covers() -> None:
    floor, floor_triangles = sheet(0.0, 60.0, 12)
    roof, roof_triangles = sheet(30.0, 30.0, 12)
    sky = visible_sky(
        np.concatenate([floor, roof]), np.concatenate([floor_triangles, roof_triangles + len(floor)])
    )
    middle = 6 * 13 + 6
    # Form factor of a square of half width a at height h, seen from below its middle: four times that of its
    # quarter, 1 / (2 pi) * 2 * a / sqrt(a^2 + h^2) * arctan(a / sqrt(a^2 + h^2)), with a = h.
    quarter = 1 / (2 * np.pi) * 2 * np.sqrt(0.5) * np.arctan(np.sqrt(0.5))
    assert sky[middle] == pytest.approx(1 - 4 * quarter, abs=0.05)
    assert np.all(sky[len(floor) :] > 0.99)
    assert sky[0] > sky[middle] + 0.3


def test_a_closed_box_sees_nothing_from_inside() -> None:
    floor, floor_triangles = sheet(0.0, 20.0, 4)
    lid, lid_triangles = sheet(4.0, 120.0, 4, upwards=False)
    sky = visible_sky(
        np.concatenate([floor, lid]), np.concatenate([floor_triangles, lid_triangles + len(floor)])
    )
    assert sky[2 * 5 + 2] < 0.05
