"""What networks see in videos and folders of photographs: the features of the faces; no crop is kept."""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.files import written_atomically
from lightning_modules.recognition.network import RecognitionNetwork

from ..long_work.cores import available_cores
from ..long_work.processes import map_in_processes
from ..long_work.progress import progress_bar
from .crops import Selection, align, select_faces
from .detection import DetectorName, load_detector
from .face_cache import NO_FACE
from .feature_cache import to_images
from .footage import FootageError, holds_photographs, read_frames

# Part of the cache's name: raise it when detection or alignment gives other faces.
VERSION = 2
AT_ONCE = 32
SMALLEST_POOL = 4  # videos, below which starting processes does not pay


class SeenFaces(NamedTuple):
    """The faces of one video or folder, one of each frame that shows any.

    Attributes:
        frames: [F], numbers of the frames with a face.
        features: per network, by its name, [F, feature_width].
        descriptors: per network, by its name, [F, embedding_width], of any length.
        failures: how many frames have no face to use, by reason.
    """

    frames: Tensor
    features: dict[str, Tensor]
    descriptors: dict[str, Tensor]
    failures: dict[str, int]

    @property
    def total(self) -> int:
        """How many frames were looked at."""
        return len(self.frames) + sum(self.failures.values())

    def embeddings(self, network: str) -> Tensor:
        """The unit embeddings [F, embedding_width] of a network."""
        return functional.normalize(self.descriptors[network], dim=1)


class FaceWatcher:
    """Looks at footage with some networks and keeps what they say in a cache.

    Args:
        networks: whose features are wanted.
        frames: of each video, evenly spread; None takes all.
        detector: finds the faces.
        faces: which of a frame's faces is used.
        cache_folder: the user's cache folder by default.
    """

    def __init__(
        self,
        networks: Sequence[RecognitionNetwork],
        *,
        frames: int | None = None,
        detector: DetectorName = "yunet",
        faces: Selection = "largest",
        cache_folder: Path | None = None,
    ) -> None:
        if faces == "all":
            raise ValueError('faces must be "largest" or "central": a video is one person\'s')
        self.networks, self.frames = list(networks), frames
        self.detector, self.faces = detector, faces
        self.folder = CacheFolders.below(cache_folder).footage

    def see(
        self, footage: Sequence[Path], *, workers: int | None = None, progress: bool = True
    ) -> dict[Path, str]:
        """Look at all of it that is not in the cache yet; stopped, it continues with the next video.

        Args:
            footage: videos and folders of photographs.
            workers: processes; all cores by default; 0 works in this process, as does any device but the CPU.
            progress: whether to show a bar.

        Returns:
            What cannot be used, with the reason.
        """
        missing = [path for path in dict.fromkeys(footage) if not self.cache_file(path).is_file()]
        workers = min(available_cores() if workers is None else workers, len(missing))
        on_cpu = all(next(network.buffers()).device.type == "cpu" for network in self.networks)
        reasons = {}
        with progress_bar("Looking at videos", len(missing), visible=progress) as advance:
            for path, reason in zip(missing, self._look(missing, workers if on_cpu else 0), strict=True):
                advance(1)
                if reason:
                    reasons[path] = reason
        return reasons

    def seen(self, path: Path) -> SeenFaces:
        """What was seen in a video or folder; looks now where it was not looked at before."""
        kept = self._kept(path)
        if kept is None:
            self.look(path)
            kept = self._kept(path)
        if kept is None:
            raise FootageError(f"{path}: what networks say of its frames is not finite, or cannot be kept")
        return kept

    def _kept(self, path: Path) -> SeenFaces | None:
        """What the cache holds of a video; None where it holds nothing, or only what is left of it."""
        file = self.cache_file(path)
        try:
            with file.open("rb") as stream, np.load(stream) as stored:
                arrays = {name: torch.from_numpy(stored[name]) for name in stored.files if name != "failures"}
                failures = json.loads(str(stored["failures"]))
            seen = SeenFaces(
                arrays["frames"],
                {network.name: arrays[f"features {network.name}"] for network in self.networks},
                {network.name: arrays[f"descriptors {network.name}"] for network in self.networks},
                failures,
            )
        except (
            OSError,
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
            EOFError,
            BadZipFile,
            NotImplementedError,
            zlib.error,
        ):
            return None
        values = [*seen.features.values(), *seen.descriptors.values()]
        whole = all(len(each) == len(seen.frames) and bool(each.isfinite().all()) for each in values)
        return seen if whole and isinstance(failures, dict) else None

    def look(self, path: Path) -> Path:
        """Detect, align and describe the faces of one video now, and keep them.

        Raises:
            FootageError: if the video cannot be used.
        """
        frames: list[int] = []
        failures: Counter[str] = Counter()
        seen: dict[str, list[Tensor]] = {}
        for numbers, crops, reasons in self._aligned(path):
            frames += numbers
            failures.update(reasons)
            for network in self.networks if numbers else ():
                for name, values in described(network, crops, filmed=not holds_photographs(path)).items():
                    seen.setdefault(name, []).append(values)
        found = {name: torch.cat(parts).numpy() for name, parts in seen.items()}
        arrays: Mapping[str, Any] = found or self._nothing()
        with written_atomically(self.cache_file(path)) as temporary, temporary.open("wb") as stream:
            np.savez(
                stream,
                frames=np.array(frames, np.int64),
                failures=json.dumps(failures),
                **(arrays or self._nothing()),
            )
        return self.cache_file(path)

    def cache_file(self, path: Path) -> Path:
        """Where the result for this content lies; a file that changes its size or time is another one."""
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        states = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        networks = [(network.name, network.sha256, _layer(network)) for network in self.networks]
        key = [VERSION, states, networks, self.frames, self.detector, self.faces]
        return self.folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.npz"

    def _look(self, missing: Sequence[Path], workers: int) -> Iterator[str]:
        workers = workers if len(missing) >= SMALLEST_POOL else 1
        yield from map_in_processes(self.reason_not_to_use, missing, workers)

    def reason_not_to_use(self, path: Path) -> str:
        """Why the footage cannot be used, after a look at it; empty if it can."""
        try:
            self.look(path)
        except (FootageError, OSError) as error:
            return str(error)
        return ""

    def _aligned(self, path: Path) -> Iterator[tuple[list[int], np.ndarray, list[str]]]:
        """Batches of frame numbers, their aligned faces [B, 224, 224, 3], and why other frames have none."""
        detect = load_detector(self.detector)
        numbers, crops, reasons = [], [], []
        for frame in read_frames(path, self.frames):
            if frame.pixels is None:
                reasons.append(frame.reason)
                continue
            chosen = select_faces(detect(frame.pixels), frame.pixels.shape[:2], self.faces)
            if not chosen:
                reasons.append(NO_FACE)
                continue
            numbers.append(frame.number)
            crops.append(align(frame.pixels, chosen[0].points))
            if len(crops) == AT_ONCE:
                yield numbers, np.stack(crops), reasons
                numbers, crops, reasons = [], [], []
        yield numbers, np.stack(crops) if crops else np.empty(0), reasons

    def _nothing(self) -> Mapping[str, np.ndarray]:
        return {
            f"{kind} {network.name}": np.empty((0, width), np.float32)
            for network in self.networks
            for kind, width in (
                ("features", network.feature_width),
                ("descriptors", network.embedding_width),
            )
        }


@torch.no_grad()
def described(network: RecognitionNetwork, crops: np.ndarray, *, filmed: bool) -> dict[str, Tensor]:
    """What a network says of aligned faces [B, 224, 224, 3], as a cache keeps it.

    Args:
        network: that looks; at a photograph more than once where it is made so, see `SeveralCrops`.
        crops: of the faces.
        filmed: whether they are a video's frames, of which each is seen once: there are many.
    """
    images = to_images(crops).to(next(network.buffers()).device)
    result = network(images) if filmed else network.of_photographs(images)
    return {
        f"features {network.name}": result.features.float().cpu(),
        f"descriptors {network.name}": result.descriptor.float().cpu(),
    }


def _layer(network: RecognitionNetwork) -> str | None:
    return getattr(network, "descriptor_layer", None)
