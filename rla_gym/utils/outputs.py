"""What a command writes into a folder: one process at a time, over nothing that is not its own.

    .rla_gym.json   the manifest: the command, and each file that it wrote, with its SHA-256 when it is finished
    .rla_gym.lock   there while a process writes; locked by the system, so that the lock ends with the process
    .rla_gym.new/   files that take the places of others together (`Output.replacing`), until they have

A file that is not in the manifest, or that differs from what was written, is somebody else's: it is neither replaced
nor removed, and a command that would have to is refused. Temporary files of processes that are gone are removed by the
next run of the same command in the folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from rla_gym.utils.digests import read_object
from rla_gym.utils.disk import disk_is_full, full_disk_error
from rla_gym.utils.files import atomic_path, read_json, remove_temporaries, settle, sha256_file, sync_folder, write_json
from rla_gym.utils.typed import check

if sys.platform != "win32":
    import fcntl

MANIFEST, LOCK, NEW = ".rla_gym.json", ".rla_gym.lock", ".rla_gym.new"
ABOUT = "Files that rla-gym wrote here, with the SHA-256 of finished ones; it replaces and removes no others."

_held: dict[tuple[int, int, Path], Output] = {}
"""Outputs that are open: by process, thread and folder, so that a command's parts share the lock."""


@contextmanager
def output(folder: str | Path, command: str, files: Iterable[str] = ()) -> Iterator[Output]:
    """The folder `folder` as the output of `command` alone, while the block lasts; made if it is not there.

    Args:
        command: a command of `rla-gym`, or a script's name with its ".py".
        files: names of all files that the block writes, where they are known; else `claim` and `seal` take them.

    Within one thread blocks of the same folder may be nested: the outermost holds the lock. What was made for nothing
    (empty folders, a manifest of files that do not exist) is removed in the end.

    Raises:
        FileExistsError: the folder is the output of another command, or `files` has one that this command did not
            write, or that was changed since.
        BlockingIOError: another process, or thread, writes there; the text has its process id.
        OSError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    key = (os.getpid(), threading.get_ident(), folder.resolve())
    if key in _held:
        with _claimed(_held[key], files) as out:
            yield out
        return
    made = _make(folder)
    try:
        with _locked(folder):
            _held[key] = Output(folder, command)
            try:
                with _claimed(_held[key], files) as out:
                    yield out
            finally:
                _held.pop(key)._close()
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty, as ever
                path.rmdir()


@contextmanager
def _claimed(out: Output, files: Iterable[str]) -> Iterator[Output]:
    """Claim `files` before the block, if there are any, and seal them after it."""
    names = list(files)
    if names:
        out.claim(names)
    yield out
    if names:
        out.seal()


class Output:
    """A folder that this process writes; made by `output`."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder, self.command = folder, command
        self._hashes: dict[str, list[str] | None] = {}
        pending = self._read()
        places = [folder / name for name in (MANIFEST, *self._hashes)]
        remove_temporaries(*places, *(folder / Path(name).parts[0] for name in self._hashes))
        if pending:
            self._finish_swap(pending)
        elif (folder / NEW).is_dir():
            shutil.rmtree(folder / NEW)  # of a process that was killed before it replaced anything
        gone = [name for name in self._hashes if not os.path.lexists(folder / name)]
        if gone:  # not written, or already removed, when a process was killed
            self.remove(gone)

    @property
    def program(self) -> str:
        """What writes here, for people."""
        return _program(self.command)

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Give a path to write the file `name` at; it has its place when the block ends, whole or not at all."""
        return atomic_path(self.folder / name)

    def write_json(self, name: str, value: Any) -> None:
        """Write the file `name` as JSON, whole or not at all; NaN and infinities are a ValueError."""
        write_json(self.folder / name, value)

    def __contains__(self, name: str) -> bool:
        """Whether the manifest has the file, or something in the folder, `name`."""
        return name in self._hashes or any(other.startswith(f"{name}/") for other in self._hashes)

    def check(self, names: Iterable[str]) -> None:
        """Raise a FileExistsError where a file of these names is there that rla_gym did not write, or not so."""
        for name in names:
            path = self.folder / name
            try:
                os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if name not in self._hashes:
                raise FileExistsError(
                    f"{path} is in the way: {self.program} did not write it, and replaces nothing else; move "
                    "it, or choose another folder"
                )
            known = self._hashes[name]
            if known is not None and (not path.is_file() or sha256_file(path) not in known):
                raise FileExistsError(
                    f"{path} was changed since {self.program} wrote it, so it is not replaced; move it, or "
                    "choose another folder"
                )

    def claim(self, names: Iterable[str]) -> None:
        """Note files that are about to be written, after `check`: from now on what is at these names is this command's.

        A name that is also a folder's stands for the folder alone, not for what is in it.
        """
        names = list(names)
        self.check(names)
        self._hashes |= dict.fromkeys(names)
        self._write()

    def adopt(self, hashes: Mapping[str, str]) -> None:
        """Take finished files for this command's, by their SHA-256; the manifest has them when it is written next."""
        self._hashes |= {name: [digest] for name, digest in hashes.items()}

    def seal(self) -> None:
        """Note the content of all files, which are finished: whoever changes one keeps it. Folders are forgotten."""
        for name in list(self._hashes):
            path = self.folder / name
            if path.is_file():
                self._hashes[name] = self._hashes[name] or [sha256_file(path)]
            else:
                del self._hashes[name]
        self._write()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files of the manifest, and folders that are empty then, and forget them."""
        names = [name for name in names if name in self._hashes]
        self.unlink(names)
        for name in names:
            del self._hashes[name]
        self._write()

    def unlink(self, names: Iterable[str]) -> None:
        """Remove files of the manifest, and folders that are empty then; they may be written again."""
        for name in names:
            path = self.folder / name
            if name in self._hashes and not path.is_dir():
                path.unlink(missing_ok=True)
                if path.parent != self.folder:
                    with suppress(OSError):
                        path.parent.rmdir()

    @contextmanager
    def replacing(self, last: str) -> Iterator[Path]:
        """Give an empty folder; what the block writes into it then takes its place here, all of it or nothing.

        Files of the manifest that are not among the new ones are removed. The file `last` decides, which names the
        others by their SHA-256: killed before it has its place, the old files are what counts, and from then on the new
        ones, which `staged` finds wherever they are. The next `output` ends what was killed.
        """
        new = self.folder / NEW
        new.mkdir()
        try:
            yield new
            names = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
            self.check({*names, *self._hashes})
            for name in names:
                settle(new / name)
            pending = {"last": last, "files": {name: sha256_file(new / name) for name in names}}
            self._write(pending)
        except BaseException as error:
            shutil.rmtree(new, ignore_errors=True)  # first: what is free is what there was room for
            if isinstance(error, Exception) and disk_is_full(error):
                raise full_disk_error(self.folder / last, what=f"the new content of {self.folder}") from error
            raise
        os.replace(new / last, self.folder / last)
        sync_folder(self.folder)
        self._finish_swap(pending)

    @contextmanager
    def adding(self) -> Iterator[Path]:
        """Give an empty folder; what the block writes into it then takes its place here, over own files alone.

        Raises:
            FileExistsError: one of the files has the name of a file that is not this command's; none is added then.
        """
        new = self.folder / NEW
        new.mkdir()
        try:
            yield new
            names = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
            self.claim(names)
            for name in names:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(new / name, self.folder / name)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _finish_swap(self, pending: dict[str, Any]) -> None:
        """End a swap after its `last` file has its place; before that, undo it."""
        new, last, files = self.folder / NEW, str(pending["last"]), dict(pending["files"])
        if (self.folder / last).is_file() and sha256_file(self.folder / last) == files[last]:
            for name in files:
                if (new / name).is_file():
                    (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(new / name, self.folder / name)
            self._hashes |= {name: [digest] for name, digest in files.items()}
            self.remove([name for name in self._hashes if name not in files])
        self._write()
        shutil.rmtree(new, ignore_errors=True)

    def _read(self) -> dict[str, Any] | None:
        """Take in the manifest; a swap that was not ended is returned."""
        place = self.folder / MANIFEST
        if not place.is_file():
            return None
        found = read_json(place)
        if not (isinstance(found, dict) and isinstance(found.get("files"), dict) and "command" in found):
            raise ValueError(f"{place} is no manifest of rla_gym: move it, or choose another folder")
        if found["command"] != self.command:
            raise FileExistsError(
                f"{self.folder} was written by {_program(found['command'])}: choose another folder for {self.program}"
            )
        self._hashes = dict(found["files"])
        return found.get("pending")

    def _write(self, pending: dict[str, Any] | None = None) -> None:
        manifest = {"about": ABOUT, "command": self.command, "files": dict(sorted(self._hashes.items()))}
        write_json(self.folder / MANIFEST, manifest if pending is None else {**manifest, "pending": pending})

    def _close(self) -> None:
        with suppress(OSError):
            if not any(os.path.lexists(self.folder / name) for name in self._hashes):
                (self.folder / MANIFEST).unlink(missing_ok=True)


def is_sealed(folder: str | Path) -> bool:
    """Whether nothing is left to do where an output is finished: its manifest has the content of every file, and no
    process was killed while it had the lock."""
    place = Path(folder) / MANIFEST
    if (place.parent / LOCK).exists():
        return False
    if not place.is_file():
        return True
    found, _ = read_object(place)
    return all(check(dict[str, Any], found.get("files"), place, at="files").values())


def staged(folder: Path, name: str, sha256: str | None) -> Path:
    """Where the file `name` of the content `sha256` is: in its place, or still in `NEW`, if a process was killed."""
    new = folder / NEW / name
    return new if sha256 is not None and new.is_file() and sha256_file(new) == sha256 else folder / name


def refuse_file(path: str | Path) -> None:
    """Raise a FileExistsError where a file is that a command would have to replace; remove what killed ones left."""
    remove_temporaries(Path(path))
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists, and is not replaced: move it, or choose another name")


def _program(command: str) -> str:
    """A command, or a script, as it is called."""
    return f"`{command}`" if command.endswith(".py") else f"`rla-gym {command}`"


def _make(folder: Path) -> list[Path]:
    """Make a folder; the folders that were not there before, the innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system gives it back when the process ends, however it ends."""
    place = folder / LOCK
    handle = _lock(place)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        place.unlink(missing_ok=True)
        os.close(handle)


def _lock(place: Path) -> int:
    """An open, locked lock file."""
    while True:
        if sys.platform == "win32":
            return os.open(place, os.O_RDWR | os.O_CREAT, 0o666)  # two processes are not kept apart there
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(handle, 32).decode(errors="replace").strip()
            if error.errno in (errno.EAGAIN, errno.EACCES):
                os.close(handle)
                raise BlockingIOError(
                    errno.EAGAIN,
                    f"{place.parent} is being written by process {pid or 'unknown'}: wait until it has ended, stop it, "
                    "or choose another folder",
                ) from error
            return handle  # a file system without locks
        try:
            if os.path.samestat(os.fstat(handle), os.stat(place)):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)  # whoever held it removed it in between
