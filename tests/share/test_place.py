"""A share's place: whether it can be used, and files that others replace while they are read."""

import errno

import pytest

from lab.share.place import Place, Unreachable
from lab.share.where import parse

from .conftest import names

pytestmark = pytest.mark.system


def test_a_place_says_whether_it_can_be_used(url):
    place = Place(parse(url))
    place.try_out()
    assert names(url) == []
    place.close()


def test_a_folder_that_nobody_may_write_to_is_told(tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(Unreachable, match="no such folder"):
        Place(parse(str(file)))


@pytest.mark.parametrize(("times", "read"), [(2, True), (99, False)])
def test_a_file_that_is_replaced_while_it_is_read_is_read_anew(tmp_path, monkeypatch, times, read):
    """S3 says so by another ETag, and s3fs by EBUSY in the middle of the bytes."""
    (tmp_path / "there").write_bytes(b"whole")
    place = Place(parse(str(tmp_path)))
    opening, turns = place.fs.open, iter(range(1000))

    def opened(*arguments, **words):
        file = opening(*arguments, **words)
        if next(turns) < times:
            monkeypatch.setattr(file, "read", lambda _size: (_ for _ in ()).throw(OSError(errno.EBUSY, "replaced")))
        return file

    monkeypatch.setattr(place.fs, "open", opened)
    if read:
        assert place.read("there", 100) == b"whole"
    else:
        with pytest.raises(Unreachable, match="replaced"):
            place.read("there", 100)


@pytest.mark.parametrize(("levels", "made"), [(1, True), (2, True), (0, False)])
def test_a_folder_that_two_writers_make_at_once_is_made(tmp_path, monkeypatch, levels, made):
    """SFTP's mkdir of what another made a moment ago fails, while the levels below it are not there yet."""
    place = Place(parse(str(tmp_path)))
    making, others = place.fs.makedirs, ["kernels", "kernels/ab"][:levels]

    def makedirs(path, exist_ok):
        if others:
            (tmp_path / others.pop(0)).mkdir()
            raise OSError("Failure")
        if not made:
            raise OSError("Permission denied")
        making(path, exist_ok=exist_ok)

    monkeypatch.setattr(place.fs, "makedirs", makedirs)
    (tmp_path / "file").write_bytes(b"new")
    if made:
        place.put(tmp_path / "file", "kernels/ab/file.json")
        assert (tmp_path / "kernels/ab/file.json").read_bytes() == b"new"
    else:
        with pytest.raises(Unreachable, match="Permission denied"):
            place.put(tmp_path / "file", "kernels/ab/file.json")
