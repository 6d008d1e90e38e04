import io

import pytest
import torch
from torch.nn import functional

from lightning_modules.recognition.similarity import (
    Centre,
    centred,
    check_centre,
    cosine_matrix,
    cosine_similarity,
    estimate_centre,
)


def unit(count: int, width: int = 8, seed: int = 0) -> torch.Tensor:
    values = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return functional.normalize(values + 2, dim=1)  # one common direction, as dlib's have


def centre_of(embeddings: torch.Tensor) -> Centre:
    return estimate_centre(embeddings, network="dlib", sha256="ab", source="test", minimum=2)


def test_cosine_of_equal_opposite_and_orthogonal_embeddings() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    assert cosine_similarity(first, second).tolist() == [1.0, -1.0, 0.0]


def test_matrix_holds_the_paired_cosines_on_its_diagonal() -> None:
    first, second = unit(5), unit(5, seed=1)
    centre = centre_of(unit(50, seed=2))
    matrix = cosine_matrix(first, second, centre)
    torch.testing.assert_close(matrix.diagonal(), cosine_similarity(first, second, centre))


def test_a_centre_removes_the_common_direction() -> None:
    embeddings = unit(400)
    different = ~torch.eye(400, dtype=torch.bool)
    assert cosine_matrix(embeddings, embeddings)[different].mean() > 0.7
    centre = centre_of(embeddings)
    assert cosine_matrix(embeddings, embeddings, centre)[different].mean().abs() < 0.02
    torch.testing.assert_close(centred(embeddings, centre).norm(dim=1), torch.ones(400))


def test_too_few_photographs_make_no_centre() -> None:
    with pytest.raises(ValueError, match=r"at least 500 photographs, got 499 from holiday"):
        estimate_centre(unit(499), network="dlib", sha256="ab", source="holiday")


def test_a_centre_survives_a_checkpoint_without_code() -> None:
    centre, file = centre_of(unit(10)), io.BytesIO()
    torch.save(centre.as_dict(), file)
    file.seek(0)
    again = Centre.from_dict(torch.load(file, weights_only=True))
    assert again._replace(values=0) == centre._replace(values=0)
    assert torch.equal(again.values, centre.values)


def test_a_centre_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"belongs to dlib \(ab\), the embeddings to sface \(cd\)"):
        check_centre(centre_of(unit(10)), "sface", "cd")
    with pytest.raises(ValueError, match=r"has 8 values, the embeddings have 4; they come from different"):
        centred(torch.ones(1, 4), centre_of(unit(10)))
    check_centre(None, "sface", "cd")
