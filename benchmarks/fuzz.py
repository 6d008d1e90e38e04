"""Damages files of every kind that commands read, and counts what their readers make of them.

    python benchmarks/fuzz.py --files 2000 --seed 0

Each file is a whole one with some of its bytes changed, cut, repeated or replaced; which and how follows from
the seed and the file's number. A reader must read it, or refuse it in one sentence (ValueError, OSError or
ImportError). Anything else is a traceback; more than SECONDS is a hang; more than MEGABYTES is too much
memory. Writes fuzz.md beside this file, and leaves it as it was if it is told --output elsewhere.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
import trimesh
from PIL import Image

from datamodules.alignment.images import read_list, read_photograph
from datamodules.alignment.records import FaceRecords
from datamodules.lfw_lists import read_pairs, read_people
from datamodules.long_work.row_files import RowFiles
from evaluation.groups.label_files import read_labels
from evaluation.reconstruction.face_files import FaceFiles
from evaluation.reporting.results import finished_results
from evaluation.scans.records import ScoreRecord, read_records, write_records
from evaluation.shared.data_places import read_configuration
from lightning_modules.checkpoint_files import write_sealed
from lightning_modules.checkpoints import KEY, checkpoint_content, read_checkpoint
from lightning_modules.faces.landmarks.image_landmark_files import read_image_landmarks
from lightning_modules.faces.landmarks.mesh_landmark_files import read_marked_points
from lightning_modules.faces.loaders.basel import load_basel, save_basel
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from lightning_modules.plain.command_line import in_one_sentence
from lightning_modules.plain.manifests import read_manifest
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.yaml_options import options_in_file
from lightning_modules.regressor import Regressor
from tests import miniatures

SECONDS, MEGABYTES = 20, 2048
AT_ONCE = 50  # files of one process
REFUSALS = (ValueError, OSError, ImportError)
Read = Callable[[Path], Any]
Write = Callable[[Path], Any]


class Kind(NamedTuple):
    """A kind of files.

    Attributes:
        name: of the file, with the suffix by which it is read.
        write: writes a whole one.
        read: what a command does with it.
    """

    name: str
    write: Write
    read: Read


class Outcome(NamedTuple):
    """What became of one file: read, refused, traceback, hang or memory, and the details of a fault."""

    kind: str
    number: int
    result: str
    detail: str = ""


def kinds() -> list[Kind]:
    """Every kind of files that a command reads, apart from weights of networks and films."""
    vertices = torch.from_numpy(trimesh.creation.icosphere(3, 90.0).vertices)

    def folder_of(read: Read) -> Read:
        return lambda file: read(file.parent)

    return [
        Kind("run.ckpt", write_checkpoint, read_checkpoint),
        Kind("model.h5", lambda file: save_basel(miniatures.small_model(), file), load_basel),
        *(
            Kind(f"mesh.{suffix}", lambda file: write_mesh(file), read_mesh_in_mm)
            for suffix in ("obj", "ply", "glb")
        ),
        Kind("textured.glb", write_textured_mesh, read_mesh_in_mm),
        *(
            Kind(f"photograph.{suffix}", write_image, read_photograph)
            for suffix in ("jpg", "png", "bmp", "gif", "tif", "webp")
        ),
        *(
            Kind(f"picture.{suffix}", lambda file: write_points(file, 2), read_image_landmarks)
            for suffix in ("txt", "npy", "pts", "ljson", "json", "csv")
        ),
        *(
            Kind(
                f"scan.{suffix}",
                lambda file: write_points(file, 3),
                lambda file: read_marked_points(file, vertices),
            )
            for suffix in ("txt", "npy", "ljson", "json", "csv", "pp")
        ),
        *(
            Kind(name, write_textured, folder_of(lambda folder: read_mesh_in_mm(folder / "mesh.obj")))
            for name in ("material.mtl", "texture.png")
        ),
        Kind(
            "a.json",
            lambda file: file.write_text(
                '{"shape": [0.5, -1], "albedo": [1e-3], "source": {"name": "a.jpg"}}'
            ),
            folder_of(lambda folder: FaceFiles(OutputFolder(folder, "reconstruct"), "a").document()),
        ),
        Kind("results.json", write_results, folder_of(lambda folder: finished_results(folder, "a", {}))),
        Kind(
            "started.json",
            lambda file: file.write_text('{"command": "a", "settings": {"b": [1, 2, {"c": null}]}}'),
            folder_of(lambda folder: finished_results(folder, "a", {"b": [1, 2, {"c": None}]})),
        ),
        Kind(
            "records.json",
            lambda file: write_records([ScoreRecord("a", "b", "c", "d", "e", 1.0, 0.5)], file),
            read_records,
        ),
        Kind("config.yaml", lambda file: file.write_text("lfw: /a\nmicc: /b\n"), read_configuration),
        Kind(
            "options.yaml", lambda file: file.write_text("seed: 3\ntrainer:\n  x: [1, 2]\n"), options_in_file
        ),
        Kind(
            ".written",
            lambda file: file.write_text('{"command": "a"}\n{"file": "b/c.png"}\n{"folder": "b"}\n'),
            folder_of(read_manifest),
        ),
        Kind("people.txt", lambda file: file.write_text("2\nAnna\t3\nBob\t1\n"), read_people),
        Kind("pairs.txt", lambda file: file.write_text(PAIRS), read_pairs),
        Kind("list.txt", lambda file: file.write_text("# some\na.png\nb/c.jpg\n"), read_list),
        Kind("labels.csv", lambda file: file.write_text("name,tone\nAnna,3\nBob,1\n"), read_labels),
        Kind("records.sqlite", write_records_of_faces, lambda file: FaceRecords(file).__exit__()),
        Kind("features.bin", write_rows, folder_of(read_rows)),
    ]


PAIRS = "1\t2\nAnna\t1\t2\nBob\t1\t3\nAnna\t1\tBob\t1\nAnna\t2\tBob\t3\n"
COLUMNS = {"features": np.dtype((np.float32, 8))}


def write_checkpoint(file: Path) -> None:
    """A small checkpoint, as a run writes it."""
    regressor = Regressor(20, 4, 3, hidden_width=16)
    content = checkpoint_content(
        stage=1, regressor=regressor, model=miniatures.small_model(),
        networks={"encoder": miniatures.SmallNetwork(1)}, centres={}, settings={"seed": 1},
    )  # fmt: skip
    weights = {f"regressor.{name}": value for name, value in regressor.state_dict().items()}
    write_sealed({"state_dict": weights, "global_step": 1, KEY: content}, file)


def write_mesh(file: Path) -> None:
    """A sphere of a head's size."""
    sphere = trimesh.creation.icosphere(3, 90.0)
    sphere.visual.vertex_colors = np.full((len(sphere.vertices), 4), 200, np.uint8)
    sphere.export(file)


def write_textured_mesh(file: Path) -> None:
    """A sphere of a head's size in one file with its picture."""
    sphere = trimesh.creation.icosphere(1, 90.0)
    places = sphere.vertices[:, :2] / 180 + 0.5
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    sphere.visual = trimesh.visual.TextureVisuals(places, image=Image.fromarray(pixels))
    sphere.export(file)


def write_textured(file: Path) -> None:
    """A material library and a texture, beside the triangle that they colour."""
    file.with_name("mesh.obj").write_text(
        "mtllib material.mtl\nusemtl skin\nv 0 0 0\nv 180 0 0\nv 0 180 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
        "f 1/1 2/2 3/3\n"
    )
    file.with_name("material.mtl").write_text("newmtl skin\nKd 0.8 0.6 0.5\nmap_Kd -s 1 1 1 texture.png\n")
    write_image(file.with_name("texture.png"))


def write_image(file: Path) -> None:
    """Noise of 96 x 64 pixels."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(file)


def write_points(file: Path, dimensions: int) -> None:
    """The 68 points of iBUG."""
    points = np.random.default_rng(0).uniform(5, 60, (68, dimensions))
    values = points.round(3).tolist()
    if file.suffix == ".npy":
        np.save(file, points)
    elif file.suffix == ".json":
        file.write_text(str(values))
    elif file.suffix == ".csv":
        rows = (",".join(map(str, value)) for value in values)
        file.write_text("\n".join([",".join("xyz"[:dimensions]), *rows]) + "\n")
    elif file.suffix == ".pp":
        picked = (
            f'<point name="{n}" active="1" x="{x}" y="{y}" z="{z}"/>' for n, (x, y, z) in enumerate(values)
        )
        file.write_text(f"<!DOCTYPE PickedPoints>\n<PickedPoints>{''.join(picked)}</PickedPoints>\n")
    elif file.suffix == ".ljson":
        file.write_text(f'{{"version": 2, "landmarks": {{"points": {values}}}, "labels": []}}')
    else:
        lines = "\n".join(" ".join(f"{value:.3f}" for value in point) for point in points)
        head = "version: 1\nn_points: 68\n{\n" if file.suffix == ".pts" else ""
        file.write_text(head + lines + ("\n}\n" if head else "\n"))


def write_results(file: Path) -> None:
    """Results without a row."""
    file.write_text(
        '{"schema": 1, "command": "a", "stand_in": false, "title": "t", "settings": {}, '
        '"provenance": {"commit": null, "versions": {"torch": "2"}}, '
        '"counts": {"total": 3, "used": 2, "failed": {"no face": 1}}, "rows": []}'
    )


def write_records_of_faces(file: Path) -> None:
    """Records of no photograph."""
    with FaceRecords(file):
        pass


def write_rows(file: Path) -> None:
    """Five rows of features."""
    with RowFiles(file.parent, COLUMNS, numbers=("features",)).appending() as append:
        append(features=np.arange(1, 41, dtype=np.float32).reshape(5, 8))


def read_rows(folder: Path) -> None:
    """What a cache does before it is used; damage is put aside."""
    with RowFiles(folder, COLUMNS, numbers=("features",)).appending():
        pass


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """The content with one to four damages."""
    for _ in range(int(generator.integers(1, 5))):
        size = max(1, len(content))
        start, stop = sorted(int(place) for place in generator.integers(0, size, 2))
        kind = int(generator.integers(0, 8))
        if kind == 0:
            changed = bytearray(content or b"\0")
            changed[start % len(changed)] ^= 1 << int(generator.integers(0, 8))
            content = bytes(changed)
        elif kind == 1:
            content = content[:start]
        elif kind == 2:
            content = content[:start] + content[stop:]
        elif kind == 3:
            content = content[:start] + content[start:stop] * int(generator.integers(2, 6)) + content[stop:]
        elif kind == 4:
            noise = generator.bytes(int(generator.integers(1, 64)))
            content = content[:start] + noise + content[start + len(noise) :]
        elif kind == 5:
            content = content[:start] + bytes(stop - start) + content[stop:]
        else:
            word = WORDS[int(generator.integers(0, len(WORDS)))]
            content = content[:start] + word + content[start + (len(word) if kind == 6 else 0) :]
    return content


# What parsers stumble over.
WORDS = (
    b"null", b"NaN", b"-inf", b"1e999", b"-1", b"99999999999999999999", b"\xff\xff\xff\xff", b"\0\0\0\0",
    b"\x7f\xff\xff\xff", b"{", b"[" * 3000, b'"', b"\n", b"\r\n", b"\t", b"\xef\xbb\xbf", b"\xff\xfe", b"*a0",
    b"../../etc/passwd", b"f 1/2/3 999999999999 -5", b"v nan nan nan", b"end_header", b"list uchar int",
)  # fmt: skip


def examine(kind: Kind, numbers: range, seed: int, results: Any) -> None:  # noqa: ANN401 - a queue
    """Read some mutated files of one kind, in a process of its own whose memory is limited."""
    sys.stdout = sys.stderr = open("/dev/null", "w")  # noqa: SIM115 - until the process ends
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place, "whole", kind.name)
        whole.parent.mkdir()
        kind.write(whole)
        beside = [path for path in whole.parent.iterdir() if path != whole]
        content = whole.read_bytes()
        kind.read(whole)  # a whole one must be read
        started = peak_megabytes()
        for number in numbers:
            folder = Path(place, str(number))
            folder.mkdir()
            for path in beside:
                (folder / path.name).write_bytes(path.read_bytes())
            generator = np.random.default_rng([seed, number, *kind.name.encode()])
            (folder / kind.name).write_bytes(mutated(content, generator))
            results.put(("begin", number, "", ""))
            try:
                kind.read(folder / kind.name)
                result, detail = "read", ""
            except REFUSALS as error:
                result, detail = "refused", in_one_sentence(error)
            except BaseException:
                result, detail = "traceback", traceback.format_exc()
            if result == "refused" and ("Traceback" in detail or len(detail) > 1500):
                result = "traceback"
            used = peak_megabytes() - started
            if used > MEGABYTES:
                result, detail = "memory", f"{used:.0f} MB"
            results.put(("end", number, result, detail))


def peak_megabytes() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outcomes(kind: Kind, count: int, seed: int) -> Iterator[Outcome]:
    """What became of each of a kind's files; a process that hangs is ended, and the next file begun."""
    context = multiprocessing.get_context("fork")
    first = 0
    while first < count:
        results = context.Queue()
        numbers = range(first, min(first + AT_ONCE, count))
        process = context.Process(target=examine, args=(kind, numbers, seed, results))
        process.start()
        done, limit = first, time.monotonic() + 6 * SECONDS
        while done < numbers.stop:
            try:
                word, number, result, detail = results.get(timeout=0.5)
            except Exception:
                dead = not process.is_alive()
                if not dead and time.monotonic() < limit:
                    continue
                process.kill()
                yield Outcome(
                    kind.name, done, "traceback" if dead else "hang", "the process died" if dead else ""
                )
                done += 1
                break
            limit = time.monotonic() + SECONDS
            if word == "end":
                yield Outcome(kind.name, number, result, detail)
                done = number + 1
        process.join(SECONDS)
        first = done


def table(found: list[Outcome], seed: int, minutes: float) -> str:
    """What is committed: a line a kind."""
    names = ("read", "refused", "traceback", "hang", "memory")
    lines = [
        "# Damaged files of every kind", "",
        f"`python benchmarks/fuzz.py --files {len(found)} --seed {seed}`: {len(found):,} mutated files in "
        f"{minutes:.0f} minutes.", "",
        f"A file is read, or refused in one sentence; more than {SECONDS} s is a hang, {MEGABYTES:,} MB more "
        "than before too much memory.", "",
        f"| kind | files | {' | '.join(names)} |", f"|---|{'---:|' * (len(names) + 1)}",
    ]  # fmt: skip
    everything: Counter[str] = Counter()
    for kind in dict.fromkeys(outcome.kind for outcome in found):
        counts = Counter(outcome.result for outcome in found if outcome.kind == kind)
        everything += counts
        lines.append(f"| {kind} | {counts.total()} | {' | '.join(str(counts[name]) for name in names)} |")
    lines.append(f"| all | {len(found)} | {' | '.join(str(everything[name]) for name in names)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Damage, read, count; 1 where a reader failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="mutated files of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    chosen = [kind for kind in kinds() if given.only in kind.name]
    shares = [given.files // len(chosen) + (n < given.files % len(chosen)) for n in range(len(chosen))]
    began, found = time.monotonic(), []
    for kind, count in zip(chosen, shares, strict=True):
        for outcome in outcomes(kind, count, given.seed):
            found.append(outcome)
            if outcome.result not in ("read", "refused"):
                print(f"{outcome.kind} {outcome.number}: {outcome.result}\n{outcome.detail}", flush=True)
    given.output.write_text(table(found, given.seed, (time.monotonic() - began) / 60))
    print(table(found, given.seed, (time.monotonic() - began) / 60))
    return int(any(outcome.result not in ("read", "refused") for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
