import pytest
import torch

from evaluation.shared.judge import judge_name, kept_centre
from lightning_modules.recognition.coloured import Coloured
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


def test_an_unknown_judge_is_refused() -> None:
    with pytest.raises(ValueError, match="no judge is called 'arcface'; there are dlib"):
        judge_name("arcface", None)


@pytest.mark.parametrize("coloured", [False, True])
def test_a_centre_is_the_judge_s_own_whether_the_encoder_was_coloured_or_not(coloured: bool) -> None:
    judge = SmallNetwork()
    trained = Coloured(judge) if coloured else judge
    centre = Centre(0.1 * torch.ones(8), trained.name, trained.sha256, "photographs, training", 600)
    found = kept_centre({"centres": {trained.name: centre.as_dict()}}, judge)
    assert (found.network, found.sha256, found.count) == ("small", judge.sha256, 600)
    torch.testing.assert_close(found.values, centre.values)
    assert kept_centre({"centres": {}}, judge) is None
    with pytest.raises(ValueError, match="the centre belongs to small"):
        kept_centre({"centres": {trained.name: centre.as_dict()}}, SmallNetwork(1))
