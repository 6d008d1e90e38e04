from pathlib import Path

import pytest
import torch

from evaluation.shared.judge import judge_name, kept_centre, shows_retouched
from lightning_modules.recognition.networks import as_encoder
from lightning_modules.recognition.similarity import Centre
from tests.miniatures import SmallNetwork

CONTENT = {"networks": {role: {"name": name} for role, name in
                        {"encoder": "dlib", "identity": "facenet", "judge": "sface"}.items()}}  # fmt: skip


def test_the_checkpoint_s_own_judge_is_the_default() -> None:
    assert judge_name(None, CONTENT) == "sface"
    assert judge_name("vggface", CONTENT) == "vggface"


def test_without_a_checkpoint_sface_judges() -> None:
    assert judge_name(None, None) == "sface"


def test_stage_1_names_no_judge_and_gets_one_that_did_not_train() -> None:
    assert judge_name(None, {"networks": {"encoder": {"name": "sface"}}}) == "dlib"
    assert judge_name(None, {"networks": {"encoder": {"name": "sface-colour"}}}) == "dlib"


@pytest.mark.parametrize("name", ["dlib", "facenet"])
def test_a_training_network_may_not_judge_unless_it_is_allowed(name: str) -> None:
    for suffix in ("", "-colour"):
        content = {"networks": {role: {"name": entry["name"] + suffix * (role != "judge")}
                                for role, entry in CONTENT["networks"].items()}}  # fmt: skip
        with pytest.raises(ValueError, match=f"was trained with {name}, which scores its own training too"):
            judge_name(name, content)
    assert judge_name(name, CONTENT, allow_training_network=True) == name


@pytest.mark.parametrize("trained", [{}, {"retouched": None}, {"retouched": True}, {"retouched": False}])
def test_faces_are_retouched_as_in_training_and_where_nobody_says(trained: dict) -> None:
    content = {"settings": trained}
    assert shows_retouched(None, content) == (trained.get("retouched") is not False)
    for asked in (True, False):
        assert shows_retouched(asked, content) == shows_retouched(asked, None) == asked
    assert shows_retouched(None, None)


def test_an_unknown_judge_is_refused() -> None:
    with pytest.raises(ValueError, match="no recognition network is called 'arcface'; there are dlib"):
        judge_name("arcface", None)


def test_a_judge_of_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"abc")  # SHA-256 ba7816bf...
    (tmp_path / "copy.pth").write_bytes(b"abc")
    (tmp_path / "b.pth").write_bytes(b"other")
    roles = {"encoder": "arcface-ba7816bf-8crops-colour", "judge": "sface"}
    content = {"networks": {role: {"name": name} for role, name in roles.items()}}
    assert judge_name(f"arcface:{tmp_path / 'b.pth'}", content) == f"arcface:{tmp_path / 'b.pth'}"
    with pytest.raises(ValueError, match=r"was trained with arcface:.*copy\.pth, which scores its own"):
        judge_name(f"arcface:{tmp_path / 'copy.pth'}", content)
    with pytest.raises(FileNotFoundError, match=r"none\.pth does not exist"):
        judge_name(f"arcface:{tmp_path / 'none.pth'}", content)
    # The checkpoint's own judge is loaded from where its settings say that its file lies.
    content["networks"]["judge"] = {"name": "arcface-ba7816bf"}
    content["networks"]["encoder"] = {"name": "dlib"}
    content["settings"] = {"judge": f"arcface:{tmp_path / 'a.pth'}"}
    assert judge_name(None, content) == f"arcface:{tmp_path / 'a.pth'}"


@pytest.mark.parametrize("crops", [1, 8])
@pytest.mark.parametrize("coloured", [False, True])
def test_a_centre_is_the_judge_s_own_however_the_encoder_saw(coloured: bool, crops: int) -> None:
    judge = SmallNetwork()
    trained = as_encoder(judge, crops=crops, coloured=coloured)
    centre = Centre(0.1 * torch.ones(8), trained.name, trained.sha256, "photographs, training", 600)
    found = kept_centre({"centres": {trained.name: centre.as_dict()}}, judge)
    assert (found.network, found.sha256, found.count) == ("small", judge.sha256, 600)
    torch.testing.assert_close(found.values, centre.values)
    assert kept_centre({"centres": {}}, judge) is None
    with pytest.raises(ValueError, match="the centre belongs to small"):
        kept_centre({"centres": {trained.name: centre.as_dict()}}, SmallNetwork(1))
