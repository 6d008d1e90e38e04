from pathlib import Path

import pytest

from datamodules.mofa import MoFATest

from .conftest import TinyNetwork, write_photograph


def prepared(folder: Path, network: TinyNetwork) -> MoFATest:
    data = MoFATest(folder, [network], cache_folder=folder.parent / "cache", workers=0, progress=False)
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, name in enumerate(("c.png", "a.png", "b.png")):
        write_photograph(tmp_path / "mofa" / name, index)
    write_photograph(tmp_path / "mofa" / "d.png", 7, face=False)
    return tmp_path / "mofa"


@pytest.mark.usefixtures("stub_detector")
def test_every_photograph_is_a_person_unless_a_file_says_otherwise(folder: Path, tiny: TinyNetwork) -> None:
    data = prepared(folder, tiny)
    assert data.identity.tolist() == [0, 1, 2]
    assert data.provenance()["kind"] == "mofa"
    (folder / "identities.txt").write_text("a.png Ann\nc.png Ann\n")
    data = prepared(folder, tiny)
    assert data.people == ["Ann", "b.png", "d.png"]
    assert data.identity.tolist() == [0, 1, 0]


@pytest.mark.usefixtures("stub_detector")
def test_labels_of_photographs_that_are_not_there_are_named(folder: Path, tiny: TinyNetwork) -> None:
    (folder / "identities.txt").write_text("x.png Eve\n")
    with pytest.raises(ValueError, match=r"identities.txt names 1 photographs that are not there, such as x"):
        prepared(folder, tiny)
