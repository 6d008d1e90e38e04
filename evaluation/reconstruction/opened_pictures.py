"""The photograph or the frame that a face was seen in."""

from datamodules.face_data import FaceDataset
from datamodules.filmed_faces import FilmedPerson, PersonSeen, SeenTogether
from datamodules.marked_faces import Opened, open_photograph


def opened_picture(person: PersonSeen, index: int) -> Opened:
    """The whole picture of one of a person's faces.

    Args:
        person: photographs, the frames of a video, or both.
        index: which of the faces.

    Raises:
        PhotographError: if a photograph cannot be read any more.
    """
    if isinstance(person, SeenTogether):
        return opened_picture(*person.part_of(index))
    if isinstance(person, FilmedPerson):
        pixels = person.frame(index)
        return Opened(person.path, "", (pixels.shape[0], pixels.shape[1]), pixels)
    assert isinstance(person, FaceDataset)
    return open_photograph(person.path(index))
