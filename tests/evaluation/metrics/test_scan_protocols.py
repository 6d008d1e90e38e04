from dataclasses import fields

import pytest

from evaluation.metrics.scan_protocols import DEFAULT, PROTOCOLS, scan_protocol


def test_the_seven_presets_are_there_and_genova_is_the_default() -> None:
    assert list(PROTOCOLS) == ["genova", "tran", "ganfit", "deng", "now", "fg2018", "realy-like"]
    assert DEFAULT == "genova"
    assert all(scan_protocol(name).name == name for name in PROTOCOLS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_status_belongs_to_a_field_and_is_known_recalled_or_chosen(name: str) -> None:
    protocol = scan_protocol(name)
    assert set(protocol.status) <= {field.name for field in fields(protocol)}
    assert set(protocol.status.values()) <= {"known", "recalled", "chosen"}
    assert {"start", "refined", "scaling", "measure", "directions", "weighting"} <= set(
        protocol.status
    ) or not (protocol.refined)


def test_realy_is_asked_for_by_its_name_and_called_what_it_is() -> None:
    assert scan_protocol("realy") is PROTOCOLS["realy-like"]
    assert scan_protocol("realy").status["region"] == "chosen"


def test_only_ganfit_crops_subject_28_at_60_mm() -> None:
    assert scan_protocol("ganfit").radius_for(28) == 60
    assert scan_protocol("ganfit").radius_for(27) == 95
    assert scan_protocol("ganfit").radius_for(None) == 95
    assert scan_protocol("genova").radius_for(28) == 95


def test_an_unknown_protocol_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="no protocol 'micc'; give one of genova, tran"):
        scan_protocol("micc")
