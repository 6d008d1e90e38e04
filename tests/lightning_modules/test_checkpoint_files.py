import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from lightning_modules.checkpoint_files import read_sealed, write_sealed

CONTENT = {"weights": torch.arange(50.0), "step": 3}


@pytest.fixture(params=[True, False], ids=["sealed", "of an older version"])
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    file = tmp_path / "some.ckpt"
    (write_sealed if request.param else torch.save)(CONTENT, file)
    return file


def test_content_comes_back_as_it_was(written: Path) -> None:
    found = read_sealed(written)
    assert torch.equal(found.pop("weights"), CONTENT["weights"])
    assert found == {"step": 3}
    assert torch.load(written, weights_only=True).keys() == CONTENT.keys()


def test_no_changed_byte_of_a_sealed_file_goes_unseen(tmp_path: Path) -> None:
    write_sealed(CONTENT, tmp_path / "some.ckpt")
    whole = (tmp_path / "some.ckpt").read_bytes()
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (tmp_path / "some.ckpt").write_bytes(changed)
        with pytest.raises(ValueError, match=r"digest says|check sums say|cut off|no file of PyTorch"):
            read_sealed(tmp_path / "some.ckpt")


def test_a_changed_value_in_an_older_file_is_seen(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "old.ckpt")
    whole = (tmp_path / "old.ckpt").read_bytes()
    place = whole.index(CONTENT["weights"].numpy().tobytes())
    (tmp_path / "old.ckpt").write_bytes(whole[:place] + b"\x01" + whole[place + 1 :])
    with pytest.raises(ValueError, match="its content is not what its own check sums say"):
        read_sealed(tmp_path / "old.ckpt")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_refused(written: Path, share: float) -> None:
    os.truncate(written, int(share * written.stat().st_size))
    with pytest.raises(
        ValueError, match=r"it was cut off, or its end was overwritten|no file of PyT|check sums"
    ):
        read_sealed(written)


def compressed() -> bytes:
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "it is a pointer of Git LFS",
        ),
        (b"\n<!DOCTYPE html><html>", "it is a web page"),
        (b'{"error": "not found"}', "it is JSON text"),
        (pickle.dumps({"state_dict": {}}), "it is a pickle, which may run code and is not read"),
        (b"no checkpoint", "it is no file of PyTorch's"),
        (compressed(), "parts of it are compressed"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "other.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_sealed(tmp_path / "other.ckpt")


class Payload:
    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


def test_nothing_is_executed_and_nobody_is_told_to_execute_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Payload()}, "trap.ckpt")
    with pytest.raises(ValueError, match=r"^it holds something else than tensors, numbers and text$"):
        read_sealed(Path("trap.ckpt"))
    assert not Path("executed").exists()
