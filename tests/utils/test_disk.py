import errno
import shutil

import pytest

from rla_gym.utils.disk import disk_is_full, need_room, reserve


def test_room_is_asked_for_where_the_folder_will_be(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    need_room(tmp_path / "not" / "yet", free // 2, "it")
    with pytest.raises(OSError, match="no room for it: .* MB needed, .* MB free at .*not/yet; make room") as caught:
        need_room(tmp_path / "not" / "yet", 2 * free + 1, "it")
    assert caught.value.errno == errno.ENOSPC


def test_a_reserved_file_has_its_blocks(tmp_path):
    reserve(tmp_path / "a", 1 << 20, "it")
    status = (tmp_path / "a").stat()
    assert status.st_size == 1 << 20 and 512 * status.st_blocks >= 1 << 20
    with pytest.raises(OSError, match="no room for it"):
        reserve(tmp_path / "b", 2 * shutil.disk_usage(tmp_path).total, "it")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError("4096 requested and 1024 written"), True),  # numpy
        (RuntimeError("Can't write data (file write failed: errno = 28, error message = 'No space')"), True),  # h5py
        (Exception("I/O error: No space left on device (os error 28)"), True),  # safetensors
        (OSError(errno.EACCES, "Permission denied"), False),
        (ValueError("28"), False),
    ],
)
def test_a_full_disk_is_known_by_what_libraries_say(error, full):
    assert disk_is_full(error) is full
    around = RuntimeError("while saving")
    around.__cause__ = error
    assert disk_is_full(around) is full
