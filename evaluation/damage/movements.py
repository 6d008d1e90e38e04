"""Movements of faces by damage: arrays over people, as rows, as a table and as figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from pandas import DataFrame, concat
from torch import Tensor

from evaluation.damage.corruptions import CORRUPTIONS, STRENGTHS, Corruption
from evaluation.damage.photograph_pairs import DamagedPeople
from evaluation.damage.responses import Responses, prediction_of
from evaluation.metrics.movement import coefficient_distance, mesh_distance, nearest_is_own, to_the_others
from evaluation.metrics.paired import bootstrap_interval
from evaluation.reporting.blocks import Block, block_of
from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.results import Results, Row
from evaluation.reporting.tables import Layout
from lightning_modules.recognition.similarity import Centre, centred
from lightning_modules.reconstruction import Reconstructor

AT_ONCE = 32
CLEAN, SAME, DIFFERENT = "no damage", "another photograph of the person", "another person"
# Of each person: name in `Movement`, heading and unit in tables.
METRICS = (
    ("shape", "shape", "sd"),
    ("albedo", "albedo", "sd"),
    ("mesh", "mesh", "mm"),
    ("rendering", "to clean rendering", "similarity"),
    ("likeness", "to photograph", "similarity"),
    ("own", "nearest is own", "share"),
    ("found", "found", "share"),
)
# Metrics whose damages have a table, and its heading.
SHOWN = {
    "mesh": "Mean distance of vertices (mm)",
    "to photograph": "Similarity of rendering and photograph",
    "nearest is own": "Faces whose nearest is their own (%)",
    "found": "Faces found (%)",
}


class Movement(NamedTuple):
    """How far the faces of people lie from those of their undamaged photographs, NaN where none is found.

    Attributes:
        name: what was done, or what stands beside it.
        shape: [I], root mean square difference of coefficients in standard deviations.
        albedo: [I], likewise.
        mesh: [I], mean distance of vertices in mm, in the morphable model's own frame.
        rendering: [I], the judge's similarity of the two renderings.
        likeness: [I], the judge's similarity of the rendering to the undamaged photograph.
        own: [I], whether the nearest of all undamaged people's coefficients are the person's own.
        found: [I], whether the face was found.
    """

    name: str
    shape: np.ndarray
    albedo: np.ndarray
    mesh: np.ndarray
    rendering: np.ndarray
    likeness: np.ndarray
    own: np.ndarray
    found: np.ndarray


class _Faces(NamedTuple):
    """Faces of people: coefficients [I, K], vertices [I, V, 3], judged renderings and photographs [I, E]."""

    coefficients: Tensor
    vertices: Tensor
    rendered: Tensor
    photographed: Tensor


@torch.inference_mode()
def movements_of(
    people: DamagedPeople, responses: Mapping[int, Responses], loaded: Reconstructor, centre: Centre | None
) -> list[Movement]:
    """No damage, another photograph of the person, another person, then every damage in order.

    People whose undamaged face is not found again are left out (the caller counts them).

    Args:
        people: whose photographs were damaged.
        responses: by face of the data set.
        loaded: the checkpoint.
        centre: of the judge; None compares plain cosines.
    """
    firsts = [responses[int(face)] for face in people.first]
    kept = [place for place, response in enumerate(firsts) if response.found[0]]
    firsts = [firsts[place] for place in kept]
    clean = _faces(firsts, 0, loaded, centre)
    movements = [
        _movement(CLEAN, clean, clean, np.ones(len(kept), bool), loaded, own=False),
        _different(clean, loaded),
    ]
    if len(people.second):
        seconds = [responses[int(people.second[place])] for place in kept]
        found = np.array([response.found[0] for response in seconds])
        movements.insert(1, _movement(SAME, _faces(seconds, 0, loaded, centre), clean, found, loaded))
    for number, (kind, strength) in enumerate(every_damage(), start=1):
        found = np.array([response.found[number] for response in firsts])
        damaged = _faces(firsts, number, loaded, centre)
        movements.append(_movement(kind.written(strength), damaged, clean, found, loaded))
    return movements


def every_damage() -> Iterator[tuple[Corruption, int]]:
    """Each kind at each strength, in the order of `damaged_faces.versions_of`."""
    return ((kind, strength) for kind in CORRUPTIONS for strength in range(1, STRENGTHS + 1))


def _faces(
    responses: Sequence[Responses], version: int, loaded: Reconstructor, centre: Centre | None
) -> _Faces:
    coefficients = torch.from_numpy(np.stack([response.coefficients[version] for response in responses]))
    vertices = [
        loaded.model.vertices(prediction_of(some, loaded).shape).cpu() for some in coefficients.split(AT_ONCE)
    ]
    rendered, photographed = (
        centred(torch.from_numpy(np.stack(values)), centre)
        for values in (
            [response.rendered[version] for response in responses],
            [response.photographed for response in responses],
        )
    )
    return _Faces(coefficients, torch.cat(vertices), rendered, photographed)


def _movement(
    name: str, faces: _Faces, clean: _Faces, found: np.ndarray, loaded: Reconstructor, *, own: bool = True
) -> Movement:
    """Of faces against the undamaged ones; `own` is False where that means nothing."""
    count = loaded.regressor.shape_count
    values = [
        coefficient_distance(faces.coefficients[:, :count], clean.coefficients[:, :count]),
        coefficient_distance(faces.coefficients[:, count:], clean.coefficients[:, count:]),
        mesh_distance(faces.vertices, clean.vertices),
        (faces.rendered * clean.rendered).sum(1),
        (faces.rendered * clean.photographed).sum(1),
    ]
    shape, albedo, mesh, rendered, photographed = (np.where(found, value.numpy(), np.nan) for value in values)
    nearest = np.full(len(found), np.nan)
    if own:
        places = torch.from_numpy(np.flatnonzero(found))
        nearest[found] = nearest_is_own(faces.coefficients[places], clean.coefficients, places)
    return Movement(name, shape, albedo, mesh, rendered, photographed, nearest, found.astype(float))


def _different(clean: _Faces, loaded: Reconstructor) -> Movement:
    """Of each person against all others, as means."""
    count = loaded.regressor.shape_count
    similarities = (clean.rendered @ clean.rendered.T, clean.rendered @ clean.photographed.T)
    others = len(clean.coefficients) - 1
    nothing = np.full(others + 1, np.nan)
    rendered, photographed = (
        ((matrix.sum(1) - matrix.diagonal()) / others).numpy() for matrix in similarities
    )
    return Movement(
        DIFFERENT,
        to_the_others(clean.coefficients[:, :count], coefficient_distance),
        to_the_others(clean.coefficients[:, count:], coefficient_distance),
        to_the_others(clean.vertices, mesh_distance),
        rendered,
        photographed,
        nothing,
        nothing,
    )


def rows_of(movements: Sequence[Movement], method: str, generator: torch.Generator) -> list[Row]:
    """A row for each movement and metric: the mean over people and its 95 % bootstrap interval."""
    rows = []
    for movement in movements:
        for field, metric, unit in METRICS:
            values = getattr(movement, field)
            values = values[~np.isnan(values)]
            if len(values) > 1:
                interval, mean = bootstrap_interval(values, generator), float(values.mean())
                rows.append(Row(method, movement.name, metric, unit, mean, interval=interval, n=len(values)))
            elif field not in ("own", "found"):
                reason = f"found in {len(values)} photographs"
                rows.append(Row(method, movement.name, metric, unit, None, n=len(values), reason=reason))
    return rows


def blocks_of(results: Results) -> list[Block]:
    """What stands beside the damages, then of each of `SHOWN` a line a kind of damage, a column a strength.

    Intervals and the other metrics are left to the CSV file.
    """
    beside = [row for row in results.rows if row.protocol in (CLEAN, SAME, DIFFERENT)]
    strengths = {kind.written(n): (kind.name, str(n)) for kind, n in every_damage()}
    damaged = [row._replace(interval=None) for row in results.rows if row.protocol in strengths]
    return [
        block_of(beside, "Without damage", corner="Photograph", line=lambda row: row.protocol),
        *(
            block_of(
                [row for row in damaged if row.metric == metric],
                f"{heading}, by strength of damage (1 to {STRENGTHS})",
                corner="Damage",
                line=lambda row: strengths[row.protocol][0],
                column=lambda row: strengths[row.protocol][1],
            )
            for metric, heading in SHOWN.items()
        ),
    ]


LAYOUT = Layout(blocks_of, "photographs")


def table_of(movements: Sequence[Movement], photographs: Sequence[str]) -> DataFrame:
    """A line for each photograph and damage; what was not found stays empty."""
    return concat(
        [
            DataFrame(
                {"photograph": photographs, "damage": movement.name}
                | {field: getattr(movement, field) for field, _, _ in METRICS}
            )
            for movement in movements
        ],
        ignore_index=True,
    )


def figures_of(movements: Sequence[Movement], title: str) -> dict[str, Figure]:
    """For each group of kinds, how far the mesh moves in mm over the strengths."""
    means = {movement.name: float(np.nanmean(movement.mesh)) for movement in movements if _has(movement)}
    references = [
        Line(name, np.array([1, STRENGTHS]), np.full(2, means[name]), dashed=True)
        for name in (DIFFERENT, SAME)
        if name in means
    ]
    strengths = range(1, STRENGTHS + 1)
    figures = {}
    for group in dict.fromkeys(kind.group for kind in CORRUPTIONS):
        lines = [
            Line(
                kind.name,
                np.array(strengths),
                np.array([means.get(kind.written(strength), np.nan) for strength in strengths]),
            )
            for kind in CORRUPTIONS
            if kind.group == group
        ]
        name = f"mesh_{group.replace(' ', '_')}"
        labels = ("strength", "mean distance of vertices (mm)")
        figures[name], axes = line_figure(f"{title}: {group}", *labels, [*lines, *references])
        axes.set_xticks(list(strengths))
    return figures


def _has(movement: Movement) -> bool:
    return not np.isnan(movement.mesh).all()
