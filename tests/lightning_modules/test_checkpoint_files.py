from pathlib import Path

import pytest
import torch

from lightning_modules.checkpoint_files import why_not_whole, write_sealed

CONTENT = {"weights": torch.arange(50.0), "step": 3}


def test_a_sealed_file_is_read_as_any_other(tmp_path: Path) -> None:
    write_sealed(CONTENT, tmp_path / "some.ckpt")
    assert why_not_whole(tmp_path / "some.ckpt") == ""
    found = torch.load(tmp_path / "some.ckpt", weights_only=True)
    assert torch.equal(found.pop("weights"), CONTENT["weights"])
    assert found == {"step": 3}


@pytest.mark.parametrize("name", [".hidden", "face", ".out 1-0y8z7cmn", "größe.", "a\nb.ckpt"])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    write_sealed(CONTENT, tmp_path / name)
    assert why_not_whole(tmp_path / name) == ""
    assert torch.load(tmp_path / name, weights_only=True)["step"] == 3


def test_a_file_without_a_digest_says_nothing(tmp_path: Path) -> None:
    torch.save(CONTENT, tmp_path / "old.ckpt")
    assert why_not_whole(tmp_path / "old.ckpt") == ""


def test_no_changed_byte_goes_unseen(tmp_path: Path) -> None:
    write_sealed(CONTENT, tmp_path / "some.ckpt")
    whole = (tmp_path / "some.ckpt").read_bytes()
    for place in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (tmp_path / "some.ckpt").write_bytes(changed)
        assert why_not_whole(tmp_path / "some.ckpt") != "", place
