from pathlib import Path

import pytest

from lightning_modules.plain.json_content import read_json

SCHEMA = {"type": "object", "required": ["a"], "properties": {"a": {"type": "array"}}}


def test_what_follows_its_schema_is_read(tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text('{"a": [1, null]}')
    assert read_json(tmp_path / "some.json", SCHEMA) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("null", r"does not follow its schema at \$: None is not of type 'object'"),
        ("[]", r"does not follow its schema at \$: \[\] is not of type 'object'"),
        ("{}", r"does not follow its schema at \$: 'a' is a required property"),
        ('{"a": 3}', r"does not follow its schema at \$.a: 3 is not of type 'array'"),
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("\xff", "is not JSON"),
        ("9" * 5000, "is not JSON"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "is nested too deeply"),
    ],
)
def test_what_does_not_is_one_sentence(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "some.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"some.json {reason}"):
        read_json(tmp_path / "some.json", SCHEMA)
