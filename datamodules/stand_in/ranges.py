"""What the stand-in photographs are drawn from."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class StandInRanges:
    """Ranges and probabilities of the stand-in photographs; uniform unless it says otherwise.

    Everything here is ours: no paper has a stand-in. It is meant to differ from `SceneRanges`, which training
    draws from: distances of cameras and lights, the height of the frame, the number of lights, the ambient
    share and the exposure share no value with it, so that no pose and no light is one of training's.
    Identities come from the same prior by other seeds. Angles overlap, as all photographs of faces do, but
    follow a normal distribution. Backgrounds always have edges; training's never have.

    Attributes:
        expression_share: probability that an expression component is active.
        expression_deviations: standard deviation of an active one, in the component's own.
        yaw_deviation_degrees: of a normal distribution around the frontal pose, cut at 2.5 deviations.
        pitch_deviation_degrees: likewise.
        roll_deviation_degrees: likewise.
        near_share: probability of an arm's length between camera and face; otherwise it is far away.
        near_distance_mm: camera to the middle of the face.
        far_distance_mm: likewise.
        frame_height_mm: height of what the picture shows at the face.
        placement: of the face away from the middle, as a part of the picture's side, in x and in y.
        light_count: lowest and highest number of point lights.
        light_distance_mm: light to the middle of the face; its light falls off with the inverse square.
        light_azimuth_degrees: from the line to the camera, to either side; beyond 90 it is a rim light.
        light_elevation_degrees: upwards, positive.
        light_intensity: of each, before exposure is made even.
        kelvin: colour temperature of each light, uniform in its inverse.
        white_balance: part of a light's colour that the camera takes out.
        ambient_share: part of the exposure that comes from everywhere.
        exposure: mean luminance of the half of a white sphere that the camera sees.
        specular_constant: of the skin.
        shininess: of the skin.
        hair_share: probability of hair on the head, short or long.
        cap_share: probability of a cap; the rest is bald.
        glasses_share: probability of glasses.
        scarf_share: probability of a scarf up to the chin.
        hand_share: probability of a hand at the cheek.
        defocus_pixels: standard deviation of the blur, at the size of drawing.
        motion_share: probability of motion blur.
        motion_pixels: its length.
        colour_cast: logarithm of a factor on each channel.
        brightness: factor on the levels.
        gamma: exponent of the levels; below 1 lifts the shadows.
        vignette: how much darker the corners are.
        noise_levels: standard deviation of the sensor's noise at middle grey, of 255.
        side_pixels: of the finished square picture.
        jpeg_quality: of the file.
    """

    expression_share: float = 0.3
    expression_deviations: float = 1.3
    yaw_deviation_degrees: float = 17.0
    pitch_deviation_degrees: float = 7.0
    roll_deviation_degrees: float = 6.0
    near_share: float = 0.4
    near_distance_mm: Range = (420.0, 650.0)
    far_distance_mm: Range = (3200.0, 6000.0)
    frame_height_mm: Range = (365.0, 460.0)
    placement: Range = (-0.09, 0.09)
    light_count: tuple[int, int] = (3, 5)
    light_distance_mm: Range = (400.0, 1500.0)
    light_azimuth_degrees: Range = (-150.0, 150.0)
    light_elevation_degrees: Range = (-30.0, 70.0)
    light_intensity: Range = (0.2, 1.0)
    kelvin: Range = (2300.0, 9000.0)
    white_balance: Range = (0.4, 0.9)
    ambient_share: Range = (0.08, 0.19)
    exposure: Range = (0.5, 0.74)
    specular_constant: Range = (0.05, 0.25)
    shininess: Range = (8.0, 30.0)
    hair_share: float = 0.7
    cap_share: float = 0.15
    glasses_share: float = 0.2
    scarf_share: float = 0.1
    hand_share: float = 0.1
    defocus_pixels: Range = (0.0, 1.5)
    motion_share: float = 0.2
    motion_pixels: Range = (3.0, 7.0)
    colour_cast: Range = (-0.09, 0.09)
    brightness: Range = (0.9, 1.12)
    gamma: Range = (0.7, 1.1)
    vignette: Range = (0.0, 0.35)
    noise_levels: Range = (0.5, 4.0)
    side_pixels: Range = (150.0, 250.0)
    jpeg_quality: Range = (50.0, 95.0)
