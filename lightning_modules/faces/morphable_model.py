"""The morphable model: coefficients in, neutral or expressive textured meshes out."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.linear_combinations import linear_combinations
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.rendering.rasterizer import check_triangles


class PrincipalComponents(NamedTuple):
    """A linear Gaussian model of a vector per vertex: instance = mean + basis @ (sqrt(variance) * a).

    Attributes:
        mean: [3V], x0, y0, z0, x1, … (or r, g, b).
        basis: [3V, K], columns of unit length: orthonormal and by falling variance, or a published model's
            own on a part of its mesh, where they are only nearly orthogonal.
        variance: [K].
        total_variance: sum over all components of the source, also those that were cut at loading.
    """

    mean: Tensor
    basis: Tensor
    variance: Tensor
    total_variance: float

    def cut(self, count: int | None) -> Self:
        """The same model with its first `count` components, all of them where it is None."""
        if count is None:
            return self
        return self._replace(basis=self.basis[:, :count].contiguous(), variance=self.variance[:count])


class ModelSource(NamedTuple):
    """Which model this is.

    Attributes:
        kind: `open`, `basel`, `ict`, `flame`, `gnm` or `bfm-front`.
        name: the recipe or the file's name, never its folder.
        sha256: of the file (for a folder: of its files in order).
        note: what a reader of results must know, such as where the albedo came from.
    """

    kind: str
    name: str
    sha256: str
    note: str = ""


class Coefficients(NamedTuple):
    """Coefficients in standard deviations: shape [B, Ks], albedo [B, Kt], expression [B, Ke]."""

    shape: Tensor
    albedo: Tensor
    expression: Tensor


class Faces(NamedTuple):
    """A batch of meshes: vertices [B, V, 3] in mm, albedo [B, V, 3] sRGB-encoded and unclamped."""

    vertices: Tensor
    albedo: Tensor


class MorphableModel(nn.Module):
    """Linear 3D morphable model of shape, albedo and expression.

    Genova et al. 2018, section 3.2: S(s, e) = mean + P_s W_s s + P_e W_e e and T(t) = mean + P_t W_t t,
    with s, t, e standard normal and W the square roots of the PCA eigenvalues. e = 0 is the neutral face.

    Vertices are in mm, x to the subject's left, y up, z forward. Coefficients may be any prefix of the
    components: the others count as zero. All tensors are non-persistent buffers: a checkpoint never holds a
    licensed model.

    Args:
        shape: of vertices in mm.
        albedo: of sRGB-encoded colours.
        expression: of vertex displacements in mm; its mean is added to the shape's. None: no expressions.
        triangles: [T, 3] vertex ids, counter-clockwise seen from outside.
        landmarks: the 68 iBUG landmarks, or a sentence that says why there are none.
        provenance: which model this is.

    Raises:
        ValueError: for a triangle of a vertex that is not there.

    Attributes:
        provenance: which model this is.
        no_landmarks: why there are no landmarks; empty if there are.
    """

    shape_mean: Tensor
    shape_basis: Tensor
    shape_variance: Tensor
    shape_standard_deviation: Tensor
    albedo_mean: Tensor
    albedo_basis: Tensor
    albedo_variance: Tensor
    albedo_standard_deviation: Tensor
    expression_mean: Tensor
    expression_basis: Tensor
    expression_variance: Tensor
    expression_standard_deviation: Tensor
    neutral_mean: Tensor
    triangles: Tensor
    landmark_vertex_ids: Tensor
    landmark_weights: Tensor

    def __init__(
        self,
        *,
        shape: PrincipalComponents,
        albedo: PrincipalComponents,
        expression: PrincipalComponents | None,
        triangles: Tensor,
        landmarks: Landmarks | str,
        provenance: ModelSource,
    ) -> None:
        super().__init__()
        check_triangles(triangles, len(shape.mean) // 3)
        if expression is None:
            empty = shape.mean.new_zeros(len(shape.mean), 0)
            expression = PrincipalComponents(torch.zeros_like(shape.mean), empty, shape.variance[:0], 0.0)
        self.provenance = provenance
        self._total_variance: dict[str, float] = {}
        for part, components in (("shape", shape), ("albedo", albedo), ("expression", expression)):
            self.register_buffer(f"{part}_mean", components.mean, persistent=False)
            self.register_buffer(f"{part}_basis", components.basis, persistent=False)
            self.register_buffer(f"{part}_variance", components.variance, persistent=False)
            deviation = components.variance.sqrt()
            self.register_buffer(f"{part}_standard_deviation", deviation, persistent=False)
            self._total_variance[part] = components.total_variance
        self.register_buffer("neutral_mean", shape.mean + expression.mean, persistent=False)
        self.register_buffer("triangles", triangles, persistent=False)
        self._set_landmarks(landmarks)

    def _set_landmarks(self, landmarks: Landmarks | str) -> None:
        self.no_landmarks = landmarks if isinstance(landmarks, str) else ""
        if isinstance(landmarks, str):
            none = self.triangles.new_zeros(0, 3)
            landmarks = Landmarks(none, none.to(self.shape_mean), ())
        self.register_buffer("landmark_vertex_ids", landmarks.vertex_ids, persistent=False)
        self.register_buffer("landmark_weights", landmarks.weights, persistent=False)
        self._landmark_sources = landmarks.sources

    # ------------------------------------------------------------------ coefficients -> meshes

    def forward(self, shape: Tensor, albedo: Tensor, expression: Tensor | None = None) -> Faces:
        """Meshes of a batch of coefficients.

        Args:
            shape: [B, Ks], any prefix of the shape components, in standard deviations.
            albedo: [B, Kt], likewise.
            expression: [B, Ke], likewise; None is the neutral face.

        Returns:
            Vertices [B, V, 3] in mm and albedo [B, V, 3].

        Raises:
            ValueError: if the coefficients are not a batch, or more than the model has.
        """
        return Faces(self.vertices(shape, expression), self.albedo(albedo))

    def vertices(self, shape: Tensor, expression: Tensor | None = None) -> Tensor:
        """S(s, e): vertices [B, V, 3] in mm of shape [B, Ks] and expression [B, Ke] coefficients."""
        flat = self._instances("shape", shape, self.neutral_mean)
        if expression is not None:
            flat = self._instances("expression", expression, flat)
        return flat.unflatten(1, (-1, 3))

    def albedo(self, albedo: Tensor) -> Tensor:
        """T(t): albedo [B, V, 3], sRGB-encoded, unclamped, of coefficients [B, Kt]."""
        return self._instances("albedo", albedo, self.albedo_mean).unflatten(1, (-1, 3))

    def _instances(self, part: str, coefficients: Tensor, offset: Tensor) -> Tensor:
        basis = getattr(self, f"{part}_basis")
        if coefficients.ndim != 2 or coefficients.shape[1] > basis.shape[1]:
            raise ValueError(
                f"{part} coefficients must be [B, at most {basis.shape[1]}], got {list(coefficients.shape)}; "
                "add a batch dimension, or load the model with more components"
            )
        count = coefficients.shape[1]
        scaled = coefficients * getattr(self, f"{part}_standard_deviation")[:count]
        return linear_combinations(offset, scaled, basis)

    # ------------------------------------------------------------------ meshes -> coefficients

    def shape_coefficients(self, vertices: Tensor) -> Tensor:
        """Shape coefficients [B, Ks] whose neutral meshes come closest to vertices [B, V, 3] in mm.

        For whoever has meshes in the model's topology; no command needs it.
        """
        return self._projected("shape", vertices.flatten(1) - self.neutral_mean)

    def albedo_coefficients(self, albedo: Tensor) -> Tensor:
        """Albedo coefficients [B, Kt] of the nearest colours [B, V, 3]; like `shape_coefficients`."""
        return self._projected("albedo", albedo.flatten(1) - self.albedo_mean)

    def _projected(self, part: str, difference: Tensor) -> Tensor:
        """By least squares, in double precision; a component that moves nothing is at its mean."""
        basis = getattr(self, f"{part}_basis").double()
        deviation = getattr(self, f"{part}_standard_deviation").double()
        along = difference.double() @ basis @ torch.linalg.pinv(basis.T @ basis, hermitian=True)
        return torch.where(deviation > 0, along / deviation, 0.0).to(difference)

    # ------------------------------------------------------------------ prior, landmarks, normals

    def sample(self, count: int, generator: torch.Generator) -> Coefficients:
        """Coefficients of `count` faces drawn from the prior, on the model's device; see `draw`."""
        return Coefficients(*(part.to(self.shape_mean) for part in self.draw(count, generator)))

    def draw(self, count: int, generator: torch.Generator) -> Coefficients:
        """Coefficients of `count` faces drawn from the prior, a standard normal, float32.

        On the generator's device, so that a seed means the same faces wherever the model lies.
        """
        sizes = (self.shape_variance.numel(), self.albedo_variance.numel(), self.expression_variance.numel())
        return Coefficients(
            *(
                # A trainer of another precision sets torch's default, in which other numbers would come.
                torch.randn(count, size, generator=generator, device=generator.device, dtype=torch.float32)
                for size in sizes
            )
        )

    @property
    def landmarks(self) -> Landmarks:
        """The 68 iBUG landmarks on the mesh.

        Raises:
            ValueError: if the model has none, with the reason.
        """
        if self.no_landmarks:
            raise ValueError(
                f"{self.provenance.name} has no landmarks: {self.no_landmarks}; give a landmark file"
            )
        return Landmarks(self.landmark_vertex_ids, self.landmark_weights, self._landmark_sources)

    def normals(self, vertices: Tensor) -> Tensor:
        """Unit vertex normals [B, V, 3] of vertices [B, V, 3] in the model's topology."""
        return vertex_normals(vertices, self.triangles)

    # ------------------------------------------------------------------ what it says of itself

    def components(self, part: str) -> PrincipalComponents:
        """The principal components of `shape`, `albedo` or `expression`, as given at construction."""
        return PrincipalComponents(
            getattr(self, f"{part}_mean"),
            getattr(self, f"{part}_basis"),
            getattr(self, f"{part}_variance"),
            self._total_variance[part],
        )

    def describe(self) -> dict[str, str | int | float]:
        """Source, file hash, sizes and share of the source's variance kept, ready for JSON."""
        text: dict[str, str | int | float] = dict(self.provenance._asdict())
        text["vertices"] = self.shape_mean.numel() // 3
        text["triangles"] = len(self.triangles)
        for part in ("shape", "albedo", "expression"):
            kept, total = getattr(self, f"{part}_variance"), self._total_variance[part]
            text[f"{part}_components"] = kept.numel()
            text[f"{part}_variance_kept"] = float(kept.double().sum()) / total if total > 0 else 1.0
        return text

    def fingerprint(self) -> Tensor:
        """[Ks + Kt] float64 on the CPU: each component's projection onto one fixed direction.

        Files of a model that is built anew differ by rounding, so that their hashes do; these numbers are
        the same within some 1e-5, and others where a component has another sign or direction.
        """
        direction = torch.cos(1.7 * torch.arange(self.shape_mean.numel(), dtype=torch.float64))
        bases = (self.shape_basis, self.albedo_basis)
        return torch.cat([basis.cpu().double().T @ direction for basis in bases])
