"""Files that are not Torch7's, or are damaged: a clear T7Error, and nothing else."""
import io
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import fuzz_t7
import nnmod
from nnmod.serialization import t7, t7_format
from test_t7 import FILES, MODULES, path_of


def error_of(data):
    with pytest.raises(nnmod.T7Error) as caught:
        nnmod.load(io.BytesIO(data))
    return str(caught.value), caught.value.position


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return file.getvalue()


def saved_array():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize("data, words", [
    (b"", "the file is empty"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
    (zipped(), "zip archive.*torch.load of PyTorch"),
    (pickle.dumps([1, 2], 2), "Python pickle"),
    (pickle.dumps([1, 2], 4), "Python pickle"),
    (b"\x89HDF\r\n\x1a\n" + b"\0" * 20, "HDF5"),
    (saved_array(), "numpy.load reads it"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "gunzip"),
    (b"<!DOCTYPE html><html>", "a web page"),
    (b"\n<html>", "a web page"),
    ("caf\u00e9 \u00e0 la carte\n".encode(), "text file.*begins 'caf\u00e9"),
    (b"\xef\xbb\xbf4\n1\n", "text file.*begins '4"),
    (b"name,value\n1,2\n", "text file.*begins 'name,value"),
    (struct.pack("<Q", 40) + b'{"a":{"dtype":"F32"}}', "safetensors.*load_checkpoint"),
    (b"\xde\xad\xbe\xef" * 4, "begins with the bytes de ad be ef"),
])
def test_other_files_are_named_for_what_they_are(data, words):
    with pytest.raises(nnmod.T7Error, match=words):
        nnmod.load(io.BytesIO(data))


def test_errors_say_where_and_what():
    data = path_of("linear_binary.t7").read_bytes()
    text, position = error_of(data[:700])
    assert "cut off or damaged; fetch it again" in text
    assert 0 < position <= 700 and f"(at byte {position})" in text
    changed = bytearray(path_of("tables.t7").read_bytes())
    changed[8:12] = struct.pack("<i", 10_000_000)
    text, position = error_of(bytes(changed))
    assert "a table says that it has 10000000 pairs" in text and position == 8
    text, position = error_of(struct.pack("<iii", 3, 1, 1) + struct.pack("<i", 77) + b"\0" * 40)
    assert "found 77" in text and position == 12
    text, _ = error_of(b"3\n1\n1\nabc\n")
    assert "must be a number, found b'abc'" in text


def test_sizes_and_strides_are_checked_before_anything_is_allocated():
    def tensor(sizes, strides, offset, count):
        return (struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 18) + b"torch.DoubleTensor"
                + struct.pack("<i", len(sizes)) + np.array([*sizes, *strides, offset], "<i8").tobytes()
                + struct.pack("<iii", 4, 2, 3) + b"V 1" + struct.pack("<i", 19) + b"torch.DoubleStorage"
                + struct.pack("<q", count) + b"\0" * 80)

    assert nnmod.load(io.BytesIO(tensor([2, 5], [5, 1], 1, 10))).shape == (2, 5)
    for arguments in (([2, 5], [5, 1], 2, 10), ([2, 5], [-5, 1], 6, 10), ([-2, 5], [5, 1], 1, 10),
                      ([2**40, 5], [0, 1], 1, 10), ([2, 5], [2**62, 1], 1, 10), ([10], [1], 0, 10),
                      ([10], [1], -2**63, 10)):
        text, _ = error_of(tensor(*arguments))
        assert "does not fit into its storage" in text or "too often" in text or "bytes are left" in text, text
    for count in (11, 2**40, -1, 2**63 - 1):
        text, _ = error_of(tensor([2, 5], [5, 1], 1, count))
        assert "bytes are left" in text or "the size of a" in text


def test_files_that_cannot_be_opened_give_the_usual_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        nnmod.load(tmp_path / "missing.t7")
    with pytest.raises(IsADirectoryError):
        nnmod.load(tmp_path)
    (tmp_path / "empty.t7").write_bytes(b"")
    for mmap in (False, True):
        with pytest.raises(nnmod.T7Error, match="the file is empty"):
            nnmod.load(tmp_path / "empty.t7", mmap=mmap)


SMALL = {name: path_of(name).read_bytes() for name in FILES if path_of(name).stat().st_size < 700}
SMALL |= {name: MODULES[name] for name in ("Dropout__1", "ReLU__1")}


@pytest.mark.parametrize("name", SMALL)
def test_every_beginning_of_a_file_gives_an_error_or_a_value(name):
    data = SMALL[name]
    whole = [size for size in range(len(data)) if fuzz_t7.attempt(data[:size])]
    # The second of two objects is not read, and the end of a last line of text can be missing.
    assert all(len(data) - size <= (28 if name == "two_objects.t7" else 1) for size in whole), whole


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_give_a_value_or_an_error(seed):
    """A minute in all; tests/fuzz_t7.py runs for as long as you like."""
    tried, good = fuzz_t7.fuzz(7, seed)
    assert tried > 100 and 0 < good < tried


def test_a_bomb_does_not_take_the_memory():
    """Sizes in fields that the file's tensors do not account for allocate nothing."""
    def numbers(name, **fields):
        thing = t7_format.Torch(name, 1)
        thing.content = t7_format.Table()
        thing.content.items += [(b"_type", b"torch.DoubleTensor"),
                                *((key.encode(), value) for key, value in fields.items())]
        file = io.BytesIO()
        t7_format.Writer(file).object(thing)
        return file.getvalue()

    small = t7_format.Tensor("torch.DoubleTensor")
    small.shape, small.strides = (2, 2), (2, 1)
    small.storage = t7_format.Storage("torch.DoubleStorage", np.zeros(4))
    huge = 1e9
    window = {"nInputPlane": huge, "nOutputPlane": huge, "kW": huge, "kH": huge, "dW": 1.0, "dH": 1.0}
    for data in (numbers("nn.Linear", weight=small), numbers("nn.SpatialConvolution", weight=small, **window),
                 numbers("nn.SpatialDepthWiseConvolution", weight=small, **window),
                 numbers("nn.PReLU", weight=small, nOutputPlane=huge),
                 numbers("nn.SpatialFullConvolution", weight=small, **window),
                 numbers("nn.ClassSimplexCriterion", simplex=small, nClasses=huge),
                 numbers("nn.LookupTable", weight=small, nIndex=huge)):
        assert nnmod.load(io.BytesIO(data)) is not None


def test_modules_nested_deeper_than_python_can_go_are_opaque_or_an_error():
    thing = None
    for _ in range(20_000):
        outer = t7_format.Torch("nn.Sequential", 1)
        outer.content = t7_format.Table()
        modules = t7_format.Table()
        modules.items += [] if thing is None else [(1.0, thing)]
        outer.content.items += [(b"modules", modules), (b"_type", b"torch.FloatTensor")]
        thing = outer
    file = io.BytesIO()
    t7_format.Writer(file).object(thing)
    assert fuzz_t7.attempt(file.getvalue(), slow=60) in (True, False)


def test_a_module_that_contains_itself_is_no_endless_loop():
    thing = t7_format.Torch("nn.Sequential", 1)
    thing.content, modules = t7_format.Table(), t7_format.Table()
    modules.items += [(1.0, thing)]
    thing.content.items += [(b"modules", modules), (b"_type", b"torch.FloatTensor")]
    file = io.BytesIO()
    t7_format.Writer(file).object(thing)
    module = nnmod.load(io.BytesIO(file.getvalue()))
    assert isinstance(module, t7.Opaque) and "contains the module itself" in module.reason
    assert module.fields["modules"][0] is module


def test_the_fuzzer_has_a_command_line():
    done = subprocess.run([sys.executable, fuzz_t7.__file__, "--seconds", "1", "--seed", "3"], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and "seed 3:" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["linear_ascii", "linear_float_ascii", "tensor_types_ascii"])
def test_an_ascii_file_whose_lines_end_as_on_windows_is_read(name):
    """Such as git leaves behind that converts texts."""
    data = path_of(f"{name}.t7").read_bytes()
    assert b"\r" not in data
    plain, changed = t7_format.read(io.BytesIO(data)), t7_format.read(io.BytesIO(data.replace(b"\n", b"\r\n")))
    one, other = io.BytesIO(), io.BytesIO()
    t7_format.Writer(one).object(plain)
    t7_format.Writer(other).object(changed)
    assert one.getvalue() == other.getvalue()


def test_the_file_is_named_with_the_error(tmp_path):
    (tmp_path / "a.t7").write_bytes(b"<html>")
    with pytest.raises(nnmod.T7Error, match="a web page") as caught:
        nnmod.load(tmp_path / "a.t7")
    assert caught.value.__notes__ == [f"in the file {tmp_path / 'a.t7'}"]
    with pytest.raises(nnmod.T7Error) as caught:
        nnmod.load(io.BytesIO(b"<html>"))
    assert not getattr(caught.value, "__notes__", None)
