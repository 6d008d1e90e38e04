"""People for stand-in scans: faces outside the morphable model, and a scanner that sees them imperfectly."""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial.transform import Rotation
from scipy.special import expit

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.normals import normals_in_torch
from lightning_modules.faces.open_model.build import draw_shapes, read_head
from lightning_modules.rendering.barycentrics import barycentrics
from lightning_modules.rendering.rasterizer import rasterize

# The recipe's sliders, this much wider: people that its statistics hardly know.
WIDENED = 1.25
# Of the displacement that no coefficient of the model makes: its size over the face, and how far apart its
# bumps lie. Shorter ones would be noise, longer ones the model's own.
DISPLACEMENT_MM, BUMP_MM, WAVES = 1.0, 11.0, 256
FACE_RADIUS_MM = 95.0  # around the nose tip, where the displacement's size is measured
NOSE_TIP, NASION = 30, 27

# The scanner turns round a vertical axis inside the head and keeps the outermost surface.
AXIS_DEPTH_MM = 80.0  # behind the nose tip
GRID_MM = 0.95  # between its points, at RADIUS_MM from the axis
RADIUS_MM, LARGEST_RADIUS_MM = 78.0, 200.0
HALF_TURN_DEGREES = 105.0
LONGEST_EDGE_MM = 5.0  # where neighbours lie farther apart, it saw two surfaces and leaves a gap
WHITE_NOISE_MM, SMOOTH_NOISE_MM = 0.06, 0.12
SPIKE_SHARE, SPIKE_MM = 0.0006, (2.0, 8.0)
HOLES, HOLE_MM = (4, 9), (1.5, 7.0)
HAIR_MM, HAIR_ROUGHNESS_MM = (4.0, 16.0), 2.5
STRANDS, STRAND_WIDTH_MM = (2, 7), 1.6
TILT_DEGREES, SHIFT_MM = 8.0, 30.0
MARKING_ERROR_MM = 0.8  # of each coordinate of the landmarks, as of a hand


class Scanned(NamedTuple):
    """A scan: a coloured mesh in its own pose, mm, and its 68 marked landmarks [68, 3]."""

    mesh: Mesh
    landmarks: NDArray[np.float64]


class _Grid(NamedTuple):
    """What the scanner sees at each of its rows and columns.

    Attributes:
        points: [H, W, 3] mm, NaN where it sees nothing.
        colours: [H, W, 3].
        outward: [W, 3], away from the axis.
    """

    points: NDArray[np.float64]
    colours: NDArray[np.float64]
    outward: NDArray[np.float64]


# ---------------------------------------------------------------------- people


def draw_people(count: int, seed: int, model: MorphableModel) -> NDArray[np.float64]:
    """Neutral faces [N, V, 3] mm in the open model's topology that its coefficients cannot make.

    Args:
        count: N.
        seed: of the people; each depends on N, too.
        model: the open model, whose basis the displacement is kept out of.
    """
    source = read_head(1)
    drawn, bumps = np.random.default_rng(seed).spawn(2)
    people = draw_shapes(count, drawn, source, widened=WIDENED)
    vertices = np.stack([source.head.matrix @ person for person in people])
    nose = model.landmarks.on(torch.from_numpy(vertices).float())[:, NOSE_TIP].numpy()
    vertices = vertices - nose[:, None]
    return vertices + displacements(vertices, bumps, model)


def displacements(
    vertices: NDArray[np.float64], chance: np.random.Generator, model: MorphableModel
) -> NDArray[np.float64]:
    """Smooth random displacements [N, V, 3] of faces, across their surfaces and outside the model's basis.

    Their root mean square over each face is DISPLACEMENT_MM.
    """
    count = len(vertices)
    waves = chance.normal(size=(count, 3, WAVES)) / BUMP_MM
    phases = chance.uniform(0, 2 * np.pi, (count, 1, WAVES))
    heights = np.stack([np.cos(v @ w + p).mean(1) for v, w, p in zip(vertices, waves, phases, strict=True)])
    normals = normals_in_torch(torch.from_numpy(vertices), model.triangles)
    flat = (torch.from_numpy(heights)[..., None] * normals).flatten(1).float()
    basis = model.components("shape").basis
    bumps = (flat - flat @ basis @ basis.T).double().numpy().reshape(vertices.shape)
    face = np.linalg.norm(vertices, axis=2) < FACE_RADIUS_MM  # [N, V]
    squares = (bumps**2).sum(2)
    size = np.sqrt((squares * face).sum(1) / face.sum(1))
    return DISPLACEMENT_MM / size[:, None, None] * bumps


# ---------------------------------------------------------------------- the scanner


def scan(
    vertices: NDArray[np.float64],
    albedo: NDArray[np.float64],
    hair: NDArray[np.float64],
    model: MorphableModel,
    chance: np.random.Generator,
) -> Scanned:
    """A scan of a face: another topology, noise, holes, hair, a pose of its own, landmarks marked by hand.

    Args:
        vertices: [V, 3] mm, nose tip at the origin.
        albedo: [V, 3], sRGB.
        hair: [3], its colour, sRGB.
        model: gives topology and landmarks.
        chance: to draw from.
    """
    triangles = model.triangles.numpy()
    # Loop's subdivision: facets of the model's size would be its own topology again.
    fine, fine_triangles = trimesh.remesh.subdivide_loop(vertices, triangles, iterations=1)
    colours, _ = trimesh.remesh.subdivide_loop(albedo, triangles, iterations=1)
    marks = model.landmarks.on(torch.from_numpy(vertices)[None])[0].numpy()
    grid = _seen_from_around(fine, fine_triangles, colours)
    grid = _with_hair(grid, marks, hair, chance)
    grid = grid._replace(points=_pierced(_noisy(grid, chance), chance))
    points, triangles, colours = _meshed(grid)
    strands = [_strand(grid, marks, chance) for _ in range(chance.integers(*STRANDS))]
    for strand in strands:
        ids = np.arange(len(strand))
        ribbon = np.stack([ids[:-2], ids[1:-1], ids[2:]], 1) + len(points)
        points, triangles = np.concatenate([points, strand]), np.concatenate([triangles, ribbon])
        colours = np.concatenate([colours, np.tile(hair, (len(strand), 1))])
    turn = Rotation.from_rotvec(np.radians(chance.uniform(-TILT_DEGREES, TILT_DEGREES, 3)))
    shift = chance.uniform(-SHIFT_MM, SHIFT_MM, 3)
    marks = marks + chance.normal(0, MARKING_ERROR_MM, marks.shape)
    mesh = Mesh(
        torch.from_numpy((turn.apply(points) + shift).astype(np.float32)),
        torch.from_numpy(triangles),
        torch.from_numpy(colours.clip(0, 1).astype(np.float32)),
    )
    return Scanned(mesh, turn.apply(marks) + shift)


def _seen_from_around(vertices: NDArray, triangles: NDArray, colours: NDArray) -> _Grid:
    """The outermost surface on a grid of angles and heights."""
    angles = np.arctan2(vertices[:, 0], vertices[:, 2] + AXIS_DEPTH_MM)
    radii = np.hypot(vertices[:, 0], vertices[:, 2] + AXIS_DEPTH_MM)
    half = np.radians(HALF_TURN_DEGREES)
    width = int(2 * half * RADIUS_MM / GRID_MM)
    top, bottom = vertices[:, 1].max(), vertices[:, 1].min()
    height = int((top - bottom) / GRID_MM)
    columns = (angles + half) / (2 * half) * (width - 1)
    rows = (top - vertices[:, 1]) / GRID_MM
    depth = LARGEST_RADIUS_MM - radii
    # A triangle across the back, where the angle jumps, would cover everything.
    whole = np.ptp(angles[triangles], axis=1) < 1.0
    positions = torch.from_numpy(np.stack([columns * depth, rows * depth, depth], -1))
    kept = torch.from_numpy(np.ascontiguousarray(triangles[whole]))
    ids = rasterize(positions[None].float(), kept, (height, width), backend="numba")[0].long()
    seen_rows, seen_columns = torch.nonzero(ids >= 0, as_tuple=True)
    corners = kept[ids[seen_rows, seen_columns]]
    weights = barycentrics(positions[corners], torch.stack([seen_columns, seen_rows], -1)).numpy()
    points, shades = np.full((2, height, width, 3), np.nan)
    for target, source in ((points, vertices), (shades, colours)):
        values = (weights[..., None] * source[corners.numpy()]).sum(1)
        target[seen_rows.numpy(), seen_columns.numpy()] = values
    turns = np.linspace(-half, half, width)
    return _Grid(points, shades, np.stack([np.sin(turns), 0 * turns, np.cos(turns)], -1))


def _with_hair(grid: _Grid, marks: NDArray, colour: NDArray, chance: np.random.Generator) -> _Grid:
    """Hair above the forehead and beside the temples, as a rough raised surface."""
    across, up, front = np.moveaxis(grid.points, -1, 0)
    line = marks[NASION, 1] + chance.uniform(40, 58)
    sides = chance.uniform(0.25, 0.9) * np.maximum(marks[NASION, 2] - 35 - front, 0)
    wave = 3 * np.sin(across / chance.uniform(6, 20) + chance.uniform(0, 6))
    covered = np.nan_to_num(expit((up + sides + wave - line) / 2.0))
    rough = gaussian_filter(chance.normal(size=covered.shape), 1.2)
    raised = chance.uniform(*HAIR_MM) + HAIR_ROUGHNESS_MM / rough.std() * rough
    points = grid.points + (covered * np.maximum(raised, 0))[..., None] * grid.outward
    grain = chance.normal(1, 0.15, covered.shape)[..., None]
    return grid._replace(
        points=points, colours=grid.colours + covered[..., None] * (grain * colour - grid.colours)
    )


def _noisy(grid: _Grid, chance: np.random.Generator) -> NDArray:
    """The points with noise along the scanner's ray: each point's own, neighbours' shared, a few spikes."""
    shape = grid.points.shape[:2]
    shared = gaussian_filter(chance.normal(size=shape), 4.0)
    noise = WHITE_NOISE_MM * chance.normal(size=shape) + SMOOTH_NOISE_MM / shared.std() * shared
    spikes = chance.uniform(size=shape) < SPIKE_SHARE
    sizes = chance.uniform(*SPIKE_MM, shape) * chance.choice([-1, 1], shape)
    return grid.points + np.where(spikes, sizes, noise)[..., None] * grid.outward


def _pierced(points: NDArray, chance: np.random.Generator) -> NDArray:
    """The points with some holes of irregular rim, seen nowhere."""
    height, width = points.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    rim = zoom(chance.normal(size=(height // 6 + 1, width // 6 + 1)), 6, order=1)[:height, :width]
    missing = np.zeros((height, width), bool)
    for _ in range(chance.integers(*HOLES)):
        row, column = chance.uniform(0, height), chance.uniform(0.1, 0.9) * width
        radius = chance.uniform(*HOLE_MM) / GRID_MM
        stretch = chance.uniform(0.6, 1.6)
        distance = np.hypot((rows - row) * stretch, (columns - column) / stretch)
        missing |= distance + 0.25 * radius * rim < radius
    return np.where(missing[..., None], np.nan, points)


def _meshed(grid: _Grid) -> tuple[NDArray, NDArray, NDArray]:
    """Vertices, triangles between neighbours of the grid that are close enough, colours."""
    height, width = grid.points.shape[:2]
    ids = np.arange(height * width).reshape(height, width)
    corner, right, below, across = ids[:-1, :-1], ids[:-1, 1:], ids[1:, :-1], ids[1:, 1:]
    triangles = np.concatenate(
        [np.stack(t, -1).reshape(-1, 3) for t in ((corner, below, right), (right, below, across))]
    )
    flat = grid.points.reshape(-1, 3)
    edges = np.linalg.norm(flat[triangles] - flat[np.roll(triangles, 1, axis=1)], axis=-1)
    triangles = triangles[(edges < LONGEST_EDGE_MM).all(1)]  # NaN is not
    used, compact = np.unique(triangles, return_inverse=True)
    return flat[used], compact.reshape(-1, 3), grid.colours.reshape(-1, 3)[used]


def _strand(grid: _Grid, marks: NDArray, chance: np.random.Generator) -> NDArray:
    """A loose strand of hair [P, 3] that hangs before forehead or temple, its two sides in turn."""
    height, width = grid.points.shape[:2]
    seen = np.argwhere(
        np.isfinite(grid.points[..., 1]) & (np.nan_to_num(grid.points[..., 1]) > marks[NASION, 1] + 20)
    )
    if not len(seen):
        return np.empty((0, 3))
    row, column = seen[chance.integers(len(seen))].astype(float)
    drift, lift, strand = chance.uniform(-0.5, 0.5), chance.uniform(2, 9), []
    for _ in range(int(chance.integers(15, 45))):
        row, drift = row + 1.5, drift + chance.normal(0, 0.08)
        column += drift
        if not (row < height and 0 <= column < width):
            break
        point = grid.points[int(row), int(column)]
        if np.isfinite(point).all():
            outward = grid.outward[int(column)]
            side = STRAND_WIDTH_MM / 2 * np.array([outward[2], 0, -outward[0]])
            strand += [point + lift * outward - side, point + lift * outward + side]
    return np.array(strand).reshape(-1, 3)
