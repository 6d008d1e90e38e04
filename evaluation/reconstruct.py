"""From photographs to face files: neutral textured meshes in mm, coefficients and a preview.

    python evaluation/reconstruct.py final.ckpt photograph.jpg --output faces
    python evaluation/reconstruct.py final.ckpt folder --face largest --output faces
    python evaluation/reconstruct.py final.ckpt folder_of_one_person --one-person --output faces
    python evaluation/reconstruct.py final.ckpt video.mp4 --output faces
    python evaluation/reconstruct.py final.ckpt photograph.jpg --blendshapes --texture --viewer --output faces

Writes NAME.glb (metres, as its format has it), NAME.obj and NAME.ply (mm), NAME.json (coefficients and where
they came from) and NAME.png (photograph, front, three-quarter view, profile) for each face; photographs.csv
says what became of each photograph. On request, the .glb also holds named expressions, .glb and .obj have a
texture of the photograph's colours (NAME.mtl, NAME-texture.png), and NAME.html is a page to look at the face.
Of a video one face is made, from the mean features of its frames. The same command continues where it was
stopped, takes up photographs that were added, and leaves finished faces as they are.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
from pandas import DataFrame
from rich.console import Console

from datamodules.alignment.detection import DetectorName
from datamodules.alignment.feature_cache import FaceFeatures
from datamodules.chosen_faces import ChosenFaces, FaceChoice, photographs_at
from datamodules.face_data import FaceDataset
from datamodules.filmed_faces import (
    Filmed,
    FilmedPerson,
    PersonSeen,
    SeenTogether,
    is_video,
    videos_at,
    watched,
)
from datamodules.long_work.progress import progress_bar
from evaluation.metrics.moments import BEYOND
from evaluation.reconstruction.face_extras import ExtraMaker, FaceExtras
from evaluation.reconstruction.face_files import SUFFIXES, FaceFiles
from evaluation.reconstruction.file_names import files_of, names_of
from evaluation.reconstruction.neutral_faces import faces_of
from evaluation.reporting.provenance import checkpoint_entry, provenance
from evaluation.reporting.results import (
    Counts,
    Results,
    Row,
    mark_started,
    plain,
)
from evaluation.reporting.tables import page_of, print_page, say
from evaluation.shared.lifecycle import (
    TABLES,
    WITH_FAILURES,
    Layout,
    Report,
    checked_folder,
    exit_status,
    finished_before,
    write_report,
)
from evaluation.shared.options import NO_SETTING, Machine, Output, settings_of_options
from lightning_modules.checkpoints import load_regressor
from lightning_modules.expected_shape import Geometry
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.failures import counted_by_kind
from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.number_types import PositiveInt
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for

COMMAND = "reconstruct"
LAYOUT = Layout(items="photographs", spread="standard deviation over photographs")
ITEMS = "photographs"
AT_ONCE = 16  # faces that are decoded and rendered together
NAMED_FAILURES = 20  # failed photographs that are named on the screen; photographs.csv names all


class FaceToMake(NamedTuple):
    """A face to make.

    Attributes:
        name: of its files.
        faces: indices into the data set; several of one person, of whom one face is made.
        source: what it is made from, as its coefficients' file says.
        films: of the same person.
    """

    name: str
    faces: list[int]
    source: dict[str, Any]
    films: tuple[FilmedPerson, ...] = ()


@dataclass(frozen=True)
class ReconstructedPhotographs:
    """Which faces of which photographs are reconstructed, by which checkpoint.

    Attributes:
        checkpoint: what ablations/run.py wrote.
        photographs: a photograph, a folder of them (at any depth), or a .txt list of them; likewise videos,
            each of one person, of whom one face is made, from the mean of all frames' features.
        one_person: all photographs and videos show one person: one face, from the mean of their features.
        face: in a photograph with several: largest, all, or a number from 0, the largest; without it such a
            photograph fails. Of a video's frame it is the largest.
        frames: of each video, so many evenly spread, or all.
        detector: yunet or mtcnn.
        geometry: likeness, for pictures: shapes as predicted; or expected, for measuring: as far as trusted.
        preview_size: height of a preview's pictures in pixels.
        morphable_model: where the checkpoint's morphable model lies, if elsewhere than in training:
            such as basel:FILE; the environment variable MORPHABLE_MODEL does the same.
    """

    checkpoint: Path
    photographs: Path
    one_person: bool = False
    face: FaceChoice | None = None
    # A setting of videos alone, so that folders of photographs stay as they are.
    frames: PositiveInt | Literal["all"] = field(default="all", metadata=NO_SETTING)
    detector: DetectorName = "yunet"
    geometry: Geometry = field(default="likeness", metadata=NO_SETTING)
    preview_size: PositiveInt = 288
    morphable_model: str | None = field(default=None, metadata=NO_SETTING)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, reconstruct, report; exit status 0, or 1 where photographs, or textures of them, failed."""
    with one_sentence_for_bad_input():
        chosen, extras, output, machine = parse_settings(
            (ReconstructedPhotographs, FaceExtras, Output, Machine), argv, program="reconstruct.py",
            description=str(__doc__), leading=("checkpoint", "photographs"),
        )  # fmt: skip
        maker = ExtraMaker(extras)
        results = reconstruct(chosen, output, machine, maker)
        return WITH_FAILURES if maker.untextured else exit_status(results)


def reconstruct(
    chosen: ReconstructedPhotographs,
    output: Output,
    machine: Machine,
    maker: ExtraMaker | None = None,
) -> Results:
    """Reconstruct the neutral textured 3D face of each photograph, or of one person in several."""
    maker = ExtraMaker(FaceExtras()) if maker is None else maker
    machine, checkpoint, photographs = machine.resolved(), chosen.checkpoint, chosen.photographs
    load_regressor(checkpoint)
    paths, videos = places_of(photographs)
    if videos and chosen.face not in (None, "largest"):
        raise ValueError(f"{videos[0]} shows one person, the largest face; leave --face {chosen.face} out")
    if chosen.one_person and chosen.face == "all":
        raise ValueError("--one-person takes one face of each photograph; give another --face than all")
    settings = plain(
        settings_of_options(chosen)
        | {"checkpoint": sha256_of_file(checkpoint), "photographs": photographs.resolve()}
        | ({"frames": chosen.frames} if videos else {})
        | ({"geometry": chosen.geometry} if chosen.geometry != "likeness" else {})
        | maker.settings
    )
    places = [photographs, *paths, *videos, maker.chosen.landmark_model]
    inputs = [*read_for(checkpoint, chosen.morphable_model), *places]
    folder = checked_folder(COMMAND, settings, inputs=inputs, output=output)
    results = finished_before(folder, settings, overwrite=output.overwrite)

    def load() -> Reconstructor:
        loaded = load_reconstructor(
            checkpoint,
            morphable_model=chosen.morphable_model,
            device=machine.device,
            geometry=chosen.geometry,
        )
        maker.prepare(loaded)
        return loaded

    # A wrong one is told before photographs are aligned.
    loaded = load() if results is None or videos else None
    data = ChosenFaces(
        paths, face=chosen.face, detector=chosen.detector, cache_folder=machine.cache_folder,
        workers=machine.workers, progress=machine.progress,
    )  # fmt: skip
    if paths:
        data.prepare_data()
    data.setup()
    filmed = Filmed([], [])
    if loaded is not None and videos:
        filmed = watched(
            videos, loaded.encoder, frames=None if chosen.frames == "all" else chosen.frames,
            detector=chosen.detector, cache_folder=machine.cache_folder, workers=machine.workers,
            progress=machine.progress,
        )  # fmt: skip
    items = items_of(data, filmed, photographs, settings, maker)
    files = {item.name: FaceFiles(folder, item.name, maker.endings) for item in items}
    missing = [item for item in items if output.overwrite or not files[item.name].finished_from(item.source)]
    if results is None or missing or results.counts != counts_of(data, filmed):
        loaded = load() if loaded is None else loaded
        say(folder.begin(overwrite=output.overwrite, older=(*TABLES, f"{ITEMS}.csv")))
        mark_started(folder, settings)
        make(missing, data, loaded, files, chosen.preview_size, maker)
        documents = [files[item.name].document() for item in items]
        results = results_of(documents, data, filmed, loaded, settings, checkpoint)
        write_report(Report(results, {ITEMS: table_of(data, filmed, items)}), folder, LAYOUT)
    tell(results, data, filmed, folder.path, maker.endings)
    maker.find_untextured(files.values())
    for name, reason in maker.untextured.items():
        say(f"no photograph in the texture of {name}: {reason}")
    return results


def places_of(photographs: Path) -> tuple[list[Path], list[Path]]:
    """The photographs and the videos at a place.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if a folder or list holds neither.
    """
    videos = videos_at(photographs)
    try:
        named = photographs_at(photographs)
    except ValueError:
        if not videos:
            raise
        named = []
    found = [*(path for path in named if is_video(path)), *videos]
    return [path for path in named if not is_video(path)], list(dict.fromkeys(found))


def items_of(
    data: ChosenFaces,
    filmed: Filmed,
    photographs: Path,
    settings: Mapping[str, Any],
    maker: ExtraMaker,
) -> list[FaceToMake]:
    """The faces to make: one for each chosen face and each video, or one for all of one person."""
    faces = data.dataset.faces
    root = photographs if photographs.is_dir() else photographs.parent
    everywhere = [*data.paths, *(person.path for person in filmed.people)]
    files = dict(zip(everywhere, files_of(everywhere, root), strict=True))
    sources = [
        {
            "file": files[data.dataset.path(index)],
            "sha256": faces.digest[index].tobytes().hex(),
            "face": int(faces.face[index]),
        }
        for index in range(len(data.dataset))
    ]
    films = [
        {
            "file": files[person.path],
            "sha256": sha256_of_file(person.path),
            "frames": person.seen.total,
            "used": len(person),
        }
        for person in filmed.people
    ]
    made_by = {name: settings[name] for name in ("checkpoint", "detector", "geometry") if name in settings}
    made_by |= {"extras": maker.settings} if maker.settings else {}
    endings = (*SUFFIXES, *maker.endings)
    if settings["one_person"]:
        everything = list(range(len(sources)))
        name = names_of([(photographs.resolve().name, 0)], False, endings)[0]
        source = {"photographs": sources} | ({"videos": films} if films else {}) | made_by
        return [FaceToMake(name, everything, source, tuple(filmed.people))] if sources or films else []
    named = [(source["file"], source["face"]) for source in sources] + [(film["file"], 0) for film in films]
    names = names_of(named, settings["face"] == "all", endings)
    made = [
        FaceToMake(name, [index], {"photographs": [source]} | made_by)
        for index, (name, source) in enumerate(zip(names, sources, strict=False))
    ]
    return made + [
        FaceToMake(name, [], {"videos": [film]} | made_by, (person,))
        for name, film, person in zip(names[len(sources) :], films, filmed.people, strict=True)
    ]


def make(
    items: Sequence[FaceToMake],
    data: ChosenFaces,
    loaded: Reconstructor,
    files: Mapping[str, FaceFiles],
    preview_size: int,
    maker: ExtraMaker,
) -> None:
    """Write the files of these faces, some at a time."""
    encoder, everyone = loaded.encoder, data.dataset
    wanted = np.array(sorted({index for item in items for index in item.faces}), np.int64)
    FaceFeatures(data.cache, encoder).compute(
        data.cache, everyone.faces.subset(wanted), encoder, progress=data.progress
    )
    with progress_bar("Faces", len(items), visible=data.progress) as advance:
        for start in range(0, len(items), AT_ONCE):
            batch = items[start : start + AT_ONCE]
            datasets: list[PersonSeen] = []
            for item in batch:
                own = everyone.faces.subset(np.array(item.faces, np.int64))
                seen = FaceDataset(data.cache, everyone.paths, own, [encoder])
                datasets.append(SeenTogether([seen, *item.films]) if item.films else seen)
            faces = faces_of(datasets, loaded, preview_size)
            for item, person, face in zip(batch, datasets, faces, strict=True):
                extra = maker.of(face, person, loaded, f"{item.name}: neutral face")
                files[item.name].write(face.mesh, face.preview, face.coefficients, item.source, extra)
                advance(1)


def failures_of(data: ChosenFaces, filmed: Filmed) -> list[tuple[Path, str]]:
    """Photographs and videos that cannot be used, with the reason."""
    return [(data.paths[index], reason) for index, reason in data.dataset.faces.failures] + filmed.failures


def counts_of(data: ChosenFaces, filmed: Filmed) -> Counts:
    """Photographs and videos that were used, and why the others were not."""
    failures, total = failures_of(data, filmed), len(data.paths) + filmed.total
    return Counts(total, total - len(failures), counted_by_kind(reason for _, reason in failures))


def table_of(data: ChosenFaces, filmed: Filmed, items: Sequence[FaceToMake]) -> DataFrame:
    """What became of each photograph: a line for each face that was made, and for each failure."""
    used: list[tuple[str, int | None, str, str]] = [
        (str(data.dataset.path(index)), int(data.dataset.faces.face[index]), item.name, "")
        for item in items
        for index in item.faces
    ]
    used += [(str(film.path), None, item.name, "") for item in items for film in item.films]
    failed = [(str(path), None, None, reason) for path, reason in failures_of(data, filmed)]
    frame = DataFrame([*used, *failed], columns=["photograph", "face", "name", "failure"])
    return frame.astype({"face": "Int64"}).sort_values(["photograph", "face"], ignore_index=True)


def results_of(
    documents: Sequence[Any],
    data: ChosenFaces,
    filmed: Filmed,
    loaded: Reconstructor,
    settings: Mapping[str, Any],
    checkpoint: Path,
) -> Results:
    """What can be said without knowing the people: whether coefficients look drawn from the prior."""
    rows = []
    for part in ("shape", "albedo"):
        values = np.array([document[part] for document in documents])
        size, beyond = f"{part}, root mean square (1 expected)", f"{part}, beyond {BEYOND:g} deviations"
        rows += [
            row_of(size, "standard deviations", values**2, np.sqrt),
            row_of(beyond, "share", abs(values) > BEYOND),
        ]
    return Results(
        command=COMMAND,
        title=f"Coefficients of neutral faces by {checkpoint.name}",
        settings=settings,
        counts=counts_of(data, filmed),
        rows=[row._replace(method=checkpoint.stem) for row in rows],
        provenance=provenance(
            checkpoint=checkpoint_entry(checkpoint.name, settings["checkpoint"], loaded.content),
            data=data.provenance() | ({"videos": len(filmed.people)} if filmed.total else {}),
        ),
    )


def row_of(
    metric: str,
    unit: str,
    values: np.ndarray,
    of_mean: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> Row:
    """A row of faces' means over coefficients [N, K]: their mean and standard deviation over faces."""
    row = Row("", "photographs", metric, unit, None, n=len(values), reason="no face")
    if len(values) == 0:
        return row
    each = of_mean(values.mean(1))
    sd = float(each.std(ddof=1)) if len(each) > 1 else None
    return row._replace(value=float(each.mean()), sd=sd, reason=None)


def tell(
    results: Results, data: ChosenFaces, filmed: Filmed, folder: Path, more: tuple[str, ...] = ()
) -> None:
    """Print the table, the photographs that failed, and where everything is."""
    print_page(page_of(results, LAYOUT), Console())
    failures = failures_of(data, filmed)
    lines = [f"failed: {path}: {reason}" for path, reason in failures[:NAMED_FAILURES]]
    if len(failures) > NAMED_FAILURES:
        lines.append(f"and {len(failures) - NAMED_FAILURES:,} more, named in {folder / 'photographs.csv'}")
    lines.append(
        f"written: {folder}: of each face NAME{', NAME'.join((*SUFFIXES, *more))}; photographs.csv, "
        "results.json"
    )
    for line in lines:
        say(line)


if __name__ == "__main__":
    sys.exit(main())
