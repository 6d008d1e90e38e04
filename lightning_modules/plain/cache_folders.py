"""Where what was computed once is kept: one folder for each kind, below one root."""

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

NAME = "unsupervised-morphable-faces"


@dataclass(frozen=True)
class CacheFolders:
    """The folders below a root: what `--cache-folder` names, for every command alike.

    Attributes:
        root: by default the user's cache folder.
    """

    root: Path

    @classmethod
    def below(cls, root: Path | None) -> "CacheFolders":
        """The folders below a root; below the user's cache folder if it is None."""
        return cls(user_cache_path(NAME) if root is None else root)

    @property
    def photographs(self) -> Path:
        """Aligned faces of photographs, and what networks say of them."""
        return self.root / "photographs"

    @property
    def footage(self) -> Path:
        """What networks say of the faces in videos and folders of frames."""
        return self.root / "footage"

    @property
    def synthetic_faces(self) -> Path:
        """Pools of synthetic faces to train on."""
        return self.root / "synthetic-faces"

    @property
    def stand_in_photographs(self) -> Path:
        """Rendered stand-ins for photographs."""
        return self.root / "stand-in"

    @property
    def stand_in_scans(self) -> Path:
        """Stand-ins for scans and their videos."""
        return self.root / "stand-in-scans"

    @property
    def renderings(self) -> Path:
        """A judge's embeddings of renderings."""
        return self.root / "renderings"

    @property
    def scan_baselines(self) -> Path:
        """Scores that are the same for every method: the oracle's and the mean face's."""
        return self.root / "scan-baselines"

    @property
    def recognition(self) -> Path:
        """Converted weights of recognition networks."""
        return self.root / "recognition"

    @property
    def morphable_models(self) -> Path:
        """Built morphable models."""
        return self.root / "morphable-models"
