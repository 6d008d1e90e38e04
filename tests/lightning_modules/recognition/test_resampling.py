import torch

from lightning_modules.recognition.frame import Crop
from lightning_modules.recognition.resampling import resample


def test_the_whole_frame_at_its_own_size_is_unchanged() -> None:
    images = torch.rand(2, 3, 6, 6)
    torch.testing.assert_close(resample(images, Crop(6, -0.5, -0.5, 5.5, 5.5)), images)


def test_a_box_of_whole_pixels_is_cut_out() -> None:
    image = torch.rand(3, 8, 8)
    torch.testing.assert_close(resample(image, Crop(3, 1.5, 3.5, 4.5, 6.5)), image[:, 4:7, 2:5])


def test_a_ramp_stays_a_ramp() -> None:
    ramp = torch.arange(20.0).expand(20, 20) + 0.5  # value = distance from the left edge
    smaller = resample(ramp, Crop(6, 3.5, 3.5, 15.5, 15.5))
    torch.testing.assert_close(smaller[0], 4 + 2 * (torch.arange(6.0) + 0.5))
    torch.testing.assert_close(
        resample(ramp, Crop(20, 3.5, 3.5, 8.5, 8.5))[0], 4 + 0.25 * (torch.arange(20.0) + 0.5)
    )


def test_reduction_matches_torchs_antialiased_interpolation() -> None:
    image = torch.rand(1, 1, 24, 24)
    expected = torch.nn.functional.interpolate(image, (9, 9), mode="bilinear", antialias=True)
    inner = resample(image, Crop(9, -0.5, -0.5, 23.5, 23.5))[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, expected[..., 1:-1, 1:-1], atol=1e-6, rtol=0)


def test_a_box_beyond_the_image_repeats_the_border() -> None:
    image = torch.full((1, 4, 4), 0.3)
    torch.testing.assert_close(resample(image, Crop(5, -6.5, -6.5, 8.5, 8.5)), torch.full((1, 5, 5), 0.3))


def test_gradients_reach_the_image() -> None:
    image = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    crop = Crop(4, 0.0, 0.5, 5.0, 4.5)
    assert torch.autograd.gradcheck(lambda x: resample(x, crop), image)
