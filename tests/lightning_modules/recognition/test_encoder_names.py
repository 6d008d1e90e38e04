import pytest

from lightning_modules.recognition.encoder_names import EncoderName, ending, underlying


@pytest.mark.parametrize("network", ["dlib", "arcface-1a2b3c4d", "torch:a folder/net-2.pt"])
@pytest.mark.parametrize(
    ("added", "crops", "coloured"),
    [("", 1, False), ("-colour", 1, True), ("-4crops", 4, False), ("-16crops-colour", 16, True)],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_name_says_what_an_encoder_adds(
    network: str, added: str, crops: int, coloured: bool, mapped: bool
) -> None:
    added += "-map" if mapped else ""
    assert EncoderName.of(network + added) == (network, crops, coloured, mapped)
    assert underlying(network + added) == network
    assert ending(network + added) == added


def test_a_name_without_a_network_is_its_own() -> None:
    assert EncoderName.of("") == ("", 1, False, False)
