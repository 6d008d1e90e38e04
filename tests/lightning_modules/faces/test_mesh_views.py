import torch
from scipy.spatial.transform import Rotation

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_views import view_of
from lightning_modules.faces.morphable_model import MorphableModel


def bowl(model: MorphableModel) -> Mesh:
    return Mesh(model.neutral_mean.view(-1, 3), model.triangles, None)


def test_each_pixel_knows_the_surface_point_that_it_shows(small_model: MorphableModel) -> None:
    view = view_of(bowl(small_model), size=65, extent_mm=260.0, centre=(0.0, 0.0, 0.0))
    assert view.image.shape == (3, 65, 65)
    torch.testing.assert_close(view.points[32, 32], torch.zeros(3), atol=0.1, rtol=0)
    # 4 mm a pixel: ten pixels to the right lie 40 mm to the subject's left, a little farther in perspective.
    right = view.points[32, 42]
    assert 40 < right[0] < 42.5
    assert right[2] < -5
    assert bool(view.points[0, 0].isnan().all())
    assert float(view.image[:, 0, 0].max()) == 0


def test_a_turned_mesh_shows_its_side_and_keeps_its_own_coordinates(small_model: MorphableModel) -> None:
    view = view_of(bowl(small_model), size=65, extent_mm=260.0, centre=(0.0, 0.0, 0.0), yaw_degrees=40.0)
    shown = view.points[view.points.isfinite().all(-1)]
    # Turned to its own left, the subject shows its right side.
    assert float(shown[:, 0].mean()) < -3
    torch.testing.assert_close(view.points[32, 32], torch.zeros(3), atol=0.1, rtol=0)


def test_another_frame_is_turned_into_ours_first(small_model: MorphableModel) -> None:
    mesh = bowl(small_model)
    turn = torch.from_numpy(Rotation.from_euler("x", 90, degrees=True).as_matrix()).float()
    lying = mesh._replace(vertices=mesh.vertices @ turn)  # turned back by `turn`
    straight, seen = view_of(mesh, size=48), view_of(lying, size=48, turn=turn)
    torch.testing.assert_close(seen.image, straight.image, atol=0.02, rtol=0)
    shown = seen.points.isfinite().all(-1)
    torch.testing.assert_close(
        seen.points[shown] @ turn.T, straight.points[shown], atol=0.05, rtol=0, equal_nan=True
    )
