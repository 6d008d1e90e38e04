"""Names whose accents may be written in two ways: `ü` as one letter, or as `u` with two dots behind it."""

import unicodedata


def composed(name: str) -> str:
    """A name with its accents in their letters (NFC), by which names from any disk and program compare.

    macOS and some archives keep them apart (NFD): the names look alike, and are not equal.
    """
    return unicodedata.normalize("NFC", name)
