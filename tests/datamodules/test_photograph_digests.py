import hashlib

import numpy as np
import pytest
import torch

from datamodules import photograph_digests
from datamodules.long_work import mapped_columns
from datamodules.photograph_digests import (
    CONTENT,
    Overlap,
    first_by_content,
    kept_digests,
    overlap_of,
    trained_on,
)


def digests_of(numbers: range) -> np.ndarray:
    """As the cache of faces holds them."""
    return np.frombuffer(b"".join(hashlib.sha256(b"%d" % n).digest() for n in numbers), "V32")


def test_photographs_that_were_trained_on_are_counted_one_by_one() -> None:
    kept = kept_digests(digests_of(range(100)))
    assert (kept.dtype, len(kept)) == (torch.int64, 100)
    assert bool((kept[1:] > kept[:-1]).all())
    assert overlap_of(kept, digests_of(range(90, 130))) == Overlap(10, 40, 40)
    assert overlap_of(kept, digests_of(range(100, 200))) == Overlap(0, 100, 100)


def test_a_photograph_counts_once_however_many_faces_or_copies_it_has() -> None:
    twice = np.concatenate([digests_of(range(10)), digests_of(range(10))])
    assert len(kept_digests(twice)) == 10
    assert overlap_of(kept_digests(twice), twice) == Overlap(10, 10, 10)


def test_of_many_photographs_a_sample_is_kept_and_the_share_estimated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(photograph_digests, "KEPT", 500)
    kept = kept_digests(digests_of(range(4_000)))
    assert len(kept) == 500
    overlap = overlap_of(kept, digests_of(range(3_000, 5_000)))
    assert overlap.scored == 2_000
    assert 0 < overlap.looked_up < 500
    assert overlap.seen / overlap.looked_up == pytest.approx(0.5, abs=0.1)
    about = int(str(overlap).split("about ")[1].split()[0].replace(",", ""))
    assert about == pytest.approx(1_000, abs=200)
    assert overlap_of(kept, digests_of(range(4_000, 6_000))).seen == 0


def test_the_title_s_end_says_how_many_or_nothing() -> None:
    digests = digests_of(range(5))
    content = {CONTENT: kept_digests(digests)}
    assert trained_on(content, digests) == "; TRAINED ON 5 of these 5 photographs"
    assert trained_on(content, digests_of(range(5, 9))) == ""
    assert trained_on({}, digests) == trained_on(None, digests) == ""


@pytest.mark.parametrize("count", [0, 1, 5, 6, 30, 200])
def test_the_first_by_content_are_those_of_sorting_all(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_columns, "AT_ONCE", 16)
    digests = digests_of(range(60))
    # Copies, and contents whose first eight bytes are the same.
    alike = digests[:20].view(np.uint8).reshape(20, 32).copy()
    alike[:, 8:] = alike[::-1, 8:]
    digests = np.concatenate([digests, digests[:30], alike.view("V32")[:, 0]])
    chosen = np.random.default_rng(0).random(len(digests)) < 0.6
    by_content = np.argsort(digests.view("S32"), kind="stable")
    expected = by_content[chosen[by_content]][:count]
    assert first_by_content(digests, chosen, count).tolist() == expected.tolist()
    assert len(first_by_content(digests, np.zeros(len(digests), bool), count)) == 0
