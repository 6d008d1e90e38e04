import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.metrics.all_pairs import all_pairs
from evaluation.metrics.similarity import Bins, histogram


def unit(count: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=generator), dim=1)


def test_three_photographs_of_two_people_worked_by_hand() -> None:
    # Cosines: 0 and 1 (one person) .6, 0 and 2 (two people) -1, 1 and 2 -.6.
    embeddings = torch.tensor([[1.0, 0], [0.6, 0.8], [-1, 0]])
    found = all_pairs(embeddings, np.array([7, 7, 3]), thresholds=[-0.7], bins=Bins(count=4))
    np.testing.assert_allclose(found.same, [0.6], rtol=1e-6)
    assert found.different.tolist() == [2, 0, 0, 0]
    assert found.different_above == {-0.7: 1}
    assert found.different_mean == pytest.approx(-0.8, abs=1e-6)


@pytest.mark.parametrize("block", [(16, 32), (7, 11), (256, 2048)])
def test_blocks_of_any_size_give_what_the_whole_matrix_gives(block: tuple[int, int]) -> None:
    embeddings, identity = unit(101, 6), np.random.default_rng(0).integers(0, 12, 101)
    found = all_pairs(embeddings, identity, thresholds=[0.0, 0.403], block=block)
    similarity = (embeddings @ embeddings.T).numpy()
    first, second = np.triu_indices(101, 1)
    values, same = similarity[first, second], identity[first] == identity[second]
    assert len(found.same) == same.sum()
    np.testing.assert_allclose(np.sort(found.same), np.sort(values[same]), atol=1e-6)
    # Rounding differs between blocks, and moves a value over an edge now and then.
    assert np.abs(found.different - histogram(values[~same])).sum() <= 2
    assert found.different_count == (~same).sum()
    for threshold, count in found.different_above.items():
        assert abs(count - (values[~same] > threshold).sum()) <= 1
    assert found.different_mean == pytest.approx(values[~same].mean(dtype=np.float64), abs=1e-6)


def test_several_threads_give_what_one_gives() -> None:
    embeddings, identity = unit(90, 5), np.arange(90) // 3
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = all_pairs(embeddings, identity, thresholds=[0.1], block=(20, 33))
    finally:
        torch.set_num_threads(threads)
    expected = all_pairs(embeddings, identity, thresholds=[0.1], block=(20, 33))
    # The product itself rounds otherwise on another number of threads.
    np.testing.assert_allclose(found.same, expected.same, atol=1e-6)
    assert np.abs(found.different - expected.different).sum() <= 2
    assert abs(found.different_above[0.1] - expected.different_above[0.1]) <= 1


def test_equal_and_opposite_photographs_stay_in_the_outermost_bins() -> None:
    embeddings = torch.nn.functional.normalize(torch.tensor([[1.0, 2, 3], [1, 2, 3], [-1, -2, -3]]), dim=1)
    found = all_pairs(embeddings, np.arange(3))
    assert found.different[-1] == 1
    assert found.different[0] == 2


def test_the_count_is_that_of_lfw() -> None:
    assert 13233 * 13232 // 2 == 87_549_528
    found = all_pairs(unit(200, 4), np.zeros(200))
    assert len(found.same) == 200 * 199 // 2
    assert np.isnan(found.different_mean)


def test_embeddings_that_are_not_unit_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="must be finite and of unit length"):
        all_pairs(2 * unit(4, 3), np.arange(4))
    with pytest.raises(ValueError, match="must be finite and of unit length"):
        all_pairs(torch.full((4, 3), torch.nan), np.arange(4))
    with pytest.raises(ValueError, match=r"got torch.float32 \[4, 3\] and 5 people"):
        all_pairs(unit(4, 3), np.arange(5))


@pytest.mark.parametrize("bins", [Bins(low=-0.5), Bins(high=0.99)])
def test_bins_that_do_not_hold_all_cosines_are_refused(bins: Bins) -> None:
    with pytest.raises(ValueError, match=r"expected bins that hold all cosines, \[-1, 1\], got \["):
        all_pairs(unit(4, 3), np.arange(4), bins=bins)


def test_no_bin_is_too_narrow_for_cosines_that_rounding_moved_out_of_the_range() -> None:
    # Lengths may miss 1 by .001, so that the cosine of equal photographs is 1.0018: 18 bins of .0001 beyond.
    embeddings = 1.0009 * torch.tensor([[1.0, 0], [1, 0], [-1, 0]])
    found = all_pairs(embeddings, np.arange(3), bins=Bins(count=20_000))
    assert (found.different[0], found.different[-1], found.different_count) == (2, 1, 3)
