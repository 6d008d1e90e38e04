from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.alignment.face_cache import AlignedFaces, FaceCache
from datamodules.alignment.face_rows import KEY, face_keys
from datamodules.alignment.feature_cache import FaceFeatures, to_images
from datamodules.alignment.images import list_photographs
from lightning_modules.recognition.several_crops import SeveralCrops

from ..conftest import TinyNetwork

Aligned = tuple[FaceCache, AlignedFaces]


@pytest.fixture
def aligned(photograph_folder: Path, tmp_path: Path, stub_detector: list) -> Aligned:
    cache = FaceCache(tmp_path / "cache")
    return cache, cache.align(list_photographs(photograph_folder), workers=0, progress=False)


def compute(cache: FaceCache, faces: AlignedFaces, network: TinyNetwork, batch_size: int = 3) -> FaceFeatures:
    features = FaceFeatures(cache, network)
    features.compute(cache, faces, network, batch_size=batch_size, progress=False)
    return features


def test_features_are_what_the_network_says_of_each_crop(aligned: Aligned, tiny: TinyNetwork) -> None:
    cache, faces = aligned
    store = compute(cache, faces, tiny)
    crops = np.stack([cache.read_crop(faces.digest[i].tobytes(), faces.face[i]) for i in range(4)])
    features, embedding, descriptor = tiny(to_images(crops))
    rows = store.rows(face_keys(faces))
    torch.testing.assert_close(store.features(rows), features)
    torch.testing.assert_close(store.descriptors(rows), descriptor)
    torch.testing.assert_close(store.embeddings(rows), embedding)


def test_an_encoder_looks_at_photographs_as_often_as_it_does(aligned: Aligned, tiny: TinyNetwork) -> None:
    cache, faces = aligned
    encoder = SeveralCrops(tiny, 4)
    store = compute(cache, faces, encoder)
    assert tiny.asked == 4 * 4
    crops = np.stack([cache.read_crop(faces.digest[i].tobytes(), faces.face[i]) for i in range(4)])
    expected = encoder.of_photographs(to_images(crops))
    rows = store.rows(face_keys(faces))
    torch.testing.assert_close(store.features(rows), expected.features)
    torch.testing.assert_close(store.embeddings(rows), tiny(to_images(crops)).embedding)


def test_crops_become_images_with_red_first_and_their_sides_kept() -> None:
    crop = np.zeros((8, 8, 3), np.uint8)
    crop[1, 6] = (255, 102, 0)  # orange, at the top right
    image = to_images(crop[None])[0]
    torch.testing.assert_close(image[:, 1, 6], torch.tensor([1.0, 0.4, 0.0]))
    assert image.sum() == image[:, 1, 6].sum()


def test_the_second_run_asks_the_network_nothing(aligned: Aligned, tiny: TinyNetwork) -> None:
    compute(*aligned, tiny)
    assert tiny.asked == 4
    compute(*aligned, tiny)
    assert tiny.asked == 4


def test_copies_are_computed_once(aligned: Aligned, tiny: TinyNetwork) -> None:
    cache, faces = aligned
    twice = AlignedFaces(*(np.concatenate([field, field]) for field in faces[:4]), faces.failures)
    store = compute(cache, twice, tiny)
    assert tiny.asked == 4
    assert (store.rows(face_keys(twice)) >= 0).all()


def test_unknown_faces_have_no_row(aligned: Aligned, tiny: TinyNetwork) -> None:
    cache, faces = aligned
    empty = FaceFeatures(cache, tiny)
    assert empty.rows(face_keys(faces)).tolist() == [-1] * 4
    some = AlignedFaces(*(field[:2] for field in faces[:4]), [])
    assert (compute(cache, some, tiny).rows(face_keys(faces)) >= 0).tolist() == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("torn", ["features", "descriptors", "keys"])
def test_a_run_stopped_while_writing_continues(aligned: Aligned, tiny: TinyNetwork, torn: str) -> None:
    cache, faces = aligned
    whole = compute(cache, faces, tiny, batch_size=1)
    rows = whole.rows(face_keys(faces))
    expected = whole.features(rows).clone(), whole.descriptors(rows).clone()
    file = whole.folder / f"{torn}.bin"
    file.write_bytes(file.read_bytes()[:-5])
    assert (FaceFeatures(cache, tiny).rows(face_keys(faces)) < 0).sum() == 1
    mended = compute(cache, faces, tiny)
    rows = mended.rows(face_keys(faces))
    torch.testing.assert_close((mended.features(rows), mended.descriptors(rows)), expected)
    assert tiny.asked == 5


def test_other_weights_have_other_files(aligned: Aligned, tiny: TinyNetwork) -> None:
    compute(*aligned, tiny)
    other = TinyNetwork()
    other.sha256 = "cd" * 32
    compute(*aligned, other)
    assert other.asked == 4


def test_rows_of_few_and_of_many_keys_are_the_same(tmp_path: Path, tiny: TinyNetwork) -> None:
    features = FaceFeatures(FaceCache(tmp_path), tiny)
    chance = np.random.default_rng(0)
    keys = np.array([chance.bytes(33) for _ in range(200)], KEY)
    with features._files.appending() as append:
        append(
            features=np.ones((200, tiny.feature_width), np.float32),
            descriptors=np.ones((200, tiny.embedding_width), np.float32),
            keys=keys,
        )
    unknown = np.array([chance.bytes(33) for _ in range(30)], KEY)
    many = np.concatenate([keys[::-1], unknown])
    few = np.concatenate([keys[[7, 3, 7, 199]], unknown[:2]])
    assert features.rows(many).tolist() == [*range(199, -1, -1), *[-1] * 30]
    assert features.rows(few).tolist() == [7, 3, 7, 199, -1, -1]
    assert features.rows(keys[:0]).tolist() == []
