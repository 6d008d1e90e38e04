"""The published protocols for scoring a mesh against a scan, as data.

Numbers of different protocols never share a column: the same meshes go from 1.50 to 1.77 mm by protocol
alone. None of the publications states everything. Each protocol names what it knows from its authors' code or
words, what is recalled without a check, and what was chosen here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .correspondences import Directions
from .scan_region import RegionKind
from .surface_distance import Measure, Statistic, Weighting

Alignment = Literal["point-to-plane", "all vertices", "one way each", "region-wise"]
Counted = Literal["intersection", "all"]
Scaling = Literal["isotropic", "global", "none"]
Status = Literal["known", "recalled", "chosen"]
Reported = Literal["mean and sd over subjects", "pooled over all points"]

ALL_LANDMARKS = tuple(range(68))
# Chosen: without the jaw line, whose landmarks slide along the contour.
INNER_LANDMARKS = tuple(range(17, 68))
# Corners of both eyes, subnasale, corners of the mouth.
SEVEN_LANDMARKS = (36, 39, 42, 45, 33, 48, 54)


@dataclass(frozen=True)
class ScanProtocol:
    """How one mesh is scored against one scan.

    Attributes:
        name: of the preset.
        region: which part of the scan counts, see `scan_region.region_of`; "four regions": those of
            `face_regions`, of which "region-wise" alignment makes a score each.
        radius_mm: of the region about the nose tip.
        disc_factor: of the face disc.
        radius_overrides_mm: another radius for some subjects, by their number.
        start: ids of the landmarks of the first similarity; those known on both sides are used.
        refined: whether ICP follows.
        alignment: "point-to-plane": over even samples, outliers left out and pairs far apart weighing less,
            see `registration.align`; "all vertices": of the scan inside the region, by their distances, see
            `vertex_registration`; "one way each": of either surface by itself, see `one_way_registration`;
            "region-wise": each region by itself, rigidly and then deformed, see `region_score`.
        scaling: "isotropic": each mesh has its own scale; "global": one factor for all meshes of a method;
            "none": meshes are in mm.
        alignment_directions: closest points that ICP uses.
        least_gain_mm: ICP also stops when the mean distance changes by less; None: by a small step alone.
        measure: of a distance.
        counted: "intersection": only what has a counterpart, see `posed_surface.IntersectionRule`; "all":
            every vertex of the region.
        directions: both are measured and averaged, or the scan's vertices alone are measured to the mesh.
        weighting: how vertices are averaged.
        statistic: of one scan's distances.
        best_of_scans: whether a subject's score is the least over its frontal scans.
        reported: how subjects are put together.
        status: of each field that the authors determine.
    """

    name: str
    region: RegionKind = "nose tip"
    radius_mm: float = 95.0
    disc_factor: float = 1.2
    radius_overrides_mm: Mapping[int, float] = field(default_factory=dict, hash=False)
    start: tuple[int, ...] = INNER_LANDMARKS
    refined: bool = True
    alignment: Alignment = "point-to-plane"
    scaling: Scaling = "isotropic"
    alignment_directions: Directions = "both"
    least_gain_mm: float | None = None
    measure: Measure = "point-to-plane"
    counted: Counted = "intersection"
    directions: Directions = "both"
    weighting: Weighting = "vertex"
    statistic: Statistic = "mean"
    best_of_scans: bool = False
    reported: Reported = "mean and sd over subjects"
    status: Mapping[str, Status] = field(default_factory=dict, hash=False)

    def radius_for(self, subject: int | None) -> float:
        """The radius about the nose tip for a subject's number, in mm."""
        return self.radius_mm if subject is None else self.radius_overrides_mm.get(subject, self.radius_mm)


def _status(*, known: str, chosen: str, recalled: str = "") -> dict[str, Status]:
    """The status of each field, from the names of the fields of each status."""
    fields: dict[Status, str] = {"known": known, "recalled": recalled, "chosen": chosen}
    return {name: status for status, names in fields.items() for name in names.split()}


# Genova et al. 2018, section 4.2. Whether the scale was each mesh's own or one factor for all is disputed by
# an author of a follow-up. Weighting by area is chosen: a score must not depend on where a mesh is dense.
GENOVA = ScanProtocol(
    "genova",
    weighting="area",
    status=_status(
        known="region radius_mm refined scaling measure directions statistic reported",
        chosen="start alignment_directions weighting",
    ),
)
# Tran et al. 2017: their scans come aligned and cropped; here landmarks align them.
TRAN = ScanProtocol(
    "tran",
    measure="point-to-triangle",
    statistic="rmse",
    status=_status(
        known="region radius_mm refined statistic reported",
        chosen="start scaling alignment_directions measure directions weighting",
    ),
)
# Gecer et al. 2019 (GANFit), after the code of their evaluation. They call the distance point-to-plane; it
# goes to the closest point. Their scans are registered to a template first, see `one_way_registration`.
GANFIT = ScanProtocol(
    "ganfit",
    radius_overrides_mm={28: 60.0},
    start=ALL_LANDMARKS,
    alignment="one way each",
    least_gain_mm=0.001,
    measure="point-to-triangle",
    counted="all",
    best_of_scans=True,
    status=_status(
        known="region radius_mm radius_overrides_mm start refined alignment scaling alignment_directions "
        "least_gain_mm measure counted directions weighting statistic best_of_scans reported",
        chosen="",
    ),
)
# Deng et al. 2019. Where the forehead is cut is chosen, see `scan_region.FOREHEAD`.
DENG = ScanProtocol(
    "deng",
    region="nose tip without forehead",
    statistic="rmse",
    status=_status(
        known="radius_mm refined scaling measure statistic reported",
        chosen="region start alignment_directions directions weighting",
    ),
)
# Sanyal et al. 2019 (NoW), after the code of their benchmark. Their numbers pool all points of all scans.
NOW = ScanProtocol(
    "now",
    region="face disc",
    disc_factor=1.4,
    start=SEVEN_LANDMARKS,
    alignment="all vertices",
    alignment_directions="scan to mesh",
    measure="point-to-triangle",
    counted="all",
    directions="scan to mesh",
    statistic="median",
    reported="pooled over all points",
    status=_status(
        known="region disc_factor start refined alignment scaling alignment_directions measure counted "
        "directions weighting reported",
        chosen="statistic",
    ),
)
# Feng et al. 2018, after the code of their competition: no refinement after the landmarks.
FG2018 = ScanProtocol(
    "fg2018",
    region="face disc",
    disc_factor=1.2,
    start=SEVEN_LANDMARKS,
    refined=False,
    measure="point-to-triangle",
    counted="all",
    directions="scan to mesh",
    statistic="rmse",
    status=_status(
        known="region disc_factor start refined scaling measure counted directions weighting statistic",
        chosen="reported",
    ),
)
# Chai et al. 2022 (REALY), after the code of their benchmark. Not called `realy`, since its regions are those
# of `face_regions`: their drawn ones come with their scans only.
REALY_LIKE = ScanProtocol(
    "realy-like",
    region="four regions",
    start=SEVEN_LANDMARKS,
    alignment="region-wise",
    measure="point-to-triangle",
    counted="all",
    directions="scan to mesh",
    status=_status(
        known="start refined alignment scaling measure counted directions weighting statistic reported",
        chosen="region",
    ),
)
PROTOCOLS = {preset.name: preset for preset in (GENOVA, TRAN, GANFIT, DENG, NOW, FG2018, REALY_LIKE)}
ALIASES = {"realy": REALY_LIKE.name}
DEFAULT = GENOVA.name


def scan_protocol(name: str) -> ScanProtocol:
    """The preset of this name; `realy` means `realy-like`.

    Raises:
        ValueError: if there is none.
    """
    name = ALIASES.get(name, name)
    if name not in PROTOCOLS:
        raise ValueError(f"there is no protocol {name!r}; give one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
