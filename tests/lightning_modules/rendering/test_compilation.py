import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from numba.core import event
from numba.core.caching import NullCache

import lightning_modules.rendering
from lightning_modules.rendering.compilation import compiled, for_each
from lightning_modules.rendering.renderer import render

SIZE = (24, 20)


def rendered_digest(arguments: list) -> str:
    """Digest of the images and vertex gradients of a rendering."""
    vertices = arguments[0].clone().requires_grad_()
    images = render(vertices, *arguments[1:])
    (gradient,) = torch.autograd.grad(images.square().sum(), vertices)
    return hashlib.sha256(images.detach().numpy().tobytes() + gradient.numpy().tobytes()).hexdigest()


@pytest.fixture
def arguments(bumpy_head: Callable, views: Callable) -> list:
    mesh = bumpy_head(12)
    vertices, normals, albedo = (value[None].float() for value in (mesh.vertices, mesh.normals, mesh.albedo))
    return [vertices, mesh.triangles, normals, albedo, *views(1, SIZE, torch.float32), SIZE]


@pytest.fixture
def three_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_task_is_called_once(count: int, three_threads: None) -> None:
    called = []
    for_each(called.append, count)
    assert sorted(called) == list(range(count))


def test_an_error_in_a_task_is_raised(three_threads: None) -> None:
    def task(index: int) -> None:
        if index == 7:
            raise ValueError("task 7 failed")

    with pytest.raises(ValueError, match="task 7 failed"):
        for_each(task, 20)


def test_repeated_renderings_are_equal_bit_for_bit(arguments: list, three_threads: None) -> None:
    assert len({rendered_digest(arguments) for _ in range(5)}) == 1


def test_four_threads_render_at_once(arguments: list, three_threads: None) -> None:
    expected, found = rendered_digest(arguments), []

    def work() -> None:
        found.extend(rendered_digest(arguments) for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == [expected] * 20


# Python 3.12 and later warn of every fork of a process that has threads.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_renders(arguments: list, three_threads: None) -> None:
    expected = rendered_digest(arguments)  # the parent's pool runs
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(rendered_digest(arguments)))
    child.start()
    child.join(timeout=60)
    assert child.exitcode == 0
    assert queue.get() == expected
    assert rendered_digest(arguments) == expected


def test_only_a_missing_cache_folder_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> Callable:
        def decorate(function: Callable) -> SimpleNamespace:
            if options["cache"]:
                raise RuntimeError(message)
            return SimpleNamespace(compile=function, function=function)

        return decorate

    monkeypatch.setattr("numba.njit", refuse)
    message = "cannot cache function 'f': no locator available for file 'f.py'"
    assert compiled(rendered_digest).function is rendered_digest
    message = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        compiled(rendered_digest)


SCRIPT = """
import torch
from lightning_modules.rendering import numba_rasterizer
positions = torch.tensor([[[-9.0, -9, 1], [30, -9, 1], [-9, 30, 1]]], dtype=torch.float64)
ids = numba_rasterizer.rasterize(positions, torch.tensor([[0, 1, 2]]), (2, 2), 0.1)
assert (ids == 0).all()
kernel = numba_rasterizer._rasterize_image
print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""
RENDER_SCRIPT = """
import torch
from lightning_modules.rendering import fused_kernels, numba_rasterizer
from lightning_modules.rendering.camera import Cameras
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.shading import Lights
vertices = torch.tensor([[[-50.0, -50, 0], [50, -50, 0], [0, 50, 0]]], requires_grad=True)
eye = torch.tensor([[[0.0, 0, 1000]]])
cameras = Cameras(torch.diag(torch.tensor([1.0, -1, -1]))[None, None], eye, torch.full((1, 1), 100.0),
                  torch.full((1, 1, 2), 3.5))
lights = Lights(eye[None], torch.ones(1, 1, 1, 3), torch.ones(1, 1, 1), torch.zeros(1, 1, 3))
normals, albedo = torch.ones(1, 3, 3), torch.full((1, 3, 3), 0.5)
render(vertices, torch.tensor([[0, 1, 2]]), normals, albedo, cameras, lights, (8, 8)).sum().backward()
assert vertices.grad.abs().sum() > 0
kernels = numba_rasterizer._rasterize_view, fused_kernels.shade_view, fused_kernels.shade_face_backward
print(*(f"{sum(k.stats.cache_hits.values())} {sum(k.stats.cache_misses.values())}" for k in kernels))
"""


def run_copy(folder: Path, cache: Path, script: str = SCRIPT) -> str:
    """What a script prints when it runs on a copy of the package with the given user cache."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "PYTHON"))}
    environment |= {"PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(cache), "HOME": str(cache)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package in which nothing can be cached: `__pycache__` is a file (root may write
    anywhere)."""
    source = Path(lightning_modules.rendering.__file__).parent
    package = tmp_path / "copy" / "lightning_modules"
    shutil.copytree(source, package / "rendering", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text("")
    (package / "rendering" / "__pycache__").write_text("")
    return package.parent


@pytest.mark.slow
def test_kernels_are_cached_for_the_user_where_the_package_is_read_only(copy: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run_copy(copy, cache, RENDER_SCRIPT) == "0 1 0 1 0 1"
    assert list(cache.rglob("*.nbi"))
    assert run_copy(copy, cache, RENDER_SCRIPT) == "1 0 1 0 1 0"


@pytest.mark.slow
def test_kernels_work_where_nothing_is_writable(copy: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for _ in range(2):
        assert run_copy(copy, blocked / "cache") == "0 1"


@pytest.mark.slow
def test_no_kernel_reads_or_writes_outside_its_arrays(tmp_path: Path) -> None:
    """The tests of everything compiled, with every index checked; a kernel is compiled once for that."""
    tests = Path(__file__).resolve().parents[1]
    faces = [f"faces/test_{name}.py" for name in ("linear_combinations", "normals", "alignment")]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-mnot slow and not gpu", "-pno:cacheprovider",
         f"--basetemp={tmp_path / 'tests'}", "rendering", *faces],
        cwd=tests,
        env=os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path / "kernels")},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


class Interrupting(event.Listener):
    """Ctrl-C while a kernel is compiled."""

    def on_start(self, event: event.Event) -> None:
        signal.raise_signal(signal.SIGINT)

    def on_end(self, event: event.Event) -> None:
        """Nothing."""


def test_an_interruption_waits_until_a_kernel_is_compiled() -> None:
    @compiled
    def doubled(value: float) -> float:
        return 2 * value

    doubled._cache = NullCache()  # what an earlier run of the tests compiled would not be compiled again
    with event.install_listener("numba:compile", Interrupting()), pytest.raises(KeyboardInterrupt):
        doubled(1.5)
    assert len(doubled.signatures) == 1
    assert doubled(1.5) == 3
