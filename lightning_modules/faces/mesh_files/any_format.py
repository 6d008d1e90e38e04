"""Mesh files in and out: OBJ, PLY, GLB.

Vertices keep their number and order. OBJ and PLY have no unit: their numbers are taken and written as they
are, ours being millimetres. GLB is in metres by its specification and is converted. Colours are
sRGB-encoded in our tensors, OBJ and PLY, and linear in GLB, which is converted.
"""

from pathlib import Path

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.glb import read_glb
from lightning_modules.faces.mesh_files.glb_content import glb_bytes
from lightning_modules.faces.mesh_files.obj import obj_text, read_obj
from lightning_modules.faces.mesh_files.ply import ply_bytes, read_ply
from lightning_modules.plain.files import require_file, written_atomically
from lightning_modules.plain.foreign_files import TEXT_FILE, what_it_is

_READERS = {".obj": read_obj, ".ply": read_ply, ".glb": read_glb}
# How files begin whose suffix may say something else.
_BEGINNINGS = {b"ply\n": ".ply", b"ply\r": ".ply", b"glTF": ".glb"}


def read_mesh(path: Path) -> Mesh:
    """The mesh of a file, its vertices in the file's order.

    Args:
        path: .obj, with colours of its vertices or from its materials; .ply, ascii or binary; .glb.

    Returns:
        Vertices in the file's unit (mm for .glb), on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such mesh, or has no vertices, bad indices or NaN.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path} has the suffix {path.suffix!r}; give a mesh as {', '.join(_READERS)}")
    require_file(path, f"a mesh as {', '.join(_READERS)}")
    kind = what_it_is(path)
    if kind and kind != TEXT_FILE:
        raise ValueError(f"{path} {kind}; give a mesh as {', '.join(_READERS)}")
    with path.open("rb") as stream:
        own = _BEGINNINGS.get(stream.read(4), path.suffix.lower())
    if own != path.suffix.lower():
        raise ValueError(f"{path} is a {own[1:].upper()} file by its content; rename it to {own}")
    return reader(path)


def write_mesh(mesh: Mesh, path: Path, *, ascii_ply: bool = False) -> None:
    """Writes a mesh in mm, whole or not at all.

    OBJ holds float32 whole, colours included, as `v x y z r g b`. PLY holds coordinates whole and colours in
    8 bits. GLB holds metres and linear colours as float32. Colours outside 0 to 1 are clamped but in OBJ.

    Args:
        mesh: on any device.
        path: .obj, .ply or .glb; replaced if it exists.
        ascii_ply: write .ply as text instead of binary.

    Raises:
        ValueError: for another suffix.
    """
    path = Path(path)
    mesh = on_cpu(mesh)
    if path.suffix.lower() == ".obj":
        content = obj_text(mesh).encode()
    elif path.suffix.lower() == ".ply":
        content = ply_bytes(mesh, ascii_text=ascii_ply)
    elif path.suffix.lower() == ".glb":
        content = glb_bytes(mesh)
    else:
        raise ValueError(f"{path} has the suffix {path.suffix!r}; write meshes as {', '.join(_READERS)}")
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def on_cpu(mesh: Mesh) -> Mesh:
    """The mesh as files take it: on the CPU, numbers in float32."""
    colours = None if mesh.colours is None else mesh.colours.detach().cpu().float()
    return Mesh(mesh.vertices.detach().cpu().float(), mesh.triangles.detach().cpu(), colours)
