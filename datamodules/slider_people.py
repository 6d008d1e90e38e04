"""Synthetic people of the open model whose sliders (ethnicity, gender, age) and true faces are known."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.morphable_model import Faces, MorphableModel
from lightning_modules.faces.open_model.build import read_head, shapes_of
from lightning_modules.faces.open_model.identities import Identities, draw_identities, sliders
from lightning_modules.recognition.network import RecognitionNetwork

from .face_data import FaceOptions
from .sampling import mixed_seed
from .stand_in.photograph import (
    Person,
    RenderedPhotograph,
    draw_expression,
    draw_person,
    photographs_of_faces,
)
from .stand_in_photographs import StandInPhotographs, single_thread

# Purposes in `mixed_seed` that no other data has.
SLIDERS, LOOKS, SCENE = 301, 302, 303
# Part of the folder's name: raise it when the same settings give other pictures.
VERSION = 1
LEVEL, NOSE_TIP = 1, 30


class Cast(NamedTuple):
    """Everybody.

    Attributes:
        sliders: their positions.
        vertices: [N, V, 3] mm, neutral, nose tip at the origin.
    """

    sliders: Identities
    vertices: Tensor


class SliderPeople(StandInPhotographs):
    """Photographs of people that are drawn from the sliders, rather than from the model's components.

    The model is a summary of such people: up to pose it makes their heads to within 0.07 mm, root mean
    square. Albedo, hair, expression and scene are drawn as the stand-in's, by other seeds; the recipe draws
    albedo independently of ethnicity.

    Args:
        model: the open model of level 1 with all its components.
        networks: whose features are wanted.
        count: of photographs; a person depends on how many there are, too.
        photographs_per_person: numbers that follow each other show one person.
        seed: of everything.
        **options: see FaceOptions.
    """

    def __init__(
        self,
        model: MorphableModel,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        count: int = 300,
        photographs_per_person: int = 1,
        seed: int = 0,
        backend: str | None = None,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(
            model, networks, count=count, photographs_per_person=photographs_per_person,
            validation_fraction=0.0, seed=seed, backend=backend, **options,
        )  # fmt: skip

    @cached_property
    def cast(self) -> Cast:
        """Everybody, made when first needed.

        Raises:
            ValueError: if the model is not the open one of level 1.
        """
        source, features = read_head(LEVEL), sliders()
        if (
            self.model.provenance.kind != "open"
            or source.head.matrix.shape[0] != self.model.shape_mean.numel() // 3
        ):
            raise ValueError(
                f"sliders are the open model's of level {LEVEL}, got {self.model.provenance.name}; use `open`"
            )
        generator = np.random.default_rng(mixed_seed(self.seed, SLIDERS, 0))
        people = draw_identities(-(-self.count // self.photographs_per_person), generator, features)
        shapes = shapes_of(people, features, source)
        vertices = torch.from_numpy(np.stack([source.head.matrix @ shape for shape in shapes])).float()
        return Cast(people, vertices - self.model.landmarks.on(vertices)[:, NOSE_TIP, None])

    def person(self, number: int) -> Person:
        """Albedo and hair of who is in a photograph; the coefficients of shape are nobody's."""
        person = number // self.photographs_per_person
        return draw_person(self.model, mixed_seed(self.seed, LOOKS, person), self.ranges)

    @torch.no_grad()
    def true_faces(self, numbers: Sequence[int] | np.ndarray) -> Faces:
        """The neutral faces in these photographs: vertices [B, V, 3] mm, albedo [B, V, 3] sRGB, unclamped."""
        albedo = torch.cat([self.person(int(number)).coefficients.albedo for number in numbers])
        people = np.asarray(numbers, np.int64) // self.photographs_per_person
        return Faces(self.cast.vertices[people], self.model.albedo(albedo))

    @torch.no_grad()
    def render(self, numbers: Sequence[int]) -> list[RenderedPhotograph]:
        """The photographs of these numbers, before they are written."""
        chances = [np.random.default_rng(mixed_seed(self.seed, SCENE, number)) for number in numbers]
        with single_thread():
            expressions = torch.cat([draw_expression(self.model, chance, self.ranges) for chance in chances])
            none = self.model.shape_mean.new_zeros(len(numbers), 0)
            moved = self.model.vertices(none, expressions) - self.model.vertices(none)
            neutral = self.true_faces(list(numbers))
            return photographs_of_faces(
                self.model, neutral._replace(vertices=neutral.vertices + moved),
                [self.person(number) for number in numbers], chances, self.ranges, backend=self.backend,
            )  # fmt: skip

    def provenance(self) -> dict[str, Any]:
        """Which photographs these are, labelled as a stand-in."""
        return {**super().provenance(), "people": "the open model's sliders", "seed": self.seed}

    def _settings(self, seed: int) -> dict[str, Any]:
        return super()._settings(seed) | {"sliders": VERSION}
