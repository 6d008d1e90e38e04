"""`--shard`: one job of an array prepares its share of what a run needs, and trains nothing."""

from datamodules.long_work.shares import Share
from datamodules.photographs import SharesLeft
from lightning_modules.losses import OF_SYNTHETIC

from .components import load_teachers, photographs_of, synthetic_of
from .execution import Execution
from .fitting import tell
from .settings import Settings


def prepare_share(settings: Settings, execution: Execution, share: Share) -> None:
    """Align this share of the photographs; once all shares have, its part of features and synthetic faces.

    Shares need not run at the same time: one that finds photographs that others have yet to align ends, and
    goes on when it is run again. Whatever starts next takes over what they have made; it is, bit for bit,
    what one process would have made.

    Raises:
        ValueError: where there is nothing to share.
    """
    if settings.photographs == "stand-in":
        raise ValueError("--shard prepares photographs: give --photographs DIR")
    said = f"share {share.number} of {share.count}"
    teachers = load_teachers(settings, execution)
    if settings.stage != "1":
        photographs = photographs_of(settings, execution, teachers)
        photographs.share = share
        try:
            photographs.prepare_data()
        except SharesLeft as left:
            tell(
                f"{said}: its photographs are aligned, {left}; when they are, run every share again, for "
                "features and synthetic faces"
            )
            return
    if settings.synthetic_faces and (settings.pretraining or settings.weights.on & OF_SYNTHETIC):
        synthetic_of(
            settings, execution, teachers.model, teachers.encoder, stage=1, share=share
        ).prepare_data()
    tell(f"{said} is prepared; when all are, the same command without --shard trains")
