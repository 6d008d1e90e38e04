"""The page of one face: what it holds, and in Chromium what it draws."""

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from evaluation.reporting.page import face_page as module
from evaluation.reporting.page.face_page import face_page, three
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.glb_content import ExpressionTargets, Texture, glb_bytes
from lightning_modules.faces.texture_atlas import spherical_atlas
from tests.miniatures import small_model

from .browser import Visit, visit


def glb(*, textured: bool = False) -> bytes:
    """A bowl that is red on the left of the picture and green on the right, and can grow a horn."""
    model = small_model()
    vertices = model.neutral_mean.view(-1, 3)
    colours = torch.zeros_like(vertices)
    colours[vertices[:, 0] < 0, 0], colours[vertices[:, 0] >= 0, 1] = 0.8, 0.8
    moved = torch.zeros(2, len(vertices), 3)
    moved[0, vertices[:, :2].norm(dim=1) < 30, 1] = 80.0
    moved[1, :, 0] = 1.0
    texture = None
    if textured:
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[:, :16, 0], picture[:, 16:, 1] = 200, 200
        texture = Texture(spherical_atlas(vertices, model.triangles), picture)
    mesh = Mesh(vertices, model.triangles, colours)
    return glb_bytes(mesh, targets=ExpressionTargets(("hornUp", "<b>odd"), moved), texture=texture)


def write_page(path: Path, *, textured: bool = False) -> Path:
    page = face_page(
        "STAND-IN: <face> & more", glb(textured=textured), Image.new("RGB", (60, 60), (90, 120, 200)),
        notices=["A <note>."],
    )  # fmt: skip
    path.write_text(page)
    return path


def canvas(open_page: Visit) -> np.ndarray:
    with Image.open(BytesIO(open_page.page.locator("canvas").screenshot())) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def slide(open_page: Visit, name: str, value: float) -> None:
    script = "([name, value]) => { const s = document.querySelector(`input[name='${name}']`);"
    script += " s.value = value; s.dispatchEvent(new Event('input', { bubbles: true })); }"
    open_page.page.evaluate(script, [name, value])
    open_page.page.wait_for_timeout(700)


def test_the_page_holds_all_that_it_needs_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    page = write_page(tmp_path / "face.html").read_text()
    assert "<title>STAND-IN: &lt;face&gt; &amp; more</title>" in page
    assert "A &lt;note&gt;." in page
    assert "Permission is hereby granted" in page  # the library's licence goes where the library goes
    own = page.replace(str(three()), "")
    assert not re.findall(r"(?:src|href)=\"(?!data:)", own)
    content = json.loads(re.search(r'id="face">(.*?)</script>', own, re.DOTALL)[1])
    assert content["limits"] == [0.0, 1.0]
    assert len(content["glb"]) > 1000


def test_the_library_comes_with_its_licence_and_without_trimesh_s_own_viewer() -> None:
    script = str(three())
    assert "SPDX-License-Identifier: MIT" in script
    assert "Three.js Authors" in script
    assert "$B64GLTF" not in script
    assert script.rstrip().endswith("})();")


def test_a_trimesh_without_a_usable_library_says_which_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = BytesIO()
    with module.zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(module.LIBRARY_PAGE, "<script>old();var camera,controls,scene</script>")
    monkeypatch.setattr(trimesh.resources, "get_bytes", lambda name: stream.getvalue())
    three.cache_clear()
    with pytest.raises(ImportError, match=r"no three\.js that this page can use .*trimesh>=4\.8\.3"):
        three()
    three.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("textured", [False, True])
def test_the_face_is_drawn_turned_lit_and_moved(tmp_path: Path, textured: bool) -> None:
    with visit(write_page(tmp_path / "face.html", textured=textured), 1100, 700) as shown:
        shown.page.wait_for_timeout(1500)
        before = canvas(shown)
        red = (before[..., 0] > before[..., 1] + 40).mean(0)
        green = (before[..., 1] > before[..., 0] + 40).mean(0)
        columns = np.arange(len(red))
        assert red.sum() > 0.02 * len(red)
        assert (red * columns).sum() / red.sum() < (green * columns).sum() / green.sum()
        names = shown.page.locator(".sliders label").all_inner_texts()
        assert [name.strip() for name in names] == ["hornUp", "<b>odd"]
        slide(shown, "hornUp", 1)
        grown = canvas(shown)
        assert (np.abs(grown - before).max(2) > 30).mean() > 0.01
        slide(shown, "azimuth", 90)
        lit = canvas(shown)
        assert (np.abs(lit - grown).max(2) > 15).mean() > 0.03
        shown.page.locator("input[name=plain]").check()
        shown.page.wait_for_timeout(700)
        plain = canvas(shown)
        slide(shown, "azimuth", -90)
        assert (np.abs(canvas(shown) - plain).max(2) > 5).mean() < 0.002  # no light, nothing to see of it
        shown.page.locator("canvas").focus()
        for _ in range(5):
            shown.page.keyboard.press("ArrowRight")
        shown.page.wait_for_timeout(700)
        assert (np.abs(canvas(shown) - plain).max(2) > 30).mean() > 0.02
        shown.page.locator("button").click()
        shown.page.wait_for_timeout(700)
        assert (np.abs(canvas(shown) - before).max(2) > 15).mean() < 0.01
        assert shown.complaints == []
        # What a texture is decoded from is in the page's own memory.
        assert [url for url in shown.requests if not url.startswith("blob:")] == []


def move_fingers(shown: Visit, *places: tuple[tuple[float, float], ...]) -> None:
    """Fingers on the canvas, counted from its middle: set down at the first places, moved, and lifted."""
    box = shown.page.locator("canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = shown.page.context.new_cdp_session(shown.page)
    kinds = ["touchStart", *["touchMove"] * (len(places) - 1), "touchEnd"]
    for kind, fingers in zip(kinds, [*places, ()], strict=True):
        points = [{"x": middle[0] + x, "y": middle[1] + y, "id": n} for n, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    shown.page.wait_for_timeout(700)


@pytest.mark.slow
def test_two_fingers_bring_the_face_nearer_and_one_turns_it(tmp_path: Path) -> None:
    with visit(write_page(tmp_path / "face.html"), 390, 844) as phone:
        phone.page.wait_for_timeout(1500)
        face = (np.abs(canvas(phone) - [245, 245, 245]).max(2) > 20).mean()
        move_fingers(phone, ((-20, 0), (20, 0)), ((-40, 0), (40, 0)))
        near = canvas(phone)
        # Twice as far apart is twice as near: the face takes four times the room, or all there is.
        assert (np.abs(near - [245, 245, 245]).max(2) > 20).mean() > min(2 * face, 0.8)
        # Neither finger turned it: the middle between red and green stays in the middle.
        red, green = near[..., 0] > near[..., 1] + 40, near[..., 1] > near[..., 0] + 40
        columns = np.arange(near.shape[1])
        border = 0.5 * (columns[red.any(0)].max() + columns[green.any(0)].min())
        assert abs(border - near.shape[1] / 2) < 0.05 * near.shape[1]
        move_fingers(phone, ((0, 0),), ((60, 0),))
        assert (np.abs(canvas(phone) - near).max(2) > 30).mean() > 0.02
        assert phone.complaints == []


@pytest.mark.slow
def test_a_phone_shows_it_below_one_another_and_scrolls_no_way_but_down(tmp_path: Path) -> None:
    with visit(write_page(tmp_path / "face.html"), 390, 844) as phone:
        width = phone.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width == [390, 390]
        assert phone.page.locator(".photograph img").is_visible()
        assert phone.complaints == []
