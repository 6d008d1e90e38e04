"""Options of an evaluation against scans, by what they are about."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from datamodules.alignment.crops import Selection
from datamodules.alignment.detection import DetectorName
from datamodules.benchmark_folders import ImageSet
from evaluation.groups.options import Groups
from evaluation.metrics.scan_protocols import DEFAULT, PROTOCOLS, Scaling, ScanProtocol, scan_protocol
from evaluation.metrics.triangle_trees import Backend
from evaluation.scans.methods import Average
from evaluation.shared.options import NO_SETTING, Dashboard, Machine, Output, settings_of_options
from lightning_modules.faces.mesh_files.units import Unit
from lightning_modules.plain.number_types import NonNegativeInt, PositiveFinite, PositiveInt, SeedInt

ALL = "all"


@dataclass(frozen=True)
class ScoredFaces:
    """What is scored.

    Attributes:
        checkpoint: of ablations/run.py.
        meshes: a folder of another method's meshes instead: <subject>.obj, or one for each condition as
            <subject>/<condition>.obj or <condition>/<subject>.obj; .ply and .glb as well.
        also: more such folders, scored in the same run.
        method: its name in tables; the checkpoint's or folder's name by default.
        average: of a video's frames: embeddings (decoded once), coefficients or meshes.
        unit: of the meshes: mm, cm, dm, m, um, inch, a number of millimetres, or auto, which guesses
            from their size; .glb is in metres if that makes a face.
        mesh_landmarks: a landmark file of the meshes' shared topology (68, 51, 8 or 7 vertex ids).
        morphable_model: where the checkpoint's does not lie in its place; of the baselines beside meshes.
        encoder_weights: the encoder's weight file, where it does not lie in its usual place.
    """

    # Their contents are settings, whatever they are called.
    checkpoint: Path | None = field(default=None, metadata=NO_SETTING)
    meshes: Path | None = field(default=None, metadata=NO_SETTING)
    also: list[Path] | None = None
    method: str | None = None
    average: Average = "embeddings"
    unit: Unit = "auto"
    mesh_landmarks: Path | None = None
    morphable_model: str | None = None
    encoder_weights: Path | None = None


@dataclass(frozen=True)
class ScannedPeople:
    """The people whose scans are compared with.

    Attributes:
        data: micc:DIR (or DIR), scans:DIR, now:DIR, fg2018:DIR, or stand-in; by default what MICC_DIR or the
            configuration file names, else the stand-in.
        images: of now:DIR: those of validation are scored; of test, whose scans are not published, a folder
            to submit is written and checked.
        subjects: the first so many people; all by default, 12 of the stand-in.
        frames: of each video, so many evenly spread, or all.
        faces: which face of a frame.
        detector: yunet or mtcnn; finds faces in frames, and landmarks where there are none.
        landmarks: a folder of the scans' landmark files, where they lie neither beside the scans nor in
            MICC_landmarks (landmarks, with other scans).
        scan_unit: of the scans, likewise.
        seed: of the random faces and the stand-in.
    """

    data: str | None = None
    images: ImageSet = "validation"
    subjects: PositiveInt | None = None
    frames: PositiveInt | Literal["all"] = "all"
    faces: Selection = "largest"
    detector: DetectorName = "yunet"
    landmarks: Path | None = None
    scan_unit: Unit = "auto"
    seed: SeedInt = 0


@dataclass(frozen=True)
class ProtocolChoice:
    """How distances are measured.

    Attributes:
        protocol: genova, tran, ganfit, deng, now, fg2018, realy (an approximation, called realy-like), or all
            of them; by default the benchmark's own of now:DIR and fg2018:DIR, else genova.
        scale: isotropic, global or none instead of the protocol's own.
        radius_mm: of the crop around the nose tip instead of the protocol's own.
        radius_overrides_mm: another radius for some subjects, by their number, as {28: 60}.
        closest_points: what finds them: libigl, or open3d (in float32; extra open3d).
    """

    protocol: str | None = None
    scale: Scaling | None = None
    radius_mm: PositiveFinite | None = None
    radius_overrides_mm: dict[int, PositiveFinite] | None = None
    closest_points: Backend = "libigl"

    def presets(self) -> list[ScanProtocol]:
        """The protocols that are requested, with what was changed in their names.

        Raises:
            ValueError: if the protocol is unknown.
        """
        asked = DEFAULT if self.protocol is None else self.protocol
        chosen = list(PROTOCOLS.values()) if asked == ALL else [scan_protocol(asked)]
        return [
            changed(
                protocol,
                scaling=self.scale,
                radius_mm=self.radius_mm,
                radius_overrides_mm=self.radius_overrides_mm,
            )
            for protocol in chosen
        ]


@dataclass(frozen=True)
class HeatMapOptions:
    """What is drawn; no number depends on it.

    Attributes:
        heat_maps: of so many subjects.
        show: open scan, mesh and heat-map of the first subject in a window (extra open3d).
    """

    heat_maps: NonNegativeInt = 4
    show: bool = False


@dataclass(frozen=True)
class ScanEvaluationOptions:
    """All options of an evaluation against scans.

    Attributes:
        scored: what is scored.
        scans: against whose scans.
        protocol: how.
        groups: by which groups results are shown, too.
        pictures: what is drawn.
        output: where results go.
        machine: what they are computed with.
        dashboard: whether they go to Weights & Biases.
    """

    scored: ScoredFaces = field(default_factory=ScoredFaces)
    scans: ScannedPeople = field(default_factory=ScannedPeople)
    protocol: ProtocolChoice = field(default_factory=ProtocolChoice)
    groups: Groups = field(default_factory=Groups)
    pictures: HeatMapOptions = field(default_factory=HeatMapOptions)
    output: Output = field(default_factory=Output)
    machine: Machine = field(default_factory=Machine)
    dashboard: Dashboard = field(default_factory=Dashboard)

    def settings(self) -> dict[str, Any]:
        """What results depend on, as far as options tell it."""
        return settings_of_options(self.scored, self.scans, self.protocol)


# In the order of ScanEvaluationOptions' attributes.
GROUPS_OF_OPTIONS = (
    ScoredFaces, ScannedPeople, ProtocolChoice, Groups, HeatMapOptions, Output, Machine, Dashboard,
)  # fmt: skip


def changed(
    protocol: ScanProtocol,
    *,
    scaling: Scaling | None,
    radius_mm: PositiveFinite | None,
    radius_overrides_mm: dict[int, PositiveFinite] | None,
) -> ScanProtocol:
    """A preset with some of its fields changed, and so named that nobody takes it for the preset."""
    given = {"scaling": scaling, "radius_mm": radius_mm, "radius_overrides_mm": radius_overrides_mm}
    changes: dict[str, Any] = {
        name: value for name, value in given.items() if value is not None and value != getattr(protocol, name)
    }
    words = " ".join(f"{name.removesuffix('_mm')}={value}" for name, value in changes.items())
    return replace(protocol, **changes, name=f"{protocol.name} with {words}") if changes else protocol
