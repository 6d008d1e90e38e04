"""A contact sheet of photographs and what several methods make of them (the paper's Figure 4).

    python evaluation/qualitative.py photographs --methods "ours=final.ckpt,Tran et al.=tran,Sela et al.=sela"

A method is a checkpoint or a folder of meshes (.obj, .ply, .glb; any topology and unit; upright, facing along
z) that are named as the photographs are. All are shown by one camera in one light, framed by the five points
that a face detector sees on them; meshes without colours are grey. The sheet shows the photographs: it stays
with whoever has them.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from PIL import Image

from datamodules.alignment.detection import DetectorName, load_detector
from datamodules.chosen_faces import ChosenFaces, FaceChoice, photographs_at
from evaluation.reconstruction.methods_side_by_side import SheetPlace, of_checkpoint, of_meshes
from evaluation.reporting.tables import say
from evaluation.shared.lifecycle import COMPLETE, WITH_FAILURES
from evaluation.shared.options import Machine
from evaluation.shared.scored_method import files_by_name
from lightning_modules.checkpoints import load_regressor
from lightning_modules.contact_sheets import contact_sheet, picture
from lightning_modules.faces.mesh_files.units import Unit
from lightning_modules.faces.portraits import FRONTAL, THREE_QUARTER
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.number_types import PositiveInt
from lightning_modules.plain.output_file import check_picture, mark_of
from lightning_modules.reconstruction import Reconstructor, load_reconstructor

COMMAND = "qualitative"
FOOTNOTE = "One camera and one light for all methods."
GREY = "Grey: shape only."


class WrittenSheet(NamedTuple):
    """A sheet that was written.

    Attributes:
        file: the picture.
        failures: a sentence for each place that is empty, and each photograph that is not shown.
    """

    file: Path
    failures: list[str]


@dataclass(frozen=True)
class ComparedMethods:
    """Which methods are shown on which photographs, and how.

    Attributes:
        photographs: a photograph, a folder of them, or a .txt list of them: a row each. May come first,
            without its name.
        methods: NAME=PLACE,NAME=PLACE: a column each, PLACE being a checkpoint or a folder of meshes.
        output: PNG to write; a file of that name is replaced only if this command drew it.
        face: in a photograph with several: largest, or a number from 0, the largest; without it such a
            photograph fails.
        three_quarter: show each face also from the side.
        size: of each picture in pixels.
        unit: of meshes: mm, cm, dm, m, um, inch, a number of millimetres, or auto.
        detector: yunet or mtcnn.
        morphable_model: of the checkpoints, if it lies elsewhere than in training.
    """

    photographs: Path
    methods: str
    output: Path = Path("qualitative.png")
    face: FaceChoice | None = None
    three_quarter: bool = False
    size: PositiveInt = 192
    unit: Unit = "auto"
    detector: DetectorName = "yunet"
    morphable_model: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, draw, report; exit status 0, or 1 where places are empty."""
    with one_sentence_for_bad_input():
        compared, machine = parse_settings(
            (ComparedMethods, Machine), argv, program="qualitative.py", description=str(__doc__),
            leading="photographs",
        )  # fmt: skip
        return WITH_FAILURES if qualitative(compared, machine).failures else COMPLETE


def qualitative(compared: ComparedMethods, machine: Machine) -> WrittenSheet:
    """Draw photographs beside what several methods make of them."""
    machine, photographs, output = machine.resolved(), compared.photographs, compared.output
    places = places_of(compared.methods)
    if compared.face == "all":
        raise ValueError("a row shows one face: give --face largest or a number, not all")
    for place in places.values():
        require_method(place)
    paths = photographs_at(photographs)
    if photographs.is_dir():  # an earlier sheet among them is no photograph
        paths = [path for path in paths if path.resolve() != output.resolve()]
    check_picture(output, COMMAND, [*paths, photographs, *places.values()])
    data = ChosenFaces(
        paths, face=compared.face, detector=compared.detector, cache_folder=machine.cache_folder,
        workers=machine.workers, progress=machine.progress,
    )  # fmt: skip
    checkpoints = {
        name: load_reconstructor(place, morphable_model=compared.morphable_model, device=machine.device)
        for name, place in places.items()
        if place.is_file()
    }
    data.prepare_data()
    data.setup()
    if not len(data.dataset):
        raise ValueError(f"{photographs} shows no face to compare; the reasons are in {data.failures_file()}")
    columns = columns_of(places, checkpoints, data, compared)
    names = names_in(data, photographs)
    with written_atomically(output) as temporary:
        sheet_of(data, names, columns, compared.size).save(temporary, pnginfo=mark_of(COMMAND))
    failures = failures_of(data, names, columns)
    for line in (*failures, f"written: {output}"):
        say(line)
    return WrittenSheet(output, failures)


def require_method(place: Path) -> None:
    """Raise what reading a checkpoint, or listing a folder of meshes, would say later."""
    if place.is_file():
        load_regressor(place)
    else:
        files_by_name(place)


def names_in(data: ChosenFaces, photographs: Path) -> list[str]:
    """The names of the photographs that are shown, by which a method's files are found."""
    root = photographs if photographs.is_dir() else photographs.parent
    return [name_of(data.dataset.path(index), root) for index in range(len(data.dataset))]


def columns_of(
    places: Mapping[str, Path],
    checkpoints: Mapping[str, Reconstructor],
    data: ChosenFaces,
    compared: ComparedMethods,
) -> dict[str, list[SheetPlace]]:
    """What each method shows of each photograph."""
    find, names = load_detector(compared.detector), names_in(data, compared.photographs)
    yaws = (FRONTAL, THREE_QUARTER) if compared.three_quarter else (FRONTAL,)
    given: dict[str, Any] = {"detector": find, "size": compared.size, "yaw_degrees": yaws}
    return {
        name: of_checkpoint(checkpoints[name], data, **given)
        if name in checkpoints
        else of_meshes(place, names, unit=compared.unit, **given)
        for name, place in places.items()
    }


def places_of(methods: str) -> dict[str, Path]:
    """The checkpoint or folder of each method, by name, in order.

    Raises:
        FileNotFoundError: if one does not exist.
        ValueError: if the text is no list NAME=PLACE,NAME=PLACE.
    """
    places: dict[str, Path] = {}
    for item in methods.split(","):
        name, equals, place = (part.strip() for part in item.partition("="))
        if not (name and equals and place) or name in places:
            raise ValueError(
                f"methods must be NAME=PLACE,NAME=PLACE with a name for each, got {item.strip()!r} in "
                f"{methods!r}"
            )
        places[name] = Path(place).expanduser()
        if not places[name].exists():
            raise FileNotFoundError(
                f"{place}, the method {name}, does not exist; expected a checkpoint or a folder of meshes"
            )
    return places


def name_of(path: Path, root: Path) -> str:
    """A photograph's name, by which a method's file is found: below the folder, without suffix."""
    relative = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    return relative.with_suffix("").as_posix()


def sheet_of(
    data: ChosenFaces, names: Sequence[str], columns: dict[str, list[SheetPlace]], size: int
) -> Image.Image:
    """The sheet: a row for each photograph and view."""
    rows: list[list[Image.Image | None]] = []
    every = [cell for cells in columns.values() for cell in cells]
    views = max((len(cell.images) for cell in every if cell.images is not None), default=1)
    for index in range(len(names)):
        cells = [cells[index] for cells in columns.values()]
        for view in range(views):
            shown = [None if cell.images is None else picture(cell.images[view], size) for cell in cells]
            photograph = picture(data.dataset.images([index])[0], size) if view == 0 else None
            rows.append([photograph, *shown])
    footnote = f"{FOOTNOTE} {GREY}" if any(cell.shape_only for cell in every) else FOOTNOTE
    return contact_sheet(rows, columns=["photograph", *columns], footnote=footnote)


def failures_of(data: ChosenFaces, names: Sequence[str], columns: dict[str, list[SheetPlace]]) -> list[str]:
    """A sentence for each photograph that is not shown, and for each empty place."""
    return [
        *(f"failed: {data.paths[index]}: {reason}" for index, reason in data.dataset.faces.failures),
        *(
            f"failed: {method}, {name}: {cell.reason}"
            for method, cells in columns.items()
            for name, cell in zip(names, cells, strict=True)
            if cell.images is None
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
