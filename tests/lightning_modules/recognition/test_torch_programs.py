"""`torch:FILE`: what is no program of torch.export.save is refused in one sentence, and runs nothing."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from lightning_modules.recognition.described_networks import load_torch
from lightning_modules.recognition.torch_programs import FORBIDDEN, FORCED, read_program
from lightning_modules.recognition.weight_files import WeightFileError
from tests.lightning_modules.recognition.test_described_networks import SmallTorch, describe, save_program


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.made),)


def saved(content: object, *, old: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return save_program(tmp_path / "small.pt2", SmallTorch().eval())


def changed(program: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Another archive, of the same parts but for what `change` makes of them; None leaves one out."""
    path = describe(program.with_name("changed.pt2"))
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if (content := change(name, source.read(name))) is not None:
                target.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightFileError) as refused:
        load_torch(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "kind", ["module", "weights", "prefixed weights", "weights of bfloat16", "malicious"]
)
def test_what_torch_save_wrote_is_refused_without_running_it(tmp_path: Path, kind: str, *, old: bool) -> None:
    made, module = tmp_path / "made", SmallTorch()
    weights = module.state_dict()
    content = {
        "module": nn.Sequential(nn.Conv2d(3, 4, 3)),
        "weights": weights,
        "prefixed weights": {"state_dict": {f"module.{name}": value for name, value in weights.items()}},
        "weights of bfloat16": {name: value.bfloat16() for name, value in weights.items()},
        "malicious": Malicious(made),
    }[kind]
    path = describe(tmp_path / "saved.pt")
    path.write_bytes(saved(content, old=old))
    said = refusal(path)
    assert "saved.pt was written by torch.save: it holds weights or a module without the code" in said
    assert said.endswith(
        "export the network with dynamic batch and write it by torch.export.save (docs/models.md)"
    )
    assert not made.exists()


def test_other_files_are_named(tmp_path: Path, program: Path) -> None:
    path = describe(tmp_path / "other.pt2")
    for content, message in (
        (b"", "is empty"),
        (b"<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (program.read_bytes()[:2000], "is cut off or damaged"),
        (bytes(range(1, 200)), "is no archive"),
    ):
        path.write_bytes(content)
        assert f"other.pt2 {message}" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "weights")
    assert "is a ZIP archive of another program" in refusal(path)


@pytest.mark.filterwarnings("ignore:`torch.jit.*deprecated:DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = describe(tmp_path / "script.pt")
    torch.jit.save(torch.jit.trace(SmallTorch().eval(), torch.zeros(2, 3, 112, 112)), str(path))
    assert "is a TorchScript program" in refusal(path)


@pytest.mark.parametrize("part", ["sample_inputs", "weights", "bare pickle"])
def test_pickles_inside_an_archive_run_nothing(
    tmp_path: Path, program: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made"
    monkeypatch.setenv(FORBIDDEN, "1")  # as somebody may have set it for other programs
    monkeypatch.delenv(FORCED, raising=False)

    def change(name: str, content: bytes) -> bytes:
        if part == "weights" and name.endswith("model_weights_config.json"):
            config = json.loads(content)
            for entry in config["config"].values():
                entry["use_pickle"] = True
            return json.dumps(config).encode()
        if part == "weights" and "/weights/weight_" in name:
            return saved(Malicious(made))
        if part != "weights" and name.endswith("sample_inputs/model.pt"):
            return pickle.dumps(Malicious(made), 2) if part == "bare pickle" else saved(Malicious(made))
        return content

    path = changed(program, change)
    assert "it holds objects of other kinds than tensors, which are never loaded" in refusal(path)
    assert not made.exists()
    assert (os.environ[FORBIDDEN], os.environ.get(FORCED)) == ("1", None)


def test_damaged_and_incomplete_archives_are_refused(program: Path) -> None:
    lacking = changed(program, lambda name, content: None if name.endswith("weight_0") else content)
    assert "cannot be read as an archive of torch.export.save" in refusal(lacking)
    content = bytearray(program.read_bytes())
    with zipfile.ZipFile(program) as archive:
        start = archive.getinfo(next(n for n in archive.namelist() if n.endswith("weight_0"))).header_offset
    content[start + 200] ^= 1
    program.write_bytes(content)
    assert "weight_0 in it does not fit its checksum" in refusal(program)


def test_a_program_is_known_by_its_content_whatever_it_is_called(program: Path, tmp_path: Path) -> None:
    renamed = describe(program.rename(tmp_path / "small.PT"))
    assert isinstance(read_program(renamed), nn.Module)
    assert load_torch(renamed).differentiable


class Outputs(nn.Module):
    """Gives its pictures' first six numbers in one of several forms."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, images: torch.Tensor) -> object:
        """Of pictures [B, 3, H, W]."""
        first = images.flatten(1)[:, :6]
        if self.form == "mapping":
            return {"code": first}
        return first * float("nan") if self.form == "nan" else (first, first, first)


@pytest.mark.parametrize(
    ("form", "sidecar", "message"),
    [
        ("mapping", {}, "it has no value 'embedding', but code"),
        ("three", {}, "it gives 3 values; expected the embedding, features and embedding, or a mapping"),
        ("nan", {}, "gives numbers that are not finite for two pictures"),
        ("nan", {"features": "maps", "feature_width": 6}, "it gives the embedding alone; leave features out"),
    ],
)
def test_outputs_of_other_forms_are_named(tmp_path: Path, form: str, sidecar: dict, message: str) -> None:
    assert message in refusal(save_program(tmp_path / "small.pt2", Outputs(form), **sidecar))


@pytest.mark.parametrize("batch", [1, 2])
def test_a_batch_that_is_written_into_a_program_is_refused(tmp_path: Path, batch: int) -> None:
    path = describe(tmp_path / "fixed.pt2")
    program = torch.export.export(SmallTorch().eval(), (torch.zeros(batch, 3, 112, 112),))
    torch.export.save(program, str(path))
    said = refusal(path)
    assert f"cannot describe {'two' if batch == 1 else 'three'} pictures of 112 pixels" in said
    assert said.endswith("export it with a dynamic batch")


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_programs_of_half_precision_compute_in_the_suite_s(tmp_path: Path, precision: torch.dtype) -> None:
    path = describe(tmp_path / "half.pt2")
    batch = torch.export.Dim("batch", min=1, max=512)
    module, images = SmallTorch().eval().to(precision), torch.zeros(2, 3, 112, 112, dtype=precision)
    torch.export.save(torch.export.export(module, (images,), dynamic_shapes=({0: batch},)), str(path))
    assert load_torch(path).differentiable
