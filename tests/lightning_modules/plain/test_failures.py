import pytest

from lightning_modules.plain.failures import as_one_reason, counted_by_kind, failure_kind


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


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OverflowError("too large\nfor C"), r"^it cannot be read \(OverflowError: too large\)$"),
        (MemoryError(), r"^it cannot be read \(MemoryError\)$"),
        (RecursionError("deep"), r"^it cannot be read \(RecursionError: deep\)$"),
        (ValueError("line 3: no number"), r"^line 3: no number$"),
    ],
)
def test_whatever_a_damaged_file_leads_to_is_one_reason(error: Exception, reason: str) -> None:
    with pytest.raises(ValueError, match=reason), as_one_reason("it cannot be read"):
        raise error


def test_failures_are_counted_by_kind() -> None:
    reasons = ["no face found", "damaged image (a)", "damaged image (b)", "no face found: empty picture"]
    assert counted_by_kind(reasons) == {"no face found": 2, "damaged image": 2}
    assert counted_by_kind([]) == {}
