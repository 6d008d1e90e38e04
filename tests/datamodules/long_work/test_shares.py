from pathlib import Path

import pytest

from datamodules.long_work.shares import Share, in_shares


def test_every_piece_of_work_belongs_to_one_share() -> None:
    shares = [Share.parse(f"{number}/3") for number in (1, 2, 3)]
    assert [[place for place in range(7) if share.takes(place)] for share in shares] == [
        [0, 3, 6],
        [1, 4],
        [2, 5],
    ]
    files = [Path(f"/photographs/{number}.jpg") for number in range(300)]
    takers = [sum(share.takes_file(file) for share in shares) for file in files]
    assert takers == [1] * 300
    assert all(80 < sum(map(share.takes_file, files)) < 120 for share in shares)


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_a_share_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a share such as 3/16, from 1/16 to 16/16, got"):
        Share.parse(text)


def test_a_number_beyond_the_count_is_refused() -> None:
    with pytest.raises(ValueError, match="share 3 of 2: expected a number from 1 to 2"):
        Share(3, 2)


def test_the_first_puts_together_once_all_are_done() -> None:
    done: list[str] = []

    def work(share: Share | None) -> list[str]:
        done.clear()
        in_shares(share, lambda share: done.append(f"share {share.number}"), lambda: done.append("whole"))
        return done

    def meet() -> None:
        done.append("met")

    assert work(None) == ["whole"]
    assert work(Share(2, 2)) == ["share 2"]
    assert work(Share(1, 2, meet)) == ["share 1", "met", "whole", "met"]
    assert work(Share(2, 2, meet)) == ["share 2", "met", "met"]
