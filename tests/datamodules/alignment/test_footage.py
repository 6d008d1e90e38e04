import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.alignment.footage import FootageError, photographs_in, read_frames
from datamodules.stand_in_scans import write_video
from tests.datamodules.conftest import write_photograph


def grey_video(path: Path, levels: list[int]) -> Path:
    write_video(path, [np.full((48, 64, 3), level, np.uint8) for level in levels])
    return path


def test_all_or_some_frames_of_a_video_come_in_order(tmp_path: Path) -> None:
    video = grey_video(tmp_path / "a.avi", [20, 60, 100, 140, 180, 220])
    every = list(read_frames(video))
    assert [frame.number for frame in every] == [0, 1, 2, 3, 4, 5]
    assert [round(float(frame.pixels.mean()), -1) for frame in every] == [20, 60, 100, 140, 180, 220]
    assert [frame.number for frame in read_frames(video, 2)] == [1, 4]


def test_frames_are_red_green_blue(tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    write_video(tmp_path / "a.avi", [red])
    (frame,) = read_frames(tmp_path / "a.avi")
    assert frame.pixels[..., 0].mean() > 150
    assert frame.pixels[..., 2].mean() < 50


def test_a_bare_stream_of_jpegs_is_a_video(tmp_path: Path) -> None:
    encoded = tmp_path / "Indoor-Cooperative.mjpg"
    pictures = [cv2.imencode(".jpg", np.full((48, 64, 3), level, np.uint8))[1] for level in (30, 90, 150)]
    encoded.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    assert [frame.number for frame in read_frames(encoded, 2)] == [0, 2]


def test_photographs_of_a_folder_are_frames_and_unreadable_ones_have_a_reason(tmp_path: Path) -> None:
    write_photograph(tmp_path / "a.png", 1)
    (tmp_path / "b.jpg").write_text("no photograph")
    first, second = read_frames(tmp_path)
    assert first.pixels.shape == (90, 90, 3)
    assert (second.pixels, second.reason) == (None, "not an image, or of an unknown format")


def test_the_photographs_behind_frames_are_named_and_a_video_has_none(tmp_path: Path) -> None:
    files = [write_photograph(tmp_path / f"{name}.png", 1) for name in "abcdef"]
    assert photographs_in(tmp_path) == dict(enumerate(files))
    assert photographs_in(tmp_path, 2) == {1: files[1], 4: files[4]}
    assert photographs_in(files[3], 2) == {0: files[3]}
    assert photographs_in(grey_video(tmp_path / "a.avi", [20])) == {}


def test_a_photograph_is_its_only_frame_and_an_unreadable_one_has_a_reason(tmp_path: Path) -> None:
    (frame,) = read_frames(write_photograph(tmp_path / "a.png", 1), 5)
    assert (frame.number, frame.pixels.shape) == (0, (90, 90, 3))
    (tmp_path / "b.jpg").write_text("no photograph")
    (broken,) = read_frames(tmp_path / "b.jpg")
    assert (broken.pixels, broken.reason) == (None, "not an image, or of an unknown format")


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_text("no video")
    with pytest.raises(FootageError, match=r"a\.avi is no video that OpenCV can open"):
        list(read_frames(tmp_path / "a.avi"))
    with pytest.raises(ValueError, match="number of frames must be at least 1, got 0"):
        list(read_frames(tmp_path / "a.avi", 0))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_a_pipe_called_a_video_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(FootageError, match=r"a\.mp4 is a pipe or a device; expected a video"):
        list(read_frames(tmp_path / "a.mp4"))


def test_a_video_whose_name_is_no_text_is_refused_before_opencv_ends_the_process(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", [np.zeros((48, 64, 3), np.uint8)])
    named = tmp_path / os.fsdecode(b"caf\xe9.avi")
    try:
        (tmp_path / "a.avi").rename(named)
    except OSError:
        pytest.skip("this disk takes names in UTF-8 alone")
    for count in (None, 1):
        with pytest.raises(FootageError, match="has a name that is not UTF-8; rename it, or its folder"):
            list(read_frames(named, count))
    with pytest.raises(OSError, match=r"OpenCV cannot write the video .*, whose name is not UTF-8"):
        write_video(named, [np.zeros((48, 64, 3), np.uint8)])
