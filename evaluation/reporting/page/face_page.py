"""A page for one face in 3-D, to be turned, lit and moved, its photograph beside it; it needs no network.

The 3-D library is three.js (MIT), in the copy that the package trimesh carries for a viewer of its own: it is
read from the installed package and put into the page with its licence.
"""

import io
import zipfile
from base64 import b64encode
from collections.abc import Sequence
from functools import cache

import trimesh
from markupsafe import Markup
from PIL import Image

from .document import jpeg_source
from .templates import file_content, template

LIBRARY, LIBRARY_PAGE = "templates/viewer.zip", "viewer.html.template"
# Where in trimesh's page its library begins, and where it ends and trimesh's own viewer begins.
BEGINNING, END = "<script>", "var camera,controls,scene"
NEEDED = ("THREE.GLTFLoader", "morphTargetInfluences", "SPDX-License-Identifier: MIT")


def face_page(
    title: str,
    glb: bytes,
    photograph: Image.Image,
    *,
    caption: str = "photograph, aligned",
    notices: Sequence[str] = (),
    limits: tuple[float, float] = (0.0, 1.0),
) -> str:
    """The whole page.

    Args:
        title: of it; a stand-in's says so.
        glb: the face, y up, looking along z, with colours or a texture. Its morph targets become sliders.
        photograph: beside it.
        caption: below the photograph.
        notices: sentences below the title.
        limits: of the sliders.
    """
    content = {"glb": b64encode(glb).decode(), "limits": limits}
    return template("face_page.html.jinja").render(
        title=title,
        notices=notices,
        photograph=jpeg_source(photograph),
        caption=caption,
        content=content,
        style=file_content("face_page.css"),
        library=three(),
        script=file_content("face_page.js"),
    )


@cache
def three() -> Markup:
    """The library three.js with its loader of glTF files, as JavaScript.

    Raises:
        ImportError: if the installed trimesh carries none, or one that is too old.
    """
    archive = zipfile.ZipFile(io.BytesIO(trimesh.resources.get_bytes(LIBRARY)))
    page = archive.read(LIBRARY_PAGE).decode()
    script = page[page.find(BEGINNING) + len(BEGINNING) : page.find(END)]
    missing = [mark for mark in NEEDED if mark not in script]
    if missing or "</script" in script:
        raise ImportError(
            f"trimesh {trimesh.__version__} carries no three.js that this page can use (without "
            f"{', '.join(missing) or 'an end'}): pip install 'trimesh>=4.8.3'"
        )
    return Markup(script)
