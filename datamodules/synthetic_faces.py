"""Faces drawn from the morphable model's prior and rendered: photographs whose coefficients are known."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.faces.aligned_rendering import AlignedFrame, render_aligned
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.precision import constant
from lightning_modules.recognition.frame import RENDERED_POINTS, Crop
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.rendering.ranges import SceneRanges
from lightning_modules.rendering.scenes import DrawnScenes, backgrounds_of, noise_cells, random_scenes

from .long_work.progress import progress_bar
from .long_work.row_files import RowFiles
from .long_work.shared_rows import SharedRows, blocks_of
from .long_work.shares import Share, in_shares
from .sampling import StepLoader, loader_of, mixed_seed, step_sampler

TRAINING, VALIDATION = 0, 1
# Part of the pool's name: raise it when the same settings give other pictures.
VERSION = 1
AT_ONCE = 32


class SyntheticBatch(NamedTuple):
    """Synthetic faces as the encoder sees them.

    Attributes:
        shape: [B, Ks], in standard deviations.
        albedo: [B, Kt], likewise.
        features: [B, feature_width].
    """

    shape: Tensor
    albedo: Tensor
    features: Tensor


class UnseenFaces:
    """Synthetic faces that were drawn and not yet rendered, on the CPU until their step comes.

    No tuple, so that a trainer of another precision does not round what the faces are rendered from.

    Attributes:
        shape: [B, Ks], in standard deviations.
        albedo: [B, Kt], likewise.
        scenes: one of each face.
    """

    def __init__(self, shape: Tensor, albedo: Tensor, scenes: DrawnScenes) -> None:
        self.shape, self.albedo, self.scenes = shape, albedo, scenes

    def to(self, device: torch.device) -> "UnseenFaces":
        """The same on a device, without a wait where memory is pinned."""
        shape, albedo = (part.to(device, non_blocking=True) for part in (self.shape, self.albedo))
        return UnseenFaces(shape, albedo, self.scenes.to(device))

    def pin_memory(self) -> "UnseenFaces":
        """The same where a GPU fetches it by itself."""
        return UnseenFaces(self.shape.pin_memory(), self.albedo.pin_memory(), self.scenes.pin_memory())


class SyntheticFaces(LightningDataModule):
    """Fresh neutral faces in random scenes with the features that the encoder sees in them.

    Genova et al. 2018, section 3.3: shape and albedo are drawn independently from the prior. Every face and
    its scene follow from (seed, sample) alone. The paper renders faces without end; here the first
    `pool_size` of them are rendered once, cached, and drawn from in an order of (seed, step), because a
    face's features never change and cost more than a training step. `pool_size=None` renders without end.

    Args:
        model: whose prior the faces are drawn from.
        encoder: whose features are wanted; it is shown its own crop.
        batch_size: over all processes.
        pool_size: how many faces training draws from; None for fresh ones at every step.
        first_fresh: the number of the first fresh face: a second stage begins where the first one ended.
        validation_size: faces that training never sees.
        seed: of faces, scenes and order.
        ranges: of the scenes.
        backend: of the rasterizer.
        cache_folder: of the pools; the user's cache folder by default.
        progress: whether to show a bar while the pool is rendered.
        share: of the pool, that this process renders; all of it by default.
    """

    def __init__(
        self,
        model: MorphableModel,
        encoder: RecognitionNetwork,
        *,
        batch_size: int = 64,
        pool_size: int | None = 20_000,
        first_fresh: int = 0,
        validation_size: int = 512,
        seed: int = 0,
        ranges: SceneRanges | None = None,
        backend: str | None = None,
        cache_folder: Path | None = None,
        progress: bool = True,
        share: Share | None = None,
    ) -> None:
        super().__init__()
        self.model, self.encoder = model, encoder
        self.batch_size, self.pool_size, self.validation_size = batch_size, pool_size, validation_size
        self.first_fresh = first_fresh
        self.seed, self.backend, self.progress, self.share = seed, backend, progress, share
        self.ranges = SceneRanges() if ranges is None else ranges
        self.cache_folder = CacheFolders.below(cache_folder).synthetic_faces

    def prepare_data(self) -> None:
        """Render the pools that are not cached; a run that is stopped continues there.

        The first time in shares, where there are several processes.
        """
        share, self.share = self.share, None
        pools = {VALIDATION: self.validation_size}
        if self.pool_size is not None:
            pools = {TRAINING: self.pool_size} | pools
        for purpose, count in pools.items():
            in_shares(share, partial(self._fill_share, purpose, count), partial(self._fill, purpose, count))

    def setup(self, stage: str | None = None) -> None:
        """Open the pools; bring model and encoder, which no hook of Lightning's knows of, onto the device."""
        self._pools = {purpose: self._files(purpose) for purpose in (TRAINING, VALIDATION)}
        if self.trainer is not None:
            for part in (self.model, self.encoder):
                part.to(self.trainer.strategy.root_device)

    def render(self, samples: Sequence[int], *, purpose: int = TRAINING) -> SyntheticBatch:
        """The faces of these numbers, drawn, rendered and seen by the encoder."""
        return self.seen(self.draw(samples, purpose=purpose))

    def draw(self, samples: Sequence[int], *, purpose: int = TRAINING) -> UnseenFaces:
        """The faces of these numbers and their scenes, each keyed by seed, purpose and number."""
        generators = [
            torch.Generator().manual_seed(mixed_seed(self.seed, purpose, sample)) for sample in samples
        ]
        drawn = [self.model.draw(1, generator) for generator in generators]
        shape, albedo = (torch.cat([getattr(face, part) for face in drawn]) for part in ("shape", "albedo"))
        scenes = random_scenes(generators, 1, ranges=self.ranges)
        return UnseenFaces(shape, albedo, DrawnScenes(scenes, noise_cells(generators, 1)))

    @torch.no_grad()
    def seen(self, faces: UnseenFaces) -> SyntheticBatch:
        """Faces rendered and seen by the encoder, on the model's device."""
        faces = faces.to(self.model.shape_mean.device)
        images = render_synthetic(self.model, faces, self.encoder.crop, backend=self.backend)
        shape, albedo = (part.to(images) for part in (faces.shape, faces.albedo))
        return SyntheticBatch(shape, albedo, self.encoder(images, frame="native").features)

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> SyntheticBatch:
        """The faces of this process at a step.

        Raises:
            ValueError: if the batch cannot be split evenly over the processes.
        """
        return self.complete(self.prepared(step, rank=rank, world_size=world_size))

    def complete(self, prepared: "SyntheticBatch | UnseenFaces") -> SyntheticBatch:
        """What `prepared` gave, as a step needs it: faces of no pool are rendered now."""
        return self.seen(prepared) if isinstance(prepared, UnseenFaces) else prepared

    def prepared(self, step: int, *, rank: int = 0, world_size: int = 1) -> "SyntheticBatch | UnseenFaces":
        """The part of `batch` that is made on the CPU, by a worker if there is a GPU.

        Raises:
            ValueError: if the batch cannot be split evenly over the processes.
        """
        if self.pool_size is None:
            if self.batch_size % world_size:
                raise ValueError(
                    f"the batch of {self.batch_size} cannot be split evenly over {world_size} processes"
                )
            share = self.batch_size // world_size
            first = self.first_fresh + step * self.batch_size + rank * share
            return self.draw(range(first, first + share))
        sampler = step_sampler(
            self.pool_size, self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        return self.pooled(sampler.indices(step))

    def pooled(self, samples: Sequence[int] | np.ndarray, *, purpose: int = TRAINING) -> SyntheticBatch:
        """The faces of these numbers from a pool, on the CPU."""
        chosen, files = np.asarray(samples, np.int64), self._pools[purpose]
        return SyntheticBatch(
            *(torch.from_numpy(files.column(name)[chosen]) for name in ("shape", "albedo", "features"))
        )

    def train_dataloader(self) -> "StepLoader[SyntheticBatch | UnseenFaces]":
        """Batches without end, from the step at which the trainer stands; each process takes its share."""
        return loader_of(self.prepared, self.trainer)

    def on_after_batch_transfer(
        self, batch: "SyntheticBatch | UnseenFaces", dataloader_idx: int
    ) -> SyntheticBatch:
        """Render what has no pool, on the device."""
        return self.complete(batch)

    def val_dataloader(self) -> DataLoader[SyntheticBatch]:
        """The same faces every time, in one batch; every process validates all of them."""
        # Every iteration draws a seed: from here, or validation would change the run's random state.
        faces: Any = [self.validation_faces()]  # a list is a data set to torch, but for its types
        return DataLoader(faces, batch_size=None, generator=torch.Generator())

    def validation_faces(self) -> SyntheticBatch:
        """All faces that training never sees."""
        return self.pooled(np.arange(self.validation_size), purpose=VALIDATION)

    def _files(self, purpose: int) -> RowFiles:
        widths = {
            "shape": self.model.shape_variance.numel(),
            "albedo": self.model.albedo_variance.numel(),
            "features": self.encoder.feature_width,
        }
        return RowFiles(
            self.cache_folder / self._digest(purpose),
            {name: np.dtype((np.float32, width)) for name, width in widths.items()},
            numbers=("features",),
        )

    def _digest(self, purpose: int) -> str:
        """Of everything that the faces depend on."""
        settings = {
            "version": VERSION,
            "model": self.model.describe(),
            "encoder": self.encoder.once.sha256,
            "ranges": asdict(self.ranges),
            "seed": self.seed,
            "purpose": purpose,
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def _fill(self, purpose: int, count: int) -> None:
        files = self._files(purpose)
        if len(files) >= count and not files.damage():
            return
        with files.appending() as append:
            shared = self._missing(files, purpose, count)
            title = "Rendering synthetic faces"
            with progress_bar(title, len(shared.keys), visible=self.progress) as advance:
                shared.append(append, advance)
        shared.forget(lambda keys: bool((keys < len(files)).all()))

    def _fill_share(self, purpose: int, count: int, share: Share) -> None:
        """A share of what `_fill` does; it puts shares together, and so does the last that need not meet."""
        files = self._files(purpose)
        if len(files) >= count:
            return
        shared = self._missing(files, purpose, count)
        size = len(range(share.number - 1, len(shared.blocks), share.count)) * AT_ONCE
        title = f"Rendering synthetic faces, share {share.number} of {share.count}"
        with progress_bar(title, size, visible=self.progress) as advance:
            shared.make_share(share, advance)
        files.refresh()
        if share.meet is None and self._missing(files, purpose, count).is_complete:
            self._fill(purpose, count)

    def _missing(self, files: RowFiles, purpose: int, count: int) -> SharedRows:
        first = len(files)

        def make(blocks: Sequence[range]) -> Iterator[dict[str, np.ndarray]]:
            for block in blocks:
                samples = range(first + block.start, first + block.stop)
                faces = self.render(samples, purpose=purpose)
                yield {name: values.cpu().numpy() for name, values in faces._asdict().items()}

        keys = np.arange(first, max(count, first))
        return SharedRows(files, keys, blocks_of(len(keys), AT_ONCE), make)


def render_synthetic(
    model: MorphableModel, faces: UnseenFaces, crop: Crop, *, backend: str | None = None
) -> Tensor:
    """One antialiased picture a face, [B, 3, size, size] in [0, 1], on the model's device."""
    shape, albedo = (part.to(model.shape_mean) for part in (faces.shape, faces.albedo))
    background = backgrounds_of(faces.scenes.noise, (crop.size, crop.size)).to(shape)
    frame = AlignedFrame(constant(crop.to_crop(RENDERED_POINTS), shape.device), crop.size)
    images = render_aligned(
        model,
        model(shape, albedo),
        faces.scenes.scenes,
        frame,
        background=background,
        samples_per_axis=2,
        backend=backend,
    )
    return images[:, 0]
