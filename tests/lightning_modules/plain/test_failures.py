import pytest

from lightning_modules.plain.failures import counted_by_kind, failure_kind


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no face found", "no face found"),
        ("damaged image (broken data stream: 3 bytes)", "damaged image"),
        ("no mesh: methods/ours has none of anna (nor bob)", "no mesh"),
        ("not an image, or of an unknown format", "not an image, or of an unknown format"),
    ],
)
def test_a_kind_is_a_reason_without_its_details(reason: str, kind: str) -> None:
    assert failure_kind(reason) == kind


def test_failures_are_counted_by_kind() -> None:
    reasons = ["no face found", "damaged image (a)", "damaged image (b)", "no face found: empty picture"]
    assert counted_by_kind(reasons) == {"no face found": 2, "damaged image": 2}
    assert counted_by_kind([]) == {}
