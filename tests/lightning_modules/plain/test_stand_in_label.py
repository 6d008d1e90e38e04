import re
from pathlib import Path

from lightning_modules.plain.stand_in_label import labelled

ROOT = Path(__file__).parents[3]


def test_a_stand_in_is_said_at_the_start_of_a_title() -> None:
    assert labelled("similarity of a checkpoint", stand_in=True) == "STAND-IN: similarity of a checkpoint"
    assert labelled("similarity of a checkpoint", stand_in=False) == "similarity of a checkpoint"


def test_no_other_file_writes_the_label_by_itself() -> None:
    for folder in ("lightning_modules", "datamodules", "evaluation", "ablations"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "stand_in_label.py":
                written = re.findall(r"""f?["']STAND-IN(?:: |\. |["'])""", path.read_text(encoding="utf-8"))
                assert not written, f"{path.relative_to(ROOT)} writes {written[0]}; take labelled or STAND_IN"
