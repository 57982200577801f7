"""Where a .t7 file comes from: disks, windows, maps, pipes, file objects; text by the letter."""
import io
import os
import stat
import struct
import threading

import numpy as np
import pytest

import nnmod
from nnmod.serialization import t7_format, t7_sources
from test_t7 import FILES, path_of
from test_t7_write import assert_equal


def rewritten(raw):
    file = io.BytesIO()
    t7_format.Writer(file).object(raw)
    return file.getvalue()


@pytest.fixture
def large(tmp_path):
    """A file with arrays larger than the window, at all places modulo 8, and what they hold."""
    rng = np.random.default_rng(0)
    value = {"x" * i: rng.standard_normal(50_000 + i).astype(dtype) for i, dtype in
             enumerate(("float32", "float64", "float32", "float16", "float64", "float32"))}
    value |= {"long": rng.integers(-2**62, 2**62, 40_000), "byte": rng.integers(0, 255, 300_001).astype(np.uint8)}
    path = tmp_path / "large.t7"
    nnmod.save(path, value)
    return path, value


@pytest.mark.parametrize("window", [8, 13, 64, 4096])
def test_a_file_is_the_same_through_a_window_of_any_size(window, monkeypatch):
    monkeypatch.setattr(t7_sources, "_WINDOW", window)
    for name in FILES:
        with open(path_of(name), "rb") as file:
            there = t7_format.read(file)
        assert rewritten(there) == rewritten(t7_format.read(path_of(name).read_bytes())), name


@pytest.mark.parametrize("mmap", [False, True])
def test_large_arrays_come_from_disk_as_from_memory(large, mmap):
    path, value = large
    assert_equal(nnmod.load(path, mmap=mmap), value)
    assert_equal(nnmod.load(io.BytesIO(path.read_bytes())), value)


def test_every_place_where_a_large_file_is_cut_off_is_an_error(large, tmp_path):
    data, short = large[0].read_bytes(), tmp_path / "short.t7"
    for size in (*range(200_000, len(data), 333_331), len(data) - 1):
        short.write_bytes(data[:size])
        for mmap in (False, True):
            with pytest.raises(nnmod.T7Error, match="bytes are left|are left: it is cut off"):
                nnmod.load(short, mmap=mmap)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(large):
    class Shrinking(io.FileIO):
        def readinto(self, target):
            return 0

    with Shrinking(large[0]) as file, pytest.raises(nnmod.T7Error, match="became shorter while it was read"):
        nnmod.load(file)


def test_mapped_tensors_are_private(large):
    path, value = large
    before = path.read_bytes()
    mapped = nnmod.load(path, mmap=True)
    for array in mapped.values():
        assert array.flags.writeable
        array[...] = 1
    assert path.read_bytes() == before
    assert_equal(nnmod.load(path, mmap=True), value)


def test_a_mapped_network_computes_and_learns(tmp_path):
    net = nnmod.Sequential(nnmod.Linear(5, 7), nnmod.Tanh(), nnmod.Linear(7, 2))
    x = np.ones((3, 5), np.float32)
    expected = net.forward(x).copy()
    nnmod.save(tmp_path / "net.t7", net)
    before = (tmp_path / "net.t7").read_bytes()
    mapped = nnmod.load(tmp_path / "net.t7", mmap=True)
    np.testing.assert_array_equal(mapped.forward(x), expected)
    mapped.backward(x, np.ones_like(expected))
    mapped.updateParameters(0.1)
    assert not np.array_equal(mapped.forward(x), expected)
    assert (tmp_path / "net.t7").read_bytes() == before


def test_data_that_lie_askew_in_a_map_are_taken_by_modules(large):
    mapped = nnmod.load(large[0], mmap=True)
    askew = [array for array in mapped.values() if array.dtype == np.float32 and not array.flags.aligned]
    assert askew  # at a place that is no multiple of four bytes
    for array in askew:
        np.testing.assert_array_equal(nnmod.Linear(4, 4).forward(array[:8].reshape(2, 4)).shape, (2, 4))


def test_a_sparse_file_of_gigabytes_is_mapped_at_once(tmp_path):
    """The head of a tensor, and 4 GB that nobody wrote."""
    path, count = tmp_path / "sparse.t7", 1 << 30
    file = io.BytesIO()
    nnmod.save(file, np.zeros(1 << 4, np.float32))
    head = bytearray(file.getvalue()[:-64])
    place = head.index(b"torch.FloatTensor") + len(b"torch.FloatTensor") + 4
    struct.pack_into("<q", head, place, count)
    struct.pack_into("<q", head, len(head) - 8, count)
    path.write_bytes(head)
    os.truncate(path, len(head) + 4 * count)
    with open(path, "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(struct.pack("<f", 2.5))
    tensor = nnmod.load(path, mmap=True)
    assert tensor.shape == (count,) and tensor[-1] == 2.5 and tensor[count // 2] == 0


def test_a_file_object_is_read_from_where_it_stands(tmp_path, large):
    path = tmp_path / "second.t7"
    path.write_bytes(b"header" + large[0].read_bytes())
    for mmap in (False, True):
        with open(path, "rb") as file:
            file.seek(6)
            assert_equal(nnmod.load(file, mmap=mmap), large[1])
    with pytest.raises(TypeError, match="open in binary"), open(path_of("nil.t7")) as file:
        nnmod.load(file)
    with pytest.raises(OSError):
        nnmod.load(io.BytesIO(b"\0\0\0\0"), mmap=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_read_to_its_end(tmp_path, large):
    os.mkfifo(tmp_path / "pipe")
    for data in (large[0].read_bytes(), path_of("linear_ascii.t7").read_bytes()):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
        writer.start()
        value = nnmod.load(tmp_path / "pipe")
        writer.join()
        assert rewritten_value(value) == rewritten_value(nnmod.load(io.BytesIO(data)))


def rewritten_value(value):
    file = io.BytesIO()
    nnmod.save(file, value)
    return file.getvalue()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_no_permission_is_the_usual_error(tmp_path):
    path = tmp_path / "secret.t7"
    path.write_bytes(b"\0\0\0\0")
    path.chmod(stat.S_IWUSR)
    with pytest.raises(PermissionError):
        nnmod.load(path)


# -- text ------------------------------------------------------------------------------


def text_of(kind, words, count=None):
    """The text form of a tensor of *kind* with *words*, of which it says that there are *count*."""
    count = len(words.split()) if count is None else count
    tensor, storage = (f"torch.{kind}{form}" for form in ("Tensor", "Storage"))
    return (f"4\n1\n3\nV 1\n{len(tensor)}\n{tensor}\n1\n{count}\n1\n1\n"
            f"4\n2\n3\nV 1\n{len(storage)}\n{storage}\n{count}\n{words}\n").encode()


def parsed(*arguments):
    return nnmod.load(io.BytesIO(text_of(*arguments)))


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_text_is_the_same_in_pieces_of_any_size(chunk, monkeypatch):
    monkeypatch.setattr(t7_sources, "_CHUNK", chunk)
    values = np.random.default_rng(0).standard_normal(300) * 10.0 ** np.random.default_rng(1).integers(-300, 300, 300)
    np.testing.assert_array_equal(parsed("Double", " ".join(f"{v:.17g}" for v in values)), values)
    numbers = [0, -1, 2**63 - 1, -2**63, 12345]
    np.testing.assert_array_equal(parsed("Long", " ".join(map(str, numbers))), numbers)


def test_words_that_stand_for_no_finite_number():
    values = parsed("Double", "nan -nan inf -inf 1e999 -1e999 -0 5e-324")
    np.testing.assert_array_equal(values, [np.nan, np.nan, np.inf, -np.inf, np.inf, -np.inf, 0, 5e-324])
    assert list(np.signbit(values)) == [False, True, False, True, False, True, True, False]
    assert parsed("Float", "1e39 1e-60").tolist() == [np.inf, 0]


@pytest.mark.parametrize("kind, words, count, error", [
    ("Double", "1 2 x", 3, "something else than numbers"),
    ("Double", "1 2-3", 2, "something else than numbers"),
    ("Double", "1-2 3", 3, "something else than numbers"),
    ("Double", "1,2", 1, "something else than numbers"),
    ("Double", "1 2 3", 2, "2 numbers must stand in the line, found 3"),
    ("Double", "1 2 3", 4, "bytes are left|4 numbers must stand in the line, found 3"),
    ("Double", "0x10 1", 2, "something else than numbers"),
    ("Double", "1\0 2", 2, "something else than numbers"),
    ("Long", "1.5 2", 2, "something else than numbers"),
    ("Long", "9223372036854775808", 1, "larger than 64 bits"),
    ("Long", "1 -9223372036854775809", 2, "larger than 64 bits"),
    ("Int", "1 3000000000", 2, "must lie between -2147483648 and 2147483647"),
    ("Short", "-40000", 1, "must lie between"),
])
def test_text_that_is_not_what_it_says_is_an_error(kind, words, count, error):
    with pytest.raises(nnmod.T7Error, match=error):
        parsed(kind, words, count)
