import fcntl
import hashlib
import json
import os
import stat
import subprocess

import pytest

from rla_gym.utils.files import atomic_path, read_json, remove_temporaries, sha256_file, write_json


def test_atomic_path_writes_whole_and_leaves_nothing_beside(tmp_path):
    target = tmp_path / "deep" / "a.npz"
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == ".npz"
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["a.npz"]


def test_atomic_path_keeps_the_old_file_at_failure(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_path(target) as temporary:
        temporary.write_text("ne")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_path_refuses_to_write_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing was written"), atomic_path(tmp_path / "a"):
        pass


def test_temporaries_of_processes_that_are_gone_are_removed_and_no_others(tmp_path):
    child = subprocess.Popen(["true"])
    child.wait()
    kept = [".lost.writing-1.hdf5", f".lost.writing-{child.pid}.npz", f".other.writing-{child.pid}.hdf5", "lost.hdf5"]
    for name in [*kept, f".lost.writing-{child.pid}.hdf5"]:  # process 1 is there as long as the system
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / f".step.writing-{child.pid}").mkdir()
    (tmp_path / f".step.writing-{child.pid}" / "state").touch()
    assert remove_temporaries(tmp_path / "lost.hdf5", tmp_path / "step", tmp_path / "gone" / "x") == 2
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_files_are_readable_as_the_umask_allows(tmp_path):
    def others(umask):
        before = os.umask(umask)
        try:
            with atomic_path(tmp_path / "a") as temporary:
                os.close(os.open(temporary, os.O_CREAT, 0o600))  # as safetensors does
        finally:
            os.umask(before)
        return (tmp_path / "a").stat().st_mode & 0o777

    assert (others(0o022), others(0o077)) == (0o644, 0o600)


def test_files_are_synced_through_handles_that_can_write(tmp_path, monkeypatch):
    real, modes = os.fsync, []

    def fsync(handle):
        if stat.S_ISREG(os.fstat(handle).st_mode):
            modes.append(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    write_json(tmp_path / "a.json", 1)
    assert modes and os.O_RDONLY not in modes


def test_the_longest_name_can_be_written(tmp_path):
    name = "é" * 125 + ".json"
    write_json(tmp_path / name, 1)
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(OSError, match="too long"):
        write_json(tmp_path / ("x" + name), 1)


def test_a_full_disk_is_one_sentence(tmp_path):
    with (
        pytest.raises(
            OSError,
            match="disk is full: .*a.json was not written.*more room than the .* MB that were free.*same command",
        ),
        atomic_path(tmp_path / "a.json") as temporary,
    ):
        temporary.write_bytes(b"half")
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
    assert os.listdir(tmp_path) == []


def test_json_round_trip_and_errors(tmp_path):
    place = tmp_path / "a.json"
    write_json(place, {"x": [1, 2.5, None], "name": "é"})
    assert read_json(place) == {"x": [1, 2.5, None], "name": "é"}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(place, {"x": float("nan")})
    assert json.loads(place.read_text(encoding="utf-8"))["name"] == "é"
    place.write_text('{"x": [1, ')
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON.*cut off"):
        read_json(place)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_json(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the entry 'c' is there twice"),
        ("[" * 40 + "]" * 40, "more than 32 levels"),
        ("[" * 100_000 + "]" * 100_000, "more than 32 levels"),
        ("[" + "{}," * 200_000 + "1]", "200001 lists and objects, expected at most 200000"),
        ("[" + "0," * 3_000_001 + "1]", "3000001 values, expected at most 3000000"),
        ("[1, NaN]", "NaN is no number of JSON"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "the number 1e999 is too large"),
        ("9" * 5000, "digits"),
        ('["\\udc80"]', "half of a surrogate pair"),
        ("[1]\0", "Extra data"),
    ],
)
def test_json_that_no_writer_of_ours_wrote_is_refused(tmp_path, text, said):
    place = tmp_path / "a.json"
    place.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json is not valid JSON.*{said}"):
        read_json(place)


def test_json_of_the_wrong_kind_of_file_or_size_is_refused(tmp_path, monkeypatch):
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    with pytest.raises(FileNotFoundError, match="zero.json.*no regular file"):
        read_json(tmp_path / "zero.json")
    (tmp_path / "bytes.json").write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="bytes.json is not valid JSON"):
        read_json(tmp_path / "bytes.json")
    monkeypatch.setattr("rla_gym.utils.files.LARGEST_JSON", 10)
    (tmp_path / "large.json").write_text('"0123456789"')
    with pytest.raises(ValueError, match="large.json has 12 bytes, a JSON file of rla_gym at most 10"):
        read_json(tmp_path / "large.json")


def test_sha256_file(tmp_path):
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()
