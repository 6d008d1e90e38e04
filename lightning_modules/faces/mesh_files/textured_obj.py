"""A textured mesh as Wavefront OBJ: the mesh, its material (MTL), its picture (PNG)."""

from pathlib import Path

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import on_cpu
from lightning_modules.faces.mesh_files.glb_content import Texture, png_bytes
from lightning_modules.faces.mesh_files.obj import obj_vertices
from lightning_modules.plain.files import as_bytes, written_atomically

MATERIAL = "skin"


def textured_obj_text(mesh: Mesh, texture: Texture, library: str) -> str:
    """The mesh as OBJ with texture coordinates; its vertices keep their number, order and unit.

    Colours of the vertices are left out: readers would take them before the texture.

    Args:
        mesh: on the CPU.
        texture: of it.
        library: the material file's name.
    """
    atlas = texture.atlas
    coordinates = "".join(f"vt {u:.7g} {v:.7g}\n" for u, v in atlas.coordinates.tolist())
    places = (atlas.triangles + 1).tolist()
    triangles = "".join(
        "f " + " ".join(f"{vertex}/{place}" for vertex, place in zip(*corners, strict=True)) + "\n"
        for corners in zip((mesh.triangles + 1).tolist(), places, strict=True)
    )
    vertices = obj_vertices(mesh._replace(colours=None))
    return f"mtllib {library}\n{vertices}{coordinates}usemtl {MATERIAL}\n{triangles}"


def write_textured_obj(mesh: Mesh, texture: Texture, path: Path, library: Path, picture: Path) -> None:
    """Writes the three files, each whole or not at all; material and picture lie in the mesh's folder.

    Args:
        mesh: on any device.
        texture: of it.
        path: .obj
        library: .mtl
        picture: .png
    """
    mesh = on_cpu(mesh)
    material = f"newmtl {MATERIAL}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n"
    for file, content in (
        (picture, png_bytes(texture.picture)),
        (library, as_bytes(material)),
        (path, as_bytes(textured_obj_text(mesh, texture, library.name))),
    ):
        with written_atomically(file) as temporary:
            temporary.write_bytes(content)
