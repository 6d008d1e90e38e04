import csv
import hashlib
import os
import shutil
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from datamodules import photographs as photographs_module
from datamodules.alignment.face_cache import FaceCache
from datamodules.face_data import FaceBatch
from datamodules.long_work import mapped_columns
from datamodules.photographs import Photographs, is_held_back
from lightning_modules.recognition.similarity import cosine_similarity

from .conftest import TinyNetwork, write_photograph


@pytest.fixture
def many(tmp_path: Path, stub_detector: list[int]) -> Path:
    for index in range(24):
        write_photograph(tmp_path / "many" / f"{index:02}.png", index)
    return tmp_path / "many"


def prepared(folder: Path, network: TinyNetwork, **options: object) -> Photographs:
    options = {"cache_folder": folder.parent / "cache", "workers": 0, "progress": False, **options}
    photographs = Photographs(folder, [network], **options)
    photographs.prepare_data()
    photographs.setup()
    return photographs


def test_batches_carry_the_features_and_embeddings_of_each_network(many: Path, tiny: TinyNetwork) -> None:
    photographs = prepared(many, tiny, batch_size=4)
    batch = next(iter(photographs.train_dataloader()))
    images = photographs.dataset.images(batch.index.tolist())
    expected = tiny(images)
    torch.testing.assert_close(batch.features["tiny"], expected.features)
    torch.testing.assert_close(batch.embeddings["tiny"], expected.embedding)
    own = photographs.dataset.descriptors("tiny", batch.index.numpy())
    torch.testing.assert_close(cosine_similarity(own, expected.embedding), torch.ones(4))


def test_training_and_validation_share_no_photograph_and_lose_none(many: Path, tiny: TinyNetwork) -> None:
    photographs = prepared(many, tiny, validation_fraction=0.3)
    training, validation = set(photographs.training.tolist()), set(photographs.validation.tolist())
    assert not training & validation
    assert len(training | validation) == 24
    batches = list(photographs.val_dataloader())
    assert torch.cat([batch.index for batch in batches]).tolist() == photographs.validation.tolist()


def test_added_photographs_move_no_other_between_the_splits(many: Path, tiny: TinyNetwork) -> None:
    def names(photographs: Photographs, part: np.ndarray) -> set[str]:
        return {photographs.dataset.path(index).name for index in part}

    before = prepared(many, tiny, validation_fraction=0.3)
    for index in range(20):
        write_photograph(many / f"added-{index}.png", 100 + index)
    after = prepared(many, tiny, validation_fraction=0.3)
    assert names(before, before.validation) <= names(after, after.validation)
    assert names(before, before.training) <= names(after, after.training)


def test_the_held_back_share_is_as_asked() -> None:
    digests = np.frombuffer(np.random.default_rng(0).bytes(32 * 20_000), "V32")
    assert is_held_back(digests, 0.1).mean() == pytest.approx(0.1, abs=0.01)
    assert not is_held_back(digests, 0.0).any()
    assert (is_held_back(digests, 0.1) <= is_held_back(digests, 0.2)).all()


def test_at_most_so_many_are_held_back_and_copies_stay_together() -> None:
    digests = np.frombuffer(np.random.default_rng(0).bytes(32 * 20_000), "V32")
    digests = np.concatenate([digests, digests])
    share = is_held_back(digests, 0.1)
    assert (is_held_back(digests, 0.1, at_most=5000) == share).all()
    few = is_held_back(digests, 0.1, at_most=501)
    assert few.sum() == 500
    assert (few <= share).all()
    assert (few[:20_000] == few[20_000:]).all()
    assert not is_held_back(digests, 0.1, at_most=0).any()


@pytest.mark.usefixtures("stub_detector")
def test_photographs_that_cannot_be_used_are_counted_and_listed(
    photograph_folder: Path,
    tiny: TinyNetwork,
    stub_detector: list[int],
    capsys: pytest.CaptureFixture,
) -> None:
    photographs = prepared(photograph_folder, tiny, progress=True)
    printed = capsys.readouterr().out.replace("\n", "")
    assert "6 photographs, 4 faces; 2 photographs left out" in printed
    with photographs.failures_file().open() as file:
        rows = [(Path(row["photograph"]).name, row["reason"]) for row in csv.DictReader(file)]
    assert rows == [("sky.png", "no face found"), ("text.jpg", "not an image, or of an unknown format")]


@pytest.mark.usefixtures("stub_detector")
def test_photographs_of_other_kinds_broken_links_and_names_are_listed(
    photograph_folder: Path, tiny: TinyNetwork
) -> None:
    (photograph_folder / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (photograph_folder / "link.jpg").symlink_to("nowhere.jpg")
    odd = os.fsencode(photograph_folder) + b"/bad\xff.png"
    shutil.copy(next(photograph_folder.glob("*.png")), odd)
    photographs = prepared(photograph_folder, tiny)
    with photographs.failures_file().open() as file:
        reasons = {Path(row["photograph"]).name: row["reason"] for row in csv.DictReader(file)}
    assert reasons["phone.HEIC"] == "a HEIC image or a film, which is not read; convert it to JPEG"
    assert reasons["link.jpg"] == "cannot be read (No such file or directory)"
    assert reasons["bad\\udcff.png"] == "cannot be read (its name is not UTF-8; rename it)"
    assert len(photographs.dataset) == 4


@pytest.mark.usefixtures("stub_detector")
def test_small_faces_are_left_out_with_their_reason(photograph_folder: Path, tiny: TinyNetwork) -> None:
    photographs = Photographs(
        photograph_folder,
        [tiny],
        workers=0,
        progress=False,
        minimum_eye_distance=60,
        cache_folder=photograph_folder.parent / "cache",
    )
    photographs.prepare_data()
    with pytest.raises(ValueError, match=r"no face to train on among the 6 photographs of .*reasons are in"):
        photographs.setup()
    assert photographs.failures_file().read_text().count("eyes closer than 60 pixels") == 4


@pytest.mark.usefixtures("stub_detector")
def test_a_list_file_chooses_photographs(photograph_folder: Path, tiny: TinyNetwork) -> None:
    (photograph_folder / "list.txt").write_text("3.png\n1.png\n")
    photographs = prepared(photograph_folder, tiny, validation_fraction=0)
    assert len(photographs.dataset) == 4
    listed = Photographs(
        photograph_folder / "list.txt",
        [tiny],
        workers=0,
        progress=False,
        cache_folder=photograph_folder.parent / "cache",
    )
    listed.prepare_data()
    listed.setup()
    assert [listed.dataset.path(index).name for index in range(2)] == ["3.png", "1.png"]


def test_setup_without_prepare_data_says_so(many: Path, tiny: TinyNetwork) -> None:
    prepared(many, tiny)
    other = TinyNetwork()
    other.sha256 = "cd" * 32
    with pytest.raises(RuntimeError, match="24 of 24 faces have no tiny features; run prepare_data first"):
        Photographs(many, [other], cache_folder=many.parent / "cache").setup()


def test_provenance_names_the_photographs_by_content(many: Path, tiny: TinyNetwork) -> None:
    before = prepared(many, tiny).provenance()
    (many / "00.png").rename(many / "zz.png")
    assert prepared(many, tiny).provenance() == before
    assert before == {"kind": "photographs", "count": 24, "digest": before["digest"], "stand_in": False}
    (many / "zz.png").unlink()
    assert prepared(many, tiny).provenance()["digest"] != before["digest"]


def test_a_bad_fraction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"validation_fraction must be in \[0, 1\), got 1"):
        Photographs(tmp_path, validation_fraction=1)


class Recorder(lightning.LightningModule):
    """Remembers which faces each step trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[int]] = []

    def training_step(self, batch: FaceBatch, _: int) -> torch.Tensor:
        self.seen.append(batch.index.tolist())
        return self.weight * batch.features["tiny"].mean()

    def validation_step(self, batch: FaceBatch, _: int) -> None: ...

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(folder: Path, steps: int, **options: object) -> lightning.Trainer:
    return lightning.Trainer(
        default_root_dir=folder, max_steps=steps, accelerator="cpu", devices=1, logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, **options,
    )  # fmt: skip


def test_a_resumed_run_sees_what_it_would_have_seen(many: Path, tiny: TinyNetwork, tmp_path: Path) -> None:
    photographs = prepared(many, tiny, batch_size=5, validation_fraction=0.2)
    options = {"val_check_interval": 3, "check_val_every_n_epoch": None, "num_sanity_val_steps": 0}
    straight, first, second = Recorder(), Recorder(), Recorder()
    trainer(tmp_path, 11, **options).fit(straight, datamodule=photographs)
    stopped = trainer(tmp_path, 7, **options)
    stopped.fit(first, datamodule=photographs)
    stopped.save_checkpoint(tmp_path / "stopped.ckpt")
    trainer(tmp_path, 11, **options).fit(second, datamodule=photographs, ckpt_path=tmp_path / "stopped.ckpt")
    assert len(straight.seen) == 11
    assert first.seen + second.seen == straight.seen


# ---------------------------------------------------------------------- the judge


@pytest.fixture
def judge() -> TinyNetwork:
    network = TinyNetwork()
    network.name = "judge"
    return network


def test_the_judge_looks_at_held_back_photographs_and_some_others_only(
    many: Path, tiny: TinyNetwork, judge: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.photographs.CENTRE_PHOTOGRAPHS", 5)
    photographs = prepared(many, tiny, judge=judge, judged=3, validation_fraction=0.3)
    assert len(photographs.validation) > 3
    assert judge.asked == 3 + 5
    assert (len(photographs.judged_validation), len(photographs.judged_training)) == (3, 5)
    digests = photographs.dataset.faces.digest
    for some, everyone in (
        (photographs.judged_validation, photographs.validation),
        (photographs.judged_training, photographs.training),
    ):
        assert np.isin(some.faces.digest, digests[everyone]).all()
        batch = some.batch(range(len(some)))
        assert set(batch.embeddings) == {"tiny", "judge"}
        torch.testing.assert_close(batch.embeddings["judge"], judge(some.images(range(len(some)))).embedding)


def test_the_judge_is_never_among_the_training_s_features(
    many: Path, tiny: TinyNetwork, judge: TinyNetwork
) -> None:
    photographs = prepared(many, tiny, judge=judge, batch_size=4, validation_fraction=0.3)
    assert set(photographs.batch(0).embeddings) == set(photographs.batch(0).features) == {"tiny"}


def test_whom_the_judge_sees_follows_from_content_not_from_names(
    many: Path, tiny: TinyNetwork, judge: TinyNetwork
) -> None:
    options = {"judge": judge, "judged": 3, "validation_fraction": 0.3}
    before = prepared(many, tiny, **options).judged_validation.faces.digest.tolist()
    for file in sorted(many.iterdir()):
        file.rename(many / f"{file.stem[::-1]}x.png")
    assert prepared(many, tiny, **options).judged_validation.faces.digest.tolist() == before


def test_the_judge_s_loader_reads_each_face_once_in_order(
    many: Path, tiny: TinyNetwork, judge: TinyNetwork
) -> None:
    photographs = prepared(many, tiny, judge=judge, batch_size=2, validation_fraction=0.3)
    index = torch.cat([batch.index for batch in photographs.judged_dataloader()])
    assert index.tolist() == list(range(len(photographs.validation)))


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often photographs were listed, and how many were aligned or asked for."""
    counts = {"listed": 0, "aligned": 0}
    listing, aligning = photographs_module.list_photographs, FaceCache.align

    def listed(*arguments: object) -> list[Path]:
        counts["listed"] += 1
        return listing(*arguments)

    def aligned(cache: FaceCache, paths: list[Path], **options: object) -> object:
        counts["aligned"] += len(paths)
        return aligning(cache, paths, **options)

    monkeypatch.setattr(photographs_module, "list_photographs", listed)
    monkeypatch.setattr(FaceCache, "align", aligned)
    return counts


def same_faces(one: Photographs, other: Photographs) -> None:
    assert list(one.dataset.paths) == list(other.dataset.paths)
    for first, second in zip(one.dataset.faces[:4], other.dataset.faces[:4], strict=True):
        assert first.tobytes() == second.tobytes()
    assert one.dataset.faces.failures == other.dataset.faces.failures
    assert one.training.tolist() == other.training.tolist()


def test_a_later_start_lists_once_and_asks_for_no_photograph_that_is_as_it_was(
    many: Path, tiny: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(many, tiny)
    counts = counted(monkeypatch)
    again = prepared(many, tiny)
    assert counts == {"listed": 1, "aligned": 0}
    same_faces(first, again)
    assert first.provenance() == again.provenance()


def test_what_was_added_changed_or_removed_is_found_and_nothing_else_is_asked_for(
    many: Path, tiny: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(many, tiny)
    write_photograph(many / "01.png", 50)  # changed
    write_photograph(many / "05-new.png", 51)
    (many / "10.png").unlink()
    (many / "03.png").rename(many / "zz.png")
    counts = counted(monkeypatch)
    found = prepared(many, tiny)
    assert counts == {"listed": 1, "aligned": 3}
    fresh = prepared(many, tiny, cache_folder=many.parent / "another cache")
    same_faces(found, fresh)
    same_faces(prepared(many, tiny), fresh)


def test_a_start_that_trusts_touches_no_photograph_and_says_what_it_trusts(
    many: Path, tiny: TinyNetwork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    first = prepared(many, tiny, batch_size=4)
    shutil.move(many, many.parent / "away")
    counts = counted(monkeypatch)
    monkeypatch.setattr(mapped_columns, "AT_ONCE", 5)
    monkeypatch.setattr(mapped_columns, "PER_PART", 4)
    trusting = prepared(many, tiny, batch_size=4, trusting=True, progress=True)
    assert counts == {"listed": 0, "aligned": 0}
    said = " ".join(capsys.readouterr().out.split())
    assert f"trusts the list of 24 photographs of {many} that was made on 2" in said
    assert "new and changed ones are not looked for" in said
    same_faces(first, trusting)
    content = b"".join(sorted({digest.tobytes() for digest in first.dataset.faces.digest}))
    assert trusting.provenance()["digest"] == hashlib.sha256(content).hexdigest()
    assert trusting.failures_file(trusting.dataset.paths) == first.failures_file(list(first.dataset.paths))
    assert trusting.batch(0).index.tolist() == first.batch(0).index.tolist()


def test_a_start_that_trusts_a_folder_never_listed_lists_it(many: Path, tiny: TinyNetwork) -> None:
    assert len(prepared(many, tiny, trusting=True).dataset) == 24


def test_a_list_is_not_taken_for_the_photographs_where_their_cache_was_deleted(
    many: Path, tiny: TinyNetwork
) -> None:
    first = prepared(many, tiny)
    shutil.rmtree(first.cache.folder / "crops")
    first.cache.records_file.unlink()
    again = prepared(many, tiny)
    same_faces(first, again)
    assert len(again.dataset.images([0, 1])) == 2


def test_some_photographs_are_required_without_listing_all(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = counted(monkeypatch)
    Photographs(many, cache_folder=tmp_path / "cache").require_some()
    assert counts["listed"] == 0
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no photographs match"):
        Photographs(tmp_path / "empty", cache_folder=tmp_path / "cache").require_some()
    with pytest.raises(FileNotFoundError, match="no folder"):
        Photographs(tmp_path / "absent", cache_folder=tmp_path / "cache").require_some()
