"""Bytes that go past the page cache are the bytes that were written, on whatever file system."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prorl_trainer.learn import direct_file
from prorl_trainer.learn.direct_file import BUFFER_BYTES, DirectFile
from refused import disk

SIZES = st.one_of(
    st.integers(0, 70),
    st.integers(4000, 4200),
    st.integers(BUFFER_BYTES - 3, BUFFER_BYTES + 3),
    st.integers(2 * BUFFER_BYTES, 2 * BUFFER_BYTES + 1),
)


def content(size: int) -> bytes:
    return os.urandom(min(size, 97)) * (size // 97 + 1)


def written(path: Path, *parts: bytes) -> bytes:
    file = DirectFile(path)
    for part in parts:
        assert file.write(memoryview(part)) == len(part)
    assert file.tell() == sum(map(len, parts))
    file.close()
    return path.read_bytes()


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(SIZES, max_size=5))
def test_what_is_written_is_there(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    parts = [content(size)[:size] for size in sizes]
    path = tmp_path_factory.getbasetemp() / "file"
    path.unlink(missing_ok=True)
    assert written(path, *parts) == b"".join(parts)


def test_a_file_that_is_there_is_never_written_into(tmp_path: Path) -> None:
    """It may be a link, and its bytes those of another checkpoint."""
    (tmp_path / "file").write_bytes(b"reference")
    with pytest.raises(FileExistsError):
        DirectFile(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"reference"


def test_a_file_system_without_o_direct_takes_the_usual_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.fcntl

    def refusing(descriptor: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, command, flags)

    monkeypatch.setattr(direct_file.fcntl, "fcntl", refusing)
    data = content(BUFFER_BYTES + 5)
    assert written(tmp_path / "file", data) == data


@pytest.mark.parametrize("refused", [1, 2])
def test_one_that_refuses_it_later_does_so_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    real, calls = os.write, []

    def refusing(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == refused:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, data[:8192])  # as a signal or a full disk cuts it

    monkeypatch.setattr(direct_file.os, "write", refusing)
    data = content(2 * BUFFER_BYTES + 5)
    assert written(tmp_path / "file", data) == data


def test_a_full_disk_is_an_error_and_its_descriptor_is_closed(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 1 << 20) as small:
        before = len(os.listdir("/proc/self/fd"))
        file = DirectFile(small / "file")
        for act in (lambda: file.write(memoryview(content(2 * BUFFER_BYTES))), file.close):
            with pytest.raises(OSError, match="No space"):
                act()
        assert len(os.listdir("/proc/self/fd")) == before
