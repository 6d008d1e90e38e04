from itertools import permutations

import numpy as np
import pytest
import torch
from torch.nn import functional

from evaluation.metrics.nearest import nearest
from evaluation.metrics.retrieval import (
    Ranks,
    centred_by_own_mean,
    chance,
    cumulative_match,
    expected_found,
    found,
    rank,
    rank_in_blocks,
)

PEOPLE = np.arange(3)
# Person 0: nobody is ahead of the right photograph, one ties. Person 1: the right one is alone ahead.
# Person 2: one is ahead and one ties.
SIMILARITY = np.array([[0.7, 0.7, 0.1], [0.2, 0.9, 0.3], [0.8, 0.4, 0.4]])


def test_top_k_of_three_by_three_with_ties_by_hand() -> None:
    ranks = rank(SIMILARITY, PEOPLE, PEOPLE)
    assert ranks.ahead.tolist() == [0, 0, 1]
    assert ranks.tied_wrong.tolist() == [1, 0, 1]
    assert ranks.tied_right.tolist() == [1, 1, 1]
    assert found(ranks, 1).tolist() == [False, True, False]
    assert found(ranks, 2).tolist() == [True, True, False]
    assert found(ranks, 3).tolist() == [True, True, True]
    assert expected_found(ranks, 1) == pytest.approx([0.5, 1.0, 0.0])
    assert expected_found(ranks, 2) == pytest.approx([1.0, 1.0, 0.5])
    assert cumulative_match(ranks, 3) == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_expected_hits_are_the_mean_over_all_orders_of_ties() -> None:
    # One photograph ahead; five tied, two of them right; one behind.
    similarity = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1])
    gallery = np.array([1, 0, 2, 3, 0, 4, 5])
    ranks = rank(similarity[None], np.array([0]), gallery)
    orders = list(permutations(range(1, 6)))
    for k in range(1, 7):
        hits = [0 in gallery[[0, *order, 6][:k]] for order in orders]
        assert expected_found(ranks, k)[0] == pytest.approx(np.mean(hits)), k


def test_the_source_photograph_can_be_left_out() -> None:
    similarity = np.array([[0.9, 0.4, 0.5, 0.1]])
    gallery = np.array([0, 0, 1, 1])
    assert found(rank(similarity, np.array([0]), gallery), 1).tolist() == [True]
    ranks = rank(similarity, np.array([0]), gallery, left_out=np.array([0]))
    assert ranks.ahead.tolist() == [1]
    assert (found(ranks, 1).tolist(), found(ranks, 2).tolist()) == ([False], [True])


def test_a_person_without_photographs_is_no_miss() -> None:
    ranks = rank(SIMILARITY, PEOPLE, PEOPLE, left_out=PEOPLE)
    assert not ranks.findable.any()
    with pytest.raises(ValueError, match="no photograph of 3 queries' people; count them as failed"):
        found(ranks, 1)
    mixed = rank(SIMILARITY, np.array([0, 7, 2]), PEOPLE)
    assert mixed.findable.tolist() == [True, False, True]
    with pytest.raises(ValueError, match="no photograph of 1 queries' people"):
        expected_found(mixed, 1)
    assert found(mixed.of(mixed.findable), 2).tolist() == [True, False]


@pytest.mark.parametrize("left_out", [False, True])
def test_blocks_give_what_the_whole_matrix_gives(left_out: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    gallery = functional.normalize(torch.randn(300, 8, generator=generator), dim=1)
    gallery[150:160] = gallery[:10]  # duplicates: ties, some of them between people
    identity = np.random.default_rng(0).integers(0, 60, 300)
    source = np.arange(0, 300, 3)
    queries = functional.normalize(gallery[source] + 0.5 * torch.randn(100, 8, generator=generator), dim=1)
    arguments = {"left_out": source if left_out else None, "tie_tolerance": 1e-6}
    whole = rank((queries @ gallery.T).numpy(), identity[source], identity, **arguments)
    blocked = rank_in_blocks(queries, gallery, identity[source], identity, block=(32, 70), **arguments)
    for expected, ours in zip(whole, blocked, strict=True):
        assert ours.tolist() == expected.tolist()
    assert whole.tied_wrong.any()
    assert whole.findable.all() != left_out  # somebody has only the one photograph


def test_ranks_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    similarity = np.random.default_rng(1).normal(size=(40, 40))
    ranks = rank(similarity, np.arange(40), np.arange(40))
    for k in (1, 5, 20):
        expected = metrics.top_k_accuracy_score(np.arange(40), similarity, k=k)
        assert found(ranks, k).mean() == pytest.approx(expected)


def test_chance_by_hand() -> None:
    gallery = np.array([0, 0, 1, 2])
    level = chance(np.array([0, 1]), gallery, 2)
    # Two of four, one of them of the two right: 1 - 1/6. The one right one: 2/4.
    assert level.per_photograph == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert level.per_identity == pytest.approx(2 / 3)
    # Without the source person 0 has one of three left; person 1 has none and is left out.
    without = chance(np.array([0, 1]), gallery, 2, source_left_out=True)
    assert without.per_photograph == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="none of the queries' people"):
        chance(np.array([9]), gallery, 1)


def test_chance_is_what_random_similarities_find() -> None:
    generator = np.random.default_rng(2)
    gallery = np.repeat(np.arange(20), 5)
    ranks = rank(generator.random((20_000, 100)), generator.integers(0, 20, 20_000), gallery)
    level = chance(np.arange(20), gallery, 5).per_photograph
    assert found(ranks, 5).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 20_000))


def test_centring_removes_a_hub() -> None:
    generator = torch.Generator().manual_seed(3)
    people = functional.normalize(torch.randn(50, 16, generator=generator), dim=1)
    photographs = people + 3 * torch.eye(16)[0]
    renderings = people + 3 * torch.eye(16)[1] + 0.3 * torch.randn(50, 16, generator=generator)
    identity = np.arange(50)
    plain = functional.normalize(renderings, dim=1) @ functional.normalize(photographs, dim=1).T
    centred = centred_by_own_mean(renderings) @ centred_by_own_mean(photographs).T
    shares = [found(rank(s.numpy(), identity, identity), 1).mean() for s in (plain, centred)]
    assert shares[1] > shares[0] + 0.2
    assert centred_by_own_mean(photographs).norm(dim=1).numpy() == pytest.approx(1, abs=1e-6)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"similarity must be \[3, 2\], got \[3, 3\]"):
        rank(SIMILARITY, PEOPLE, PEOPLE[:2])
    with pytest.raises(ValueError, match="1 similarities are not finite"):
        rank(np.where(SIMILARITY == 0.9, np.nan, SIMILARITY), PEOPLE, PEOPLE)
    with pytest.raises(ValueError, match="source photograph shows another person"):
        rank(SIMILARITY, PEOPLE, PEOPLE, left_out=PEOPLE[::-1])
    queries = torch.eye(3)
    with pytest.raises(ValueError, match="3 queries and 3 photographs, got 2 and 3"):
        rank_in_blocks(queries, queries, PEOPLE[:2], PEOPLE)
    with pytest.raises(ValueError, match="the embeddings of the gallery are not all finite"):
        rank_in_blocks(queries, queries / 0, PEOPLE, PEOPLE)
    assert isinstance(rank_in_blocks(queries, queries, PEOPLE, PEOPLE), Ranks)


@pytest.mark.parametrize(
    "left_out", [[-3, -2, -1], [0], [0.0, 1.0, 2.0], [0, 1, 99], [True, True, False], [[0, 1, 2]]]
)
def test_sources_that_are_no_photographs_of_the_gallery_are_refused(left_out: list) -> None:
    units, sources = torch.eye(3), np.array(left_out)
    with pytest.raises(ValueError, match="left_out must hold a gallery index, 0 to 2, for each of 3 queries"):
        rank(SIMILARITY, PEOPLE, PEOPLE, left_out=sources)
    with pytest.raises(ValueError, match="left_out must hold a gallery index, 0 to 2"):
        rank_in_blocks(units, units, PEOPLE, PEOPLE, left_out=sources)
    with pytest.raises(ValueError, match="left_out must hold a gallery index, 0 to 2"):
        nearest(units, units, 1, left_out=sources)


def test_no_queries_and_no_gallery_have_ranks_and_no_chance() -> None:
    units, nobody = torch.eye(3), np.empty(0, int)
    assert [field.shape for field in rank_in_blocks(units[:0], units, nobody, PEOPLE)] == [(0,)] * 3
    for ranks in (
        rank(np.empty((3, 0)), PEOPLE, nobody),
        rank_in_blocks(units, units[:0], PEOPLE, nobody),
    ):
        assert ranks.findable.tolist() == [False, False, False]
    with pytest.raises(ValueError, match="shows none of the queries' people: it is empty"):
        chance(PEOPLE, nobody, 1)
    with pytest.raises(ValueError, match="k must be at least 1, got -1"):
        chance(PEOPLE, PEOPLE, -1)
    with pytest.raises(ValueError, match=r"as wide as the gallery, got \[3, 2\] and \[3, 3\]"):
        rank_in_blocks(units[:, :2], units, PEOPLE, PEOPLE)
