"""JSON from files: one sentence for what is no JSON, nested without end, or of another form than expected."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match


def read_json(file: Path, schema: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - whatever a file holds
    """What a file holds.

    Args:
        file: of UTF-8 text.
        schema: a JSON Schema that it must follow.

    Raises:
        OSError: if it cannot be read.
        ValueError: naming the file and what is wrong with it.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        error = None if schema is None else best_match(Draft202012Validator(schema).iter_errors(content))
    except RecursionError:
        raise ValueError(f"{file} is nested too deeply for what it should be") from None
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error})") from error
    if error is not None:
        raise ValueError(f"{file} does not follow its schema at {error.json_path}: {error.message[:200]}")
    return content
