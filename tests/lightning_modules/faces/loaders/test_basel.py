import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.loaders.basel import load_basel, save_basel
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.files import sha256_of_file

MakeModel = Callable[..., MorphableModel]

# A tetrahedron-like mesh of 6 vertices, as a miniature of the published layout.
VERTICES = np.array(
    [[0, 0, 10], [10, 0, 0], [0, 10, 0], [-10, 0, 0], [0, -10, 0], [0, 0, -10]], dtype=np.float32
)
CELLS = np.array(
    [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]], dtype=np.int32
)


def write_published_layout(path: Path, *, scalars_as_arrays: bool = True, expression: bool = True) -> Path:
    """A file as the published ones are, with 4 / 3 / 2 components."""
    random = np.random.default_rng(0)

    def scalar(value: float | bytes) -> np.ndarray:
        array = np.array(value)
        return array[None] if scalars_as_arrays else array

    means = {"shape": VERTICES.ravel(), "color": random.uniform(0.3, 0.7, 18), "expression": np.full(18, 0.5)}
    with h5py.File(path, "w") as file:
        for part, count in (("shape", 4), ("color", 3), ("expression", 2)):
            if part == "expression" and not expression:
                continue
            basis = np.linalg.qr(random.normal(size=(18, count)))[0]
            file[f"{part}/model/mean"] = means[part].astype(np.float32)
            file[f"{part}/model/pcaBasis"] = basis.astype(np.float32)
            file[f"{part}/model/pcaVariance"] = np.array([9, 4, 1, 0.25], np.float32)[:count]
            file[f"{part}/model/noiseVariance"] = scalar(0.1)
            file[f"{part}/representer/points"] = VERTICES.T
            file[f"{part}/representer/cells"] = CELLS.T
        file["color/representer/colorspace"] = scalar(b"RGB")
        entries = [
            {"id": "center.nose.tip", "coordinates": [0.0, 0.0, 10.0]},
            {"id": "left.ear.helix.top", "coordinates": [10.0, 0.0, 0.0]},
        ]
        file["metadata/landmarks/json"] = scalar(json.dumps(entries).encode())
        file["version/majorVersion"], file["version/minorVersion"] = np.int32(0), np.int32(9)
    return path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published_layout(tmp_path / "published.h5")


def assert_same_model(one: MorphableModel, other: MorphableModel) -> None:
    buffers = dict(other.named_buffers())
    for name, buffer in one.named_buffers():
        assert buffer.dtype == buffers[name].dtype
        assert torch.equal(buffer, buffers[name]), name
    for part in ("shape", "albedo", "expression"):
        assert one.components(part).total_variance == other.components(part).total_variance
    assert one.no_landmarks == other.no_landmarks
    assert one.provenance._replace(sha256="") == other.provenance._replace(sha256="")


# ---------------------------------------------------------------------- written and read back


def test_a_model_written_and_read_back_is_identical(make_model: MakeModel, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(68, 3, generator=generator)
    vertex_ids = torch.randint(504, (68, 3), generator=generator)
    landmarks = Landmarks(vertex_ids, weights / weights.sum(1, keepdim=True), ("marked",) * 67 + ("user",))
    model = make_model(landmarks=landmarks)
    save_basel(model, tmp_path / "model.h5")
    read = load_basel(tmp_path / "model.h5")
    assert_same_model(model, read)
    assert read.landmarks.sources == landmarks.sources
    assert read.provenance.sha256 == sha256_of_file(tmp_path / "model.h5")


def test_a_model_without_expressions_or_landmarks_reads_back_identical(
    make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model(components=(3, 2, 0), landmarks="nobody marked any")
    save_basel(model, tmp_path / "model.h5")
    assert_same_model(model, load_basel(tmp_path / "model.h5"))


def test_the_same_model_gives_the_same_bytes(make_model: MakeModel, tmp_path: Path) -> None:
    for name in ("one.h5", "two.h5"):
        save_basel(make_model(), tmp_path / name)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_a_cut_basel_model_keeps_saying_that_it_is_basel_and_what_was_cut(
    published: Path, tmp_path: Path
) -> None:
    save_basel(load_basel(published, shape_components=1), tmp_path / "cut.h5")
    cut = load_basel(tmp_path / "cut.h5")
    assert cut.provenance.kind == "basel"
    assert cut.provenance.name == "published.h5"
    assert cut.describe()["shape_variance_kept"] == pytest.approx(9 / 14.25)


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(
    make_model: MakeModel, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    save_basel(make_model(), path)
    before = path.read_bytes()
    broken = make_model(seed=1)
    broken.triangles = broken.triangles.to(torch.complex64)  # no such thing in the layout
    with pytest.raises((TypeError, ValueError, RuntimeError, Warning)):
        save_basel(broken, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.h5"]


# ---------------------------------------------------------------------- the published layout


def test_the_mean_face_is_the_mean_of_shape_plus_that_of_expression(published: Path) -> None:
    model = load_basel(published)
    vertices, albedo = model(torch.zeros(1, 4), torch.zeros(1, 3))
    torch.testing.assert_close(vertices[0].numpy(), VERTICES + 0.5)
    with h5py.File(published) as file:
        torch.testing.assert_close(albedo[0].flatten().numpy(), file["color/model/mean"][:])


def test_one_standard_deviation_moves_by_the_root_of_the_variance(published: Path) -> None:
    model = load_basel(published)
    moved = model.vertices(torch.tensor([[0.0, 1.0]])) - model.vertices(torch.zeros(1, 2))
    assert float(moved.norm()) == pytest.approx(2, rel=1e-5)
    with h5py.File(published) as file:
        expected = 2 * file["shape/model/pcaBasis"][:, 1].reshape(-1, 3)
    torch.testing.assert_close(moved[0].numpy(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scalars_as_arrays", [True, False])
@pytest.mark.parametrize("expression", [True, False])
def test_older_and_newer_forms_of_the_layout_load_alike(
    tmp_path: Path, scalars_as_arrays: bool, expression: bool
) -> None:
    path = write_published_layout(
        tmp_path / "form.h5", scalars_as_arrays=scalars_as_arrays, expression=expression
    )
    assert load_basel(path).expression_variance.numel() == (2 if expression else 0)


def test_points_and_cells_may_lie_either_way(published: Path) -> None:
    triangles = load_basel(published).triangles
    with h5py.File(published, "r+") as file:
        del file["shape/representer/points"], file["shape/representer/cells"]
        file["shape/representer/points"], file["shape/representer/cells"] = VERTICES, CELLS.astype(np.uint32)
    assert torch.equal(load_basel(published).triangles, triangles)


def test_what_the_layout_calls_optional_may_be_missing(published: Path) -> None:
    with h5py.File(published, "r+") as file:
        for key in ("metadata", "version", "color/representer", "shape/model/noiseVariance"):
            del file[key]
        del file["shape/representer/points"]
    assert load_basel(published).describe()["vertices"] == 6


def test_cutting_reads_the_first_components(published: Path) -> None:
    whole = load_basel(published)
    cut = load_basel(published, shape_components=2, albedo_components=0, expression_components=1)
    assert torch.equal(cut.shape_basis, whole.shape_basis[:, :2])
    assert cut.shape_basis.is_contiguous()
    assert cut.albedo_basis.shape == (18, 0)
    assert torch.equal(cut.expression_variance, whole.expression_variance[:1])
    assert cut.describe()["shape_variance_kept"] == pytest.approx(13 / 14.25)


def test_triangles_that_show_their_inside_are_turned_over(published: Path) -> None:
    triangles = load_basel(published).triangles
    with h5py.File(published, "r+") as file:
        file["shape/representer/cells"][:] = CELLS[:, ::-1].T
    turned = load_basel(published)
    normals = turned.normals(turned.shape_mean.reshape(1, -1, 3))[0]
    assert float(normals[0] @ torch.tensor([0.0, 0.0, 1.0])) == pytest.approx(1)
    assert {tuple(sorted(row)) for row in turned.triangles.tolist()} == {
        tuple(sorted(row)) for row in triangles.tolist()
    }


def test_a_file_in_metres_becomes_millimetres(published: Path) -> None:
    millimetres = load_basel(published)
    with h5py.File(published, "r+") as file:
        file["shape/representer/length-unit"] = np.float32(1)
    metres = load_basel(published)
    coefficients = torch.ones(1, 4), torch.ones(1, 3), torch.ones(1, 2)
    torch.testing.assert_close(metres(*coefficients).vertices, 1000 * millimetres(*coefficients).vertices)
    assert "lengths times 1000" in metres.provenance.note


def test_a_file_in_the_usual_unit_keeps_its_numbers(published: Path) -> None:
    before = load_basel(published)
    with h5py.File(published, "r+") as file:
        file["shape/representer/length-unit"] = np.float32(0.001)
    assert torch.equal(load_basel(published).shape_mean, before.shape_mean)


def test_colours_up_to_255_are_told_by_their_values(published: Path) -> None:
    unit = load_basel(published)
    with h5py.File(published, "r+") as file:
        file["color/model/mean"][:] *= 255
        file["color/model/pcaVariance"][:] *= 255**2
    scaled = load_basel(published)
    torch.testing.assert_close(scaled.albedo(torch.ones(1, 3)), unit.albedo(torch.ones(1, 3)))
    assert "colours divided by 255" in scaled.provenance.note


def test_an_attribute_that_claims_bytes_changes_nothing(published: Path) -> None:
    before = load_basel(published)
    with h5py.File(published, "r+") as file:
        file["color/representer"].attrs["datatype"] = "uint8"
        file["color/model/mean"].attrs["dtype"] = "uint8"
    assert torch.equal(load_basel(published).albedo_mean, before.albedo_mean)


def test_the_provenance_names_file_hash_and_colour_encoding(published: Path) -> None:
    provenance = load_basel(published).provenance
    assert provenance == ("basel", "published.h5", sha256_of_file(published), "colours taken as sRGB")


# ---------------------------------------------------------------------- bad input


def test_a_missing_file_says_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.h5 does not exist; expected a Basel Face Model"):
        load_basel(tmp_path / "none.h5")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load_basel(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_told_as_such(published: Path, share: float) -> None:
    content = published.read_bytes()
    published.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"published\.h5 is not a whole HDF5 file.*get it again"):
        load_basel(published)


def test_a_file_that_is_no_hdf5_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "page.h5").write_text("<html>please log in</html>")
    with pytest.raises(ValueError, match=r"page\.h5 is not a whole HDF5 file"):
        load_basel(tmp_path / "page.h5")


def test_wrong_group_names_are_listed(published: Path) -> None:
    with h5py.File(published, "r+") as file:
        file.move("shape", "geometry")
    with pytest.raises(
        ValueError, match=r"expected the dataset /shape/model/mean, found the groups color, expr.*geometry"
    ):
        load_basel(published)


@pytest.mark.parametrize("part", ["shape", "color", "expression"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_basis_with_a_hole_is_refused(published: Path, part: str, value: float) -> None:
    with h5py.File(published, "r+") as file:
        file[f"{part}/model/pcaBasis"][7, 1] = value
    with pytest.raises(ValueError, match=rf"published\.h5: /{part}/model/pcaBasis holds NaN or infinity"):
        load_basel(published)


@pytest.mark.parametrize("value", [np.nan, -1])
def test_an_impossible_variance_is_refused(published: Path, value: float) -> None:
    with h5py.File(published, "r+") as file:
        file["shape/model/pcaVariance"][1] = value
    with pytest.raises(ValueError, match="/shape/model/pcaVariance holds negative numbers or NaN"):
        load_basel(published)


def test_a_basis_of_another_size_than_the_mean_is_refused(published: Path) -> None:
    with h5py.File(published, "r+") as file:
        del file["shape/model/pcaBasis"]
        file["shape/model/pcaBasis"] = np.zeros((15, 4), np.float32)
    with pytest.raises(ValueError, match=r"pcaBasis must be .* = \[18, 4\] .* got \[15, 4\]"):
        load_basel(published)


def test_colours_of_another_mesh_are_refused(published: Path) -> None:
    with h5py.File(published, "r+") as file:
        del file["color/model/mean"], file["color/model/pcaBasis"]
        file["color/model/mean"] = np.zeros(15, np.float32)
        file["color/model/pcaBasis"] = np.zeros((15, 3), np.float32)
    with pytest.raises(ValueError, match="/color/model has 5 vertices but /shape/model has 6"):
        load_basel(published)


def test_triangles_beyond_the_mesh_are_refused(published: Path) -> None:
    with h5py.File(published, "r+") as file:
        file["shape/representer/cells"][0, 0] = 6
    with pytest.raises(ValueError, match="triangles must name vertices 0 to 5, got 0 to 6"):
        load_basel(published)


@pytest.mark.parametrize(("part", "available"), [("shape", 4), ("albedo", 3), ("expression", 2)])
def test_more_components_than_exist_are_refused(published: Path, part: str, available: int) -> None:
    with pytest.raises(ValueError, match=rf"published\.h5 has {available} {part} components, asked for 80"):
        load_basel(published, **{f"{part}_components": 80})


def test_expressions_that_a_file_lacks_are_refused(tmp_path: Path) -> None:
    path = write_published_layout(tmp_path / "neutral.h5", expression=False)
    with pytest.raises(ValueError, match=r"neutral\.h5 holds no expressions; do not ask for 2"):
        load_basel(path, expression_components=2)


MEAN, BASIS = "shape/model/mean", "shape/model/pcaBasis"


def replaced(key: str, make: Callable[[h5py.File, str], None]) -> Callable[[h5py.File], None]:
    """Puts something else in a data set's place."""

    def change(file: h5py.File) -> None:
        del file[key]
        make(file, key)

    return change


def in_another_file(file: h5py.File, key: str) -> None:
    """The first bytes of this very machine's programs, as numbers."""
    file.create_dataset(key, (300,), "f4", external=[(sys.executable, 0, 1200)])


def through_another_file(file: h5py.File, key: str) -> None:
    layout = h5py.VirtualLayout((300,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "values", (300,))
    file.create_virtual_dataset(key, layout)


def in_a_circle(file: h5py.File, key: str) -> None:
    file["round"] = h5py.SoftLink("/about")
    file["about"] = h5py.SoftLink("/round")
    file[key] = h5py.SoftLink("/round")


HOSTILE = {
    "external storage": (replaced(MEAN, in_another_file), "mean lies in another file; only a file's own"),
    "a virtual data set": (replaced(MEAN, through_another_file), "mean lies in another file; only a file's"),
    "an external link": (
        replaced(MEAN, lambda file, key: file.__setitem__(key, h5py.ExternalLink("other.h5", "/x"))),
        "mean leads to another place or file",
    ),
    "links in a circle": (replaced(MEAN, in_a_circle), "mean leads to another place or file"),
    "terabytes": (
        replaced(BASIS, lambda file, key: file.create_dataset(key, (10**6, 10**6), "f8", chunks=(64, 64))),
        r"pcaBasis declares \[1000000, 1000000\] values of float64, 7,451 GiB; no morphable model",
    ),
    "a group": (replaced(MEAN, lambda file, key: file.create_group(key)), "is not a Basel 2017 or 2019"),
    "nothing": (
        replaced(MEAN, lambda file, key: file.create_dataset(key, dtype="f4")), "must hold numbers, got n"
    ),
    "compound values": (
        replaced(MEAN, lambda file, key: file.create_dataset(key, (9,), [("a", "f4"), ("b", "i4")])),
        "mean must hold numbers, got values of type",
    ),
    "references": (
        replaced(MEAN, lambda file, key: file.create_dataset(key, (9,), h5py.ref_dtype)),
        "mean must hold numbers, got values of type object",
    ),
    "text": (
        replaced("shape/representer/cells", lambda file, key: file.__setitem__(key, "three corners")),
        "cells must hold numbers",
    ),
    "a unit of text": (
        lambda file: file.__setitem__("shape/representer/length-unit", "mm"), "length-unit must hold numbers"
    ),
    "a scalar": (replaced(MEAN, lambda file, key: file.__setitem__(key, 3.0)), "pcaBasis must be"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_lies_elsewhere_or_cannot_be_is_refused_by_name(
    published: Path, change: Callable[[h5py.File], None], reason: str
) -> None:
    with h5py.File(published, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=reason):
        load_basel(published)


def test_garbled_landmark_metadata_is_refused(published: Path) -> None:
    with h5py.File(published, "r+") as file:
        del file["metadata/landmarks/json"]
        file["metadata/landmarks/json"] = np.array([b'[{"id": "center.nose.tip"}]'])
    with pytest.raises(ValueError, match=r"published\.h5: /metadata/landmarks/json: .* cannot be understood"):
        load_basel(published)


# ---------------------------------------------------------------------- full size

PEAK_OF_LOADING = """
import re, sys
from lightning_modules.faces.loaders.basel import load_basel

def peak():  # in kB; getrusage would count what the starting process held
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

before = peak()
model = load_basel(sys.argv[1], **eval(sys.argv[2]))
after = peak()
coefficients = sum(model.components(part).basis.nbytes for part in ("shape", "albedo", "expression"))
print((after - before) * 1024 / coefficients)
"""


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic file of the published size."""
    path = tmp_path_factory.mktemp("full") / "full.h5"
    random, size = np.random.default_rng(0), 3 * 53_149
    with h5py.File(path, "w") as file:
        for part, count in (("shape", 199), ("color", 199), ("expression", 100)):
            file[f"{part}/model/mean"] = random.random(size, np.float32)
            basis = file.create_dataset(f"{part}/model/pcaBasis", (size, count), np.float32)
            for start in range(0, size, 8192):
                rows = basis[start : start + 8192].shape[0]
                basis[start : start + rows] = random.random((rows, count), np.float32)
            file[f"{part}/model/pcaVariance"] = np.linspace(9, 1, count, dtype=np.float32)
            file[f"{part}/representer/points"] = file[f"{part}/model/mean"][:].reshape(-1, 3).T
            file[f"{part}/representer/cells"] = random.integers(0, 53_149, (3, 105_694), np.int32)
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(
    "options", [{}, {"shape_components": 80, "albedo_components": 80, "expression_components": 64}]
)
def test_a_full_size_file_loads_within_its_coefficients_memory_and_a_third(
    full_size: Path, options: dict[str, int]
) -> None:
    command = [sys.executable, "-c", PEAK_OF_LOADING, str(full_size), repr(options)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 1 <= float(result.stdout) <= 1.3


@pytest.mark.slow
def test_a_full_size_file_arrives_whole(full_size: Path) -> None:
    model = load_basel(full_size)
    description = model.describe()
    assert (description["vertices"], description["triangles"]) == (53_149, 105_694)
    with h5py.File(full_size) as file:
        for part, name in (("shape", "shape"), ("albedo", "color"), ("expression", "expression")):
            rows = file[f"{name}/model/pcaBasis"][-5:]
            np.testing.assert_array_equal(model.components(part).basis[-5:], rows)
