import errno
import os
import subprocess
import sys
from unittest import mock

import pytest
from support.full_disk import FullDisk

from fragrant.errors import UserError
from fragrant.files import (
    expanded,
    left_over,
    open_plain,
    read_plain,
    refuse_as_output,
    save_file,
    write_whole,
    written_whole,
)


def test_a_file_is_there_whole_or_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    with FullDisk(tmp_path) as disk:
        disk.full, disk.room = True, 3
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, "new and long")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EIO])
def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, number):
    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(number, os.strerror(number))

    with mock.patch.object(os, "fsync", fsync):
        if number == errno.EIO:  # the disk is broken: that is one
            with pytest.raises(OSError):
                write_whole(tmp_path / "a", "x")
        else:
            write_whole(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


def odd(folder, kind):
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "nul":
        path = f"{path}\0.txt"
    return path


WORDS = {
    "folder": "Is a directory",
    "pipe": "it is a named pipe, not a file",
    "device": "it is a device, not a file",
    "nul": "its name holds a NUL byte",
    "missing": "No such file or directory",
}


@pytest.mark.parametrize("kind", WORDS)
def test_what_is_no_file_is_not_waited_for(tmp_path, kind):
    with pytest.raises(OSError) as error:
        open_plain(odd(tmp_path, kind))
    assert error.value.strerror == WORDS[kind]


def test_a_plain_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"x\r\n\0y")
    (tmp_path / "link").symlink_to("a")
    assert read_plain(tmp_path / "a") == read_plain(tmp_path / "link") == b"x\r\n\0y"


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_an_output_is_looked_at_before(tmp_path, kind):
    path = odd(tmp_path, kind)
    with pytest.raises(UserError, match=f"{kind}' cannot be written: {WORDS[kind]}"):
        refuse_as_output(path)


def test_an_output_that_can_be_written_leaves_nothing_behind(tmp_path):
    refuse_as_output(tmp_path / "new" / "scores.npz")
    assert os.listdir(tmp_path / "new") == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        refuse_as_output(tmp_path / "file" / "scores.npz")


def test_one_line_for_a_file_that_was_asked_for(tmp_path):
    save_file(tmp_path / "new" / "a.txt", "x\udcff")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"x\xff"
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match="b' cannot be written: Is a directory"):
        save_file(tmp_path / "b", "x")


@pytest.mark.parametrize(
    "path, opened, left",
    [
        ("~/a", "/home/me/a", ""),
        ("~", "/home/me", ""),
        ("a/~", "a/~", ""),
        ("$PLACE/a", "/data/a", ""),
        ("x${PLACE}", "x/data", ""),
        ("$NOWHERE/a", "$NOWHERE/a", "$NOWHERE"),
        ("${NOWHERE}", "${NOWHERE}", "${NOWHERE}"),
        ("~nobody_of_that_name/a", "~nobody_of_that_name/a", "~nobody_of_that_name"),
        ("100$", "100$", ""),
        ("", "", ""),
    ],
)
def test_paths_as_a_shell_opens_them(monkeypatch, path, opened, left):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("PLACE", "/data")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert expanded(path) == opened
    assert left_over(expanded(path)) == left


def test_a_file_that_is_called_so_is_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$NOWHERE").touch()
    assert left_over("$NOWHERE") == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounts a small file system: root only")
def test_a_disk_that_really_is_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        write_whole(disk / "a", "old")
        (disk / "fill").write_bytes(b"x" * 4096 * 14)
        with pytest.raises(OSError, match="No space left"):
            write_whole(disk / "a", b"x" * 20000)
        assert (disk / "a").read_text() == "old" and sorted(os.listdir(disk)) == ["a", "fill"]
        code = (
            "import sys; from fragrant.appended import Appended\n"
            f"file = Appended({str(disk / 'log')!r}, tell=print); lines = [b'%05d ' % i + b'x' * 90 + b'\\n' for i in "
            "range(200)]\n"
            "for line in lines[:150]: file.write(line)\n"
            f"import os; os.unlink({str(disk / 'fill')!r})\n"
            "for line in lines[150:]: file.write(line)\n"
            f"file.close(); assert open({str(disk / 'log')!r}, 'rb').read() == b''.join(lines)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 2  # said once, and once when it works again
    finally:
        subprocess.run(["umount", str(disk)], check=True)
