import hashlib
import json
import os

import pytest

from rla_gym.files import atomic_path, read_json, remove_leftovers, sha256_file, write_json


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


def test_remove_leftovers_takes_temporaries_only(tmp_path):
    (tmp_path / "kept.hdf5").write_bytes(b"x")
    with atomic_path(tmp_path / "lost.hdf5") as temporary:
        name = temporary.name
        temporary.write_bytes(b"y")
    (tmp_path / name).write_bytes(b"half")  # what a killed process leaves
    assert remove_leftovers(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == ["kept.hdf5", "lost.hdf5"]


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
    monkeypatch.setattr("rla_gym.files.LARGEST_JSON", 10)
    (tmp_path / "large.json").write_text('"0123456789"')
    with pytest.raises(ValueError, match="large.json has 12 bytes, a JSON file of rla_gym at most 10"):
        read_json(tmp_path / "large.json")


def test_sha256_file(tmp_path):
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()
