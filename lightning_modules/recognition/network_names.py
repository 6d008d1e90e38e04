"""How a recognition network is named: four by a word, any other by a kind and its file.

Imports no torch: options are read, and files looked for, before anything heavy is loaded.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from lightning_modules.plain.files import require_file, sha256_of_file

NamedNetwork = Literal["dlib", "sface", "facenet", "vggface"]
FILE_KINDS = ("arcface", "onnx", "torch")
FORMS = ", ".join(f"{kind}:FILE" for kind in FILE_KINDS)
# So much of a file's hash tells two networks of one kind apart.
DIGITS = 8

if TYPE_CHECKING:
    # Plain text by the time that a command sees it.
    NetworkFile = str
else:
    from jsonargparse.typing import restricted_string_type

    NetworkFile = restricted_string_type("NetworkFile", rf"^({'|'.join(FILE_KINDS)}):.+$")
    NetworkFile.words = (f"{'|'.join(FILE_KINDS)}:FILE", FORMS)

# What `--encoder`, `--identity-network` and `--judge` take.
NetworkName = NamedNetwork | NetworkFile


def place_of_network(specification: str | None) -> Path | None:
    """The file that a specification names; None for a network that has a word of its own."""
    kind, _, place = (specification or "").partition(":")
    return Path(place).expanduser() if kind in FILE_KINDS and place else None


def check_network(specification: str) -> None:
    """Refuse a specification that names no network, or a file that is not there.

    Raises:
        ValueError: if it is of no known form.
        FileNotFoundError: if there is no such file.
    """
    place = place_of_network(specification)
    if place is None and specification not in get_args(NamedNetwork):
        raise ValueError(
            f"no recognition network is called {specification!r}; there are "
            f"{', '.join(get_args(NamedNetwork))} and {FORMS}"
        )
    if place is not None:
        require_file(place, f"the file of the recognition network {specification}")


def network_name(specification: str) -> str:
    """The name under which a network's features, centres and scores are kept.

    A word is its own name. A file is named by its kind and the beginning of its hash: the name stays when
    the file moves, and two files of one name in two folders stay apart.
    """
    place = place_of_network(specification)
    return specification if place is None else file_network_name(specification, sha256_of_file(place))


def file_network_name(kind: str, sha256: str) -> str:
    """The name of a network of a file's kind and hash, such as `arcface-1a2b3c4d`."""
    return f"{kind.partition(':')[0]}-{sha256[:DIGITS]}"


def file_kind(name: str) -> str | None:
    """The kind of a network that `network_name` named after its file; None of any other."""
    kind, _, digits = name.partition("-")
    return kind if kind in FILE_KINDS and len(digits) == DIGITS else None
