"""Commands write over nothing but what they wrote themselves, one process at a time, all of it or nothing."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rla_gym.utils import outputs
from rla_gym.utils.files import read_json, sha256_file, write_json
from rla_gym.utils.outputs import LOCK, MANIFEST, NEW, is_sealed, output, staged


def write(folder: Path, name: str = "a.txt", text: str = "first") -> None:
    with output(folder, "test") as out:
        out.claim([name])
        (folder / name).write_text(text)
        out.seal()


def test_an_own_file_is_replaced_and_a_foreign_one_is_not(tmp_path: Path) -> None:
    write(tmp_path)
    assert is_sealed(tmp_path) and not (tmp_path / LOCK).exists()
    (tmp_path / "b.txt").write_text("years of work")
    write(tmp_path, text="second")
    with pytest.raises(FileExistsError, match=r"b.txt is in the way: `rla-gym test` did not write it.*move it"):
        write(tmp_path, "b.txt")
    assert {path.name: path.read_text() for path in tmp_path.glob("*.txt")} == {
        "a.txt": "second",
        "b.txt": "years of work",
    }


def test_an_own_file_that_was_changed_is_kept(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "a.txt").write_text("edited")
    with pytest.raises(FileExistsError, match=r"a.txt was changed since `rla-gym test` wrote it.*another folder"):
        write(tmp_path)
    assert (tmp_path / "a.txt").read_text() == "edited"
    (tmp_path / "a.txt").unlink()
    write(tmp_path)


def test_a_file_that_a_killed_process_left_is_written_again(tmp_path: Path) -> None:
    with output(tmp_path, "test") as out:
        out.claim(["a.txt"])
        (tmp_path / "a.txt").write_text("ha")
    assert not is_sealed(tmp_path)
    (tmp_path / LOCK).touch()
    write(tmp_path)
    assert is_sealed(tmp_path) and not (tmp_path / LOCK).exists()
    assert (tmp_path / "a.txt").read_text() == "first"


def test_a_folder_belongs_to_one_command(tmp_path: Path) -> None:
    write(tmp_path)
    with (
        pytest.raises(FileExistsError, match="was written by `rla-gym test`: choose another folder"),
        output(tmp_path, "other"),
    ):
        pass
    write_json(tmp_path / MANIFEST, [])
    with pytest.raises(ValueError, match="no manifest"):
        write(tmp_path)


def test_nothing_stays_of_a_command_that_wrote_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output(tmp_path / "deep" / "er", "test") as out:
        out.claim(["a.txt"])
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_files_that_are_known_before_are_claimed_and_sealed(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("mine")
    with (
        pytest.raises(FileExistsError, match="b.txt is in the way: `train.py` did not write it"),
        output(tmp_path, "train.py", ("a.txt", "b.txt")),
    ):
        pytest.fail("begun")
    for number in range(2):
        with output(tmp_path, "train.py", ("a.txt", "c.json", "never.txt")) as out:
            assert not number or not is_sealed(tmp_path)
            with out.writing("a.txt") as path:
                path.write_text(f"run {number}")
            out.write_json("c.json", number)
        assert is_sealed(tmp_path) and "never.txt" not in read_json(tmp_path / MANIFEST)["files"]
    assert (tmp_path / "a.txt").read_text() == "run 1" and read_json(tmp_path / "c.json") == 1


def test_what_is_added_comes_to_own_files_alone(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("mine")
    with output(tmp_path, "test") as out:
        with out.adding() as new:
            (new / "deep").mkdir()
            (new / "deep" / "a.txt").write_text("added")
        with pytest.raises(FileExistsError, match="b.txt is in the way"), out.adding() as new:
            for name in ("a.txt", "b.txt"):
                (new / name).write_text("added")
        out.seal()
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {MANIFEST, "b.txt", "deep/a.txt"} and (tmp_path / "b.txt").read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_what_does_not_fit_on_the_disk_leaves_the_old_files(small_disk: Path) -> None:
    replace(small_disk / "out", "old", OLD)
    before = content(small_disk / "out")
    said = r"the disk is full: the new content of .*out was not written.* than the 0\.2 MB that were free.*make room"
    with (
        pytest.raises(OSError, match=said),
        output(small_disk / "out", "test") as out,
        out.replacing(last="last.json") as new,
    ):
        (new / "a.txt").write_bytes(bytes(100_000))
        (new / "b.txt").write_bytes(bytes(200_000))
    assert content(small_disk / "out") == before and not (small_disk / "out" / NEW).exists()
    replace(small_disk / "out", "new", OLD)
    assert content(small_disk / "out") != before


def hold(folder: Path, connection: Any) -> None:
    with output(folder, "test"):
        connection.send(os.getpid())
        connection.recv()


def test_two_processes_or_threads_do_not_write_one_folder(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path, theirs))
    process.start()
    pid = ours.recv()
    with pytest.raises(BlockingIOError, match=f"is being written by process {pid}: wait"):
        write(tmp_path)
    process.kill()
    process.join()
    assert (tmp_path / LOCK).exists()  # but not locked
    refused: list[BaseException] = []

    def other() -> None:
        try:
            write(tmp_path)
        except BlockingIOError as error:
            refused.append(error)

    with output(tmp_path, "test"), output(tmp_path, "test"):  # the parts of one command share it
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    write(tmp_path)
    assert not (tmp_path / LOCK).exists()


def replace(folder: Path, version: str, names: tuple[str, ...]) -> None:
    with output(folder, "test") as out, out.replacing(last="last.json") as new:
        for name in names:
            (new / name).parent.mkdir(exist_ok=True)
            (new / name).write_text(f"{name} {version}")
        write_json(new / "last.json", {name: sha256_file(new / name) for name in names})


def content(folder: Path) -> dict[str, str]:
    """What a reader finds: the files that `last.json` names, each of the content that it names."""
    if not (folder / "last.json").is_file():
        return {}
    found = {}
    for name, digest in read_json(folder / "last.json").items():
        place = staged(folder, name, digest)
        assert sha256_file(place) == digest, f"{name} is of another version"
        found[name] = place.read_text()
    return found


OLD, NEWER = ("a.txt", "b.txt", "deep/c.txt"), ("a.txt", "deep/c.txt", "deep/d.txt")


def killed_after(folder: Path, count: int) -> bool:
    """Replace in a process that ends at its call `count` of those that change files; whether it did."""
    pid = os.fork()
    if pid == 0:
        left = count

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            changes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod")
            if changes or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(audit)
        replace(folder, "new", NEWER)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def kill_at_every_change(place: Path, begun: bool) -> None:
    """Kill a replacement at each of its changes to files, and look at what is there then and after the next one."""
    seen, new = set(), {name: f"{name} new" for name in NEWER}
    for count in range(200):
        folder = place / str(count)
        folder.mkdir()
        (folder / "mine.zip").write_text("mine")
        if begun:
            replace(folder, "old", OLD)
        if not killed_after(folder, count):
            break
        found = content(folder)
        old = {name: f"{name} old" for name in OLD} if begun else {}
        assert found in (old, new), f"killed at its change {count}"
        seen.add(found == new)
        replace(folder, "new", NEWER)
        assert content(folder) == new
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert names == sorted((MANIFEST, "last.json", "mine.zip", *NEWER))
    assert seen == {False, True} and 10 < count < 200
    assert content(folder) == new and not (folder / "b.txt").exists() and not (folder / NEW).exists()


@pytest.mark.parametrize("begun", [True, False])
def test_killed_at_any_change_the_old_or_the_new_files_are_there(tmp_path: Path, begun: bool) -> None:
    code = "import sys, tests.utils.test_outputs as t; t.kill_at_every_change(t.Path(sys.argv[1]), bool(sys.argv[2]))"
    arguments = [sys.executable, "-c", code, str(tmp_path), "begun" if begun else ""]
    subprocess.run(arguments, check=True, cwd=Path(__file__).parents[2])  # without torch, so that forks are cheap


def test_a_failed_replacement_leaves_the_old_files(tmp_path: Path) -> None:
    replace(tmp_path, "old", OLD)
    (tmp_path / "b.txt").write_text("edited")
    with pytest.raises(FileExistsError, match="b.txt was changed"):
        replace(tmp_path, "new", NEWER)
    (tmp_path / "b.txt").write_text("b.txt old")
    with pytest.raises(RuntimeError), output(tmp_path, "test") as out, out.replacing(last="last.json") as new:
        (new / "a.txt").write_text("half")
        raise RuntimeError
    assert content(tmp_path) == {name: f"{name} old" for name in OLD}
    assert not (tmp_path / NEW).exists()


def test_a_single_file_is_refused_where_it_is(tmp_path: Path) -> None:
    (tmp_path / ".new.writing-99999999.json").write_text("half")  # of a killed process
    outputs.refuse_file(tmp_path / "new.json")
    assert not list(tmp_path.iterdir())
    (tmp_path / "new.json").touch()
    with pytest.raises(FileExistsError, match="new.json exists, and is not replaced"):
        outputs.refuse_file(tmp_path / "new.json")
