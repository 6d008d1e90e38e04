"""The ranges of random scenes."""

from dataclasses import dataclass, fields

Range = tuple[float, float]


@dataclass(frozen=True)
class SceneRanges:
    """Ranges that random poses and lights are drawn from, each uniformly unless it says otherwise.

    Genova et al. 2018 states two point lights, several metres away, of varying intensity, and one perturbed
    colour temperature per image from common indoor and outdoor sources. It states no number: every range
    below is open there and ours.

    Attributes:
        yaw_degrees: head turned to its own left, positive.
        pitch_degrees: head raised, positive.
        roll_degrees: head tilted to its own left shoulder, positive. Aligned images undo it.
        distance_mm: camera to the point that it looks at, uniform in its logarithm.
        frame_height_mm: height of what the image shows at that distance; the focal length follows, as image
            height times distance over frame height. Aligned images replace it.
        light_distance_mm: light to the point that the camera looks at.
        light_azimuth_degrees: of a light, from the line to the camera, to the right of the image, positive.
        light_elevation_degrees: of a light, upwards, positive.
        light_intensity: of each light, before exposure is made even: their ratio is what counts.
        ambient_share: part of the exposure that comes from everywhere.
        exposure: mean luminance of the half of a white sphere that the camera sees; 1 is white.
        kelvin_perturbation_mired: added to the source's colour temperature as 1e6 / kelvin.
        tint_perturbation: logarithm of a factor on each colour channel.
        white_balance: part of the source's colour that the camera takes out; 0 leaves all, as in the paper, 1
            makes it white.
    """

    yaw_degrees: Range = (-40.0, 40.0)
    pitch_degrees: Range = (-15.0, 15.0)
    roll_degrees: Range = (-10.0, 10.0)
    distance_mm: Range = (700.0, 3000.0)
    frame_height_mm: Range = (280.0, 360.0)
    light_distance_mm: Range = (2000.0, 5000.0)
    light_azimuth_degrees: Range = (-75.0, 75.0)
    light_elevation_degrees: Range = (-15.0, 60.0)
    light_intensity: Range = (0.3, 1.0)
    ambient_share: Range = (0.2, 0.5)
    exposure: Range = (0.75, 1.0)
    kelvin_perturbation_mired: Range = (-15.0, 15.0)
    tint_perturbation: Range = (-0.04, 0.04)
    white_balance: Range = (0.5, 1.0)

    def __post_init__(self) -> None:
        """Check that every range runs upwards and that what must be positive is."""
        for field in fields(self):
            low, high = getattr(self, field.name)
            if not low <= high:
                raise ValueError(f"{field.name} must run from low to high, got {(low, high)}")
        for name in ("distance_mm", "frame_height_mm", "light_distance_mm", "light_intensity", "exposure"):
            if getattr(self, name)[0] <= 0:
                raise ValueError(f"{name} must be above zero, got {getattr(self, name)}")
        for name in ("ambient_share", "white_balance"):
            low, high = getattr(self, name)
            if low < 0 or high > 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {(low, high)}")
