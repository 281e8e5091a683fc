"""Unpacking: interrupted, and archives that are evil, damaged or of something else."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sonyc_tasks.__main__ import main
from sonyc_tasks.dataset.download.archives import unpack_audio
from sonyc_tasks.dataset.download.zenodo import download

Tar = Callable[..., Path]
Contents = Callable[[Path], dict[str, bytes]]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_unpacking_is_interrupted_and_done_again(server: Any, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, moved = os.replace, []

    def fail_at_the_second(source: Path, target: Path) -> None:
        if Path(target).suffix == ".wav":
            moved.append(target)
            if len(moved) == 2:
                raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            download(data, record=server.record)
    assert len(list((data / "audio").iterdir())) == 1
    killed = data / "audio" / ".unpacking"  # as a call leaves it that had no time to clean up
    killed.mkdir()
    (killed / "01_000001.wav").write_bytes(b"half")
    server.asked.clear()
    download(data, record=server.record)
    assert server.files_asked() == ["audio-10.tar.gz"]  # the archive that was there was used
    server.assert_complete(data)


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        ("../01_000009.wav", "folder"),
        ("audio/../../01_000009.wav", "folder"),
        ("..\\01_000009.wav", "folder"),
        ("/tmp/01_000009.wav", "absolute"),
        ("C:\\01_000009.wav", "absolute"),
        (special("audio/01_000009.wav", tarfile.SYMTYPE, "/etc/hostname"), "link"),
        (special("audio", tarfile.SYMTYPE, "/tmp"), "link"),
        (special("01_000009.wav", tarfile.LNKTYPE, "../annotations.csv"), "link"),
        (special("audio/01_000009.wav", tarfile.FIFOTYPE), "link"),
        (special("audio/01_000009.wav", tarfile.CHRTYPE), "link"),
    ],
)
def test_evil_members(
    server: Any, data: Path, tar: Tar, contents: Contents, member: Any, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = member if isinstance(member, str) else member.name
    tar(server.folder / "audio-0.tar.gz", {"audio/01_000001.wav": b"fine", name: b"evil" if name is member else member})
    server.write_record()
    around = contents(data.parent)
    assert main(["download", str(data), "--record", server.record]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {data / 'audio-0.tar.gz'}: ")
    assert repr(name) in error
    assert fault in error
    assert list((data / "audio").iterdir()) == []
    assert {path: content for path, content in contents(data.parent).items() if not path.startswith("data/")} == around


def test_a_name_that_is_there_twice(tmp_path: Path, tar: Tar) -> None:
    archive = tar(tmp_path / "a.tar.gz", {"x/a.wav": b"1", "y/a.wav": b"2"})
    with pytest.raises(ValueError, match=r"a\.tar\.gz.*a\.wav"):
        unpack_audio(archive, tmp_path / "audio")


def test_a_name_that_two_archives_hold(data: Path, server: Any, tar: Tar, capsys: pytest.CaptureFixture[str]) -> None:
    """Recordings of several sensors often have the same names, each in a folder of its own."""
    archives = sorted(server.folder.glob("audio-*.tar.gz"))
    for archive in archives:
        tar(archive, {f"{archive.name[:7]}/rec_001.wav": archive.name.encode()})
    server.write_record()
    assert main(["download", str(data), "--record", server.record]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert archives[1].name in error
    assert "rec_001.wav" in error
    assert (data / "audio" / "rec_001.wav").read_bytes() == archives[0].name.encode()  # and not the other's


def test_upper_case_endings_are_unpacked(tmp_path: Path, tar: Tar) -> None:
    archive = tar(tmp_path / "a.tar.gz", {"x/a.WAV": b"1", "x/b.Flac": b"2", "x/c.txt": b"3"})
    assert set(unpack_audio(archive, tmp_path / "audio")) == {"a.WAV", "b.Flac"}


def test_archives_that_are_none(tmp_path: Path, tar: Tar) -> None:
    whole = tar(tmp_path / "whole.tar.gz", {f"{n}.wav": os.urandom(10_000) for n in range(5)}).read_bytes()
    archive = tmp_path / "a.tar.gz"
    for content in (b"", b"no archive", whole[:25_000], whole[:20_000] + bytes(1000) + whole[21_000:]):
        archive.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.tar\.gz"):
            unpack_audio(archive, tmp_path / "audio")
    tar(archive, {"README": b"x"})
    with pytest.raises(ValueError, match=r"a\.tar\.gz.*\.wav"):
        unpack_audio(archive, tmp_path / "audio")
    assert list((tmp_path / "audio").iterdir()) == []
