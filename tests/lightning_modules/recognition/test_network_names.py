import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lightning_modules.plain.command_line import parse_settings
from lightning_modules.recognition.network_names import (
    NetworkName,
    check_network,
    file_kind,
    network_name,
    place_of_network,
)


def test_a_word_names_itself_and_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"abc")  # SHA-256 ba7816bf 8f01cfea...
    assert network_name("dlib") == "dlib"
    assert network_name(f"arcface:{tmp_path / 'a.pth'}") == "arcface-ba7816bf"
    assert file_kind("arcface-ba7816bf") == "arcface"
    assert [file_kind(name) for name in ("dlib", "dlib-colour", "arcface", "arcface-x")] == [None] * 4


def test_the_file_of_a_specification_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place_of_network("arcface:~/a.pth") == tmp_path / "a.pth"
    assert [place_of_network(name) for name in (None, "dlib", "arcface:", "nowhere:a")] == [None] * 4


@pytest.mark.parametrize("name", ["arcface", "arcface:", "dlb", "caffe:x"])
def test_what_names_no_network_is_refused(name: str) -> None:
    with pytest.raises(
        ValueError,
        match=rf"called '{name}'; there are dlib, .* and arcface:FILE, onnx:FILE, torch",
    ):
        check_network(name)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.pth does not exist; expected the file of the recogn"):
        check_network(f"arcface:{tmp_path / 'a.pth'}")


@dataclass(frozen=True)
class Options:
    """Options.

    Attributes:
        network: a network.
    """

    network: NetworkName = "dlib"


def test_an_option_takes_words_and_files_as_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("sface", "arcface:some/backbone.pth"):
        (options,) = parse_settings((Options,), ["--network", value], program="x", description="x")
        assert options.network == value
        assert type(options.network) is str
    with pytest.raises(SystemExit):
        parse_settings((Options,), ["--network", "mnist"], program="x", description="x")
    assert "dlib, sface, facenet or vggface or arcface:FILE, onnx:FILE, torch:FILE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_settings((Options,), ["--help"], program="x", description="x")
    assert "dlib|sface|facenet|vggface|arcface|onnx|torch:FILE" in "".join(capsys.readouterr().out.split())


def test_names_are_read_without_torch() -> None:
    program = "import sys, lightning_modules.recognition.network_names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
