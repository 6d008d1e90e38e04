import numpy as np
import pytest
import torch

from evaluation.metrics.nearest import all_finite, nearest


def test_three_queries_and_three_photographs_worked_by_hand_with_ties() -> None:
    # Similarities [[.5, .5, 1], [0, 0, 0], [.2, .9, .2]].
    queries, gallery = torch.tensor([[0.5, 0.5, 1], [0, 0, 0], [0.2, 0.9, 0.2]]), torch.eye(3)
    found = nearest(queries, gallery, 2)
    assert found.index.tolist() == [[2, 0], [0, 1], [1, 0]]
    np.testing.assert_allclose(found.similarity, [[1, 0.5], [0, 0], [0.9, 0.2]])


def test_a_source_that_is_left_out_is_never_found() -> None:
    gallery = torch.eye(3)
    found = nearest(gallery, gallery, 2, left_out=np.arange(3))
    assert found.index.tolist() == [[1, 2], [0, 2], [0, 1]]
    assert nearest(gallery, gallery, 1).index.tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(("k", "block", "threads"), [(1, (5, 7), 1), (5, (16, 300), 2), (40, (64, 4096), 3)])
def test_blocks_and_threads_give_what_a_full_sort_gives(k: int, block: tuple[int, int], threads: int) -> None:
    generator = torch.Generator().manual_seed(k)
    # Whole numbers: many ties, and the product is exact in any order.
    queries, gallery = (torch.randint(-2, 3, (n, 4), generator=generator).float() for n in (33, 700))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = nearest(queries, gallery, k, block=block)
    finally:
        torch.set_num_threads(before)
    similarity = (queries @ gallery.T).numpy()
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.index, order)
    np.testing.assert_array_equal(found.similarity, np.take_along_axis(similarity, order, 1))


def test_more_than_the_gallery_holds_and_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="k must be between 1 and the 2 photographs of the gallery, got 3"):
        nearest(torch.eye(3), torch.eye(3), 3, left_out=np.arange(3))
    with pytest.raises(ValueError, match="embeddings of the gallery are not all finite"):
        nearest(torch.eye(3), torch.full((3, 3), torch.nan), 1)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_value_that_is_not_finite_is_noticed(value: float) -> None:
    embeddings = torch.full((3, 4), 3e38)  # whose sum no float32 holds
    assert all_finite(embeddings)
    embeddings[1, 2] = value
    assert not all_finite(embeddings)
    assert all_finite(embeddings[:0])
