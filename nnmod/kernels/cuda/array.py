"""The tensor on the device: a shape over memory that only kernels touch."""
import math

import numpy as np

from ... import kernels
from .. import formulas
from . import copying, dlpack
from .engine import engine

#: What a tensor on the device may hold.
DTYPES = {np.dtype(name) for name in ("float32", "float64", "int32", "int64", "uint8", "uint32", "uint64", "bool")}


class CudaTensor:
    """Numbers on the CUDA device: what NumPy's array is on the CPU, as far as modules need it.

    Shapes, views (``t[2:5]``, ``t[:, None]``, ``t.reshape(-1, 3)``, ``t.transpose(1, 0)``) and copies
    work as NumPy's do.  ``t[...] = values`` takes a number, another tensor on the device or a NumPy
    array; ``t.numpy()`` is a copy on the host, ``float(t[0])`` one number.  ``+ - * /`` and their
    in-place forms take numbers and tensors of the same shape and dtype.

    NumPy's functions refuse such a tensor: nothing is copied to the host unasked.
    """

    __slots__ = ("_block", "_start", "_memory", "shape", "strides", "dtype", "ndim", "size", "dense", "base",
                 "__weakref__")

    #: NumPy's operators leave the work to this class.
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, block, start, shape, strides, dtype, base=None):
        self._block = block
        self._start = start  # byte of the block where element (0, 0, ...) is
        self._memory = None
        self.shape = shape
        self.strides = strides
        self.dtype = dtype
        self.ndim = len(shape)
        self.size = math.prod(shape)
        #: Whether kernels can use it as it is: the elements lie one after another.
        self.dense = _is_dense(shape, strides, dtype.itemsize)
        #: The tensor that this one is a view of, or None.
        self.base = base

    # -- making ---------------------------------------------------------------

    @classmethod
    def empty(cls, shape, dtype):
        """A new tensor with undefined contents."""
        dtype = np.dtype(dtype)
        if dtype not in DTYPES:
            raise TypeError(f"a tensor on the device holds {', '.join(sorted(d.name for d in DTYPES))}, "
                            f"got {dtype.name}")
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(map(int, shape))
        block = engine().block(math.prod(shape) * dtype.itemsize)
        return cls(block, 0, shape, _strides(shape, dtype.itemsize), dtype)

    @classmethod
    def of(cls, values):
        """A copy of *values*, an array of the host."""
        values = np.asarray(values)
        new = cls.empty(values.shape, values.dtype.newbyteorder("="))
        new.copy_(values)
        return new

    # -- what it is -------------------------------------------------------------

    @property
    def itemsize(self):
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    @property
    def address(self):
        """The address of the first element on the device."""
        return engine().address(self._block.raw) + self._start

    @property
    def memory(self):
        """The array that kernels take."""
        if self._memory is None:
            low, high = self._range()
            self._memory = engine().memory(self._block.raw, low, high, self.shape, self.strides, self.dtype)
        return self._memory

    @property
    def stream(self):
        """The stream that this thread's work goes to."""
        return engine().stream

    def __len__(self):
        if not self.shape:
            raise TypeError("a tensor without dimensions has no length")
        return self.shape[0]

    def __repr__(self):
        return f"cuda.{self.dtype.name} {self.shape}"

    # -- views --------------------------------------------------------------------

    def __getitem__(self, key):
        if type(key) is slice and self.shape:
            start, stop, step = key.indices(self.shape[0])
            if step == 1:
                return self._view(self._start + start * self.strides[0] if start < stop else self._start,
                                  (max(0, stop - start), *self.shape[1:]), self.strides)
        elif key is None:
            return self._view(self._start, (1, *self.shape), (0, *self.strides))
        return self._view(*_indexed(self, key))

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def reshape(self, *shape):
        """The same numbers in another shape: a view, or a copy of a tensor that is not dense."""
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
            shape = tuple(shape[0])
        if -1 in shape:
            known = math.prod(size for size in shape if size != -1)
            if shape.count(-1) > 1 or not known or self.size % known:
                raise ValueError(f"a tensor of shape {self.shape} cannot have the shape {shape}")
            shape = tuple(self.size // known if size == -1 else size for size in shape)
        if math.prod(shape) != self.size:
            raise ValueError(f"a tensor of shape {self.shape} cannot have the shape {shape}")
        source = self if self.dense else self.copy()
        return source._view(source._start, tuple(map(int, shape)), _strides(shape, self.itemsize))

    def ravel(self):
        """All elements in one row: a view, or a copy of a tensor that is not dense."""
        return self if self.dense and self.ndim == 1 else self.reshape(self.size)

    def transpose(self, *axes):
        """A view with its dimensions in the order *axes*; without them, the other way round."""
        if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
            axes = tuple(axes[0])
        axes = tuple(axis % self.ndim for axis in axes) or tuple(range(self.ndim))[::-1]
        if sorted(axes) != list(range(self.ndim)):
            raise ValueError(f"axes must be each of 0..{self.ndim - 1} once, got {axes}")
        return self._view(self._start, tuple(self.shape[axis] for axis in axes),
                          tuple(self.strides[axis] for axis in axes))

    @property
    def T(self):
        """A view with the dimensions the other way round."""
        return self.transpose()

    def swapaxes(self, first, second):
        """A view with two dimensions exchanged."""
        axes = list(range(self.ndim))
        axes[first], axes[second] = axes[second], axes[first]
        return self.transpose(*axes)

    def view(self, dtype):
        """The same bytes as another *dtype* of the same size."""
        dtype = np.dtype(dtype)
        if dtype not in DTYPES or dtype.itemsize != self.itemsize:
            raise TypeError(f"{self!r} cannot be seen as {dtype.name}: elements of another size")
        return CudaTensor(self._block, self._start, self.shape, self.strides, dtype,
                          self if self.base is None else self.base)

    def expanded(self, shape):
        """A view of *shape* in which dimensions of size 1 are repeated."""
        return self._view(self._start, tuple(shape), copying.broadcast(self, tuple(shape)))

    def span(self):
        """All memory from the lowest to the highest element, as one row, and where the first element is in it."""
        low, high = self._range()
        count = (high - low) // self.itemsize
        return self._view(low, (count,), (self.itemsize,)), (self._start - low) // self.itemsize

    def _view(self, start, shape, strides):
        return CudaTensor(self._block, start, shape, strides, self.dtype, self if self.base is None else self.base)

    def _range(self):
        """The bytes of the block, from and to, that the elements lie in."""
        low = high = self._start
        if not self.size:
            return low, low
        for size, step in zip(self.shape, self.strides):
            if step < 0:
                low += (size - 1) * step
            else:
                high += (size - 1) * step
        return low, high + self.itemsize

    # -- copies ---------------------------------------------------------------------

    def copy(self, order="C"):
        """A new tensor with the same numbers, on the device."""
        new = CudaTensor.empty(self.shape, self.dtype)
        new.copy_(self)
        return new

    def astype(self, dtype):
        """A new tensor with the same numbers as *dtype*, on the device."""
        new = CudaTensor.empty(self.shape, dtype)
        new.copy_(self)
        return new

    def copy_(self, source):
        """Copy *source*, broadcast and converted, into this tensor; returns self.

        It is a tensor on the device, an array of the host, or a number.
        """
        if isinstance(source, CudaTensor):
            copying.broadcast(source, self.shape)
            if self.size and not self.same_memory(source):
                copying.copy(source.copy() if self.overlaps(source) else source, self)
        elif isinstance(source, (bool, int, float, np.generic)):
            self.fill(source)
        else:
            values = np.ascontiguousarray(np.broadcast_to(source, self.shape), self.dtype)
            if self.size and self.dense:
                engine().upload(values.ravel(), self.ravel().memory)
            elif self.size:
                copying.copy(CudaTensor.of(values), self)
        return self

    def same_memory(self, other):
        """Whether *other* is a tensor of exactly the same elements."""
        return (self._block is other._block and self._start == other._start and self.shape == other.shape
                and self.strides == other.strides and self.dtype == other.dtype)

    def overlaps(self, other):
        """Whether *other* may have elements in the same memory."""
        if self._block is not other._block:
            return False
        (a, b), (c, d) = self._range(), other._range()
        return a < d and c < b

    def move_from(self, source):
        """Copy *source*, of the same size and dtype; both dense."""
        engine().move(source.ravel().memory, self.ravel().memory)

    def fill(self, value):
        """Set every element to *value*."""
        if not self.size:
            return
        if self.dense and value == 0 and math.copysign(1, value) > 0:
            engine().clear(self.ravel().memory)
        else:
            copying.fill(self, value)

    def numpy(self):
        """A copy as a NumPy array, on the host."""
        host = np.empty(self.shape, self.dtype)
        if self.size:
            engine().download(self.ravel().memory, host.ravel())
        return host

    cpu = numpy

    def item(self):
        """The number that a tensor of one element holds."""
        if self.size != 1:
            raise TypeError(f"only a tensor of one element is a number, this is {self!r}")
        return self.numpy().item()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __setitem__(self, key, value):
        self[key].copy_(value)

    def __deepcopy__(self, memo):
        return self.copy()

    __copy__ = copy

    def __reduce__(self):
        return CudaTensor.of, (self.numpy(),)

    # -- arithmetic -------------------------------------------------------------------

    def __add__(self, other):
        return self._new("add", other)

    def __sub__(self, other):
        return self._new("subtract", other)

    def __mul__(self, other):
        return self._new("multiply", other)

    def __truediv__(self, other):
        return self._new("divide", other)

    def __radd__(self, other):
        return self._new("add", other)

    def __rmul__(self, other):
        return self._new("multiply", other)

    def __rsub__(self, other):
        return (-self)._new("add", other)

    def __neg__(self):
        return self._new("multiply", -1)

    def __iadd__(self, other):
        return self._operate("add", other, self)

    def __isub__(self, other):
        return self._operate("subtract", other, self)

    def __imul__(self, other):
        return self._operate("multiply", other, self)

    def __itruediv__(self, other):
        return self._operate("divide", other, self)

    def _new(self, name, other):
        return self._operate(name, other, CudaTensor.empty(self.shape, self.dtype))

    def _operate(self, name, other, out):
        with_tensor, with_number = _operations()[name]
        source = self if self.dense else self.copy()
        target = out if out.dense else out.copy()
        if isinstance(other, CudaTensor):
            if other.shape != self.shape:
                raise ValueError(f"arithmetic takes tensors of one shape, got {self.shape} and {other.shape}")
            with_tensor(source, other if other.dense else other.copy(), target)
        elif isinstance(other, (int, float, np.integer, np.floating)) and not isinstance(other, bool):
            with_number(source, target, float(other))
        else:
            raise TypeError(f"arithmetic takes tensors on one device and numbers, got {self!r} and "
                            f"{type(other).__name__}; nnmod.cuda(array) copies an array to the device")
        if target is not out:
            out.copy_(target)
        return out

    # -- other libraries -----------------------------------------------------------------

    @property
    def __cuda_array_interface__(self):
        if engine().name == "emulator":
            raise AttributeError("an emulated tensor is not on a GPU: it has no __cuda_array_interface__")
        stream = int(engine().stream)
        return {"shape": self.shape, "strides": None if self.dense else self.strides, "typestr": self.dtype.str,
                "data": (self.address if self.size else 0, False), "version": 3,
                "stream": stream or 1}  # 1 is the default stream; 0 is not allowed here

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if copy or (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()):
            raise BufferError("a tensor is exported where it is, without a copy; .numpy() copies it to the host")
        if stream != -1:  # -1: the other side asks not to wait
            engine().synchronize()
        return dlpack.capsule(self, self.__dlpack_device__())

    def __dlpack_device__(self):
        return engine().dlpack_device

    def __array__(self, dtype=None, copy=None):
        raise TypeError(f"{self!r} is on the device, and NumPy works on the host; .numpy() copies it there")

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} works on the host, and {self!r} is on the device; "
                        ".numpy() copies it there")

    def __eq__(self, other):
        raise TypeError(f"{self!r} is on the device: compare copies on the host (.numpy()), or use nnmod.tensor.equal")

    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__


def _strides(shape, itemsize):
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= max(1, int(size))
    return tuple(strides[::-1])


def _is_dense(shape, strides, step):
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size == 0:
            return True
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def _indexed(tensor, key):
    """Where the view tensor[key] starts, its shape and strides, as NumPy would have it."""
    keys = key if isinstance(key, tuple) else (key,)
    for part in keys:
        if not (part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer))) or isinstance(
                part, bool):
            raise TypeError(f"a tensor on the device is indexed with ints, slices, None and ..., got {part!r}; "
                            "nnmod.Index and nnmod.MaskedSelect take tensors of indices")
    start, shape, strides = tensor._start, [], []
    wanted = sum(part is not None and part is not Ellipsis for part in keys)
    if keys.count(Ellipsis) > 1 or wanted > tensor.ndim:
        raise IndexError(f"too many indices for {tensor!r}: {key!r}")
    if Ellipsis not in keys:
        keys = (*keys, Ellipsis)
    axis = 0
    for part in keys:
        if part is None:
            shape.append(1)
            strides.append(0)
        elif part is Ellipsis:
            rest = tensor.ndim - wanted
            shape += tensor.shape[axis:axis + rest]
            strides += tensor.strides[axis:axis + rest]
            axis += rest
        elif isinstance(part, slice):
            first, stop, step = part.indices(tensor.shape[axis])
            count = len(range(first, stop, step))
            start += first * tensor.strides[axis] if count else 0
            shape.append(count)
            strides.append(step * tensor.strides[axis])
            axis += 1
        else:
            size = tensor.shape[axis]
            if not -size <= part < size:
                raise IndexError(f"index {part} is outside dimension {axis} of size {size}")
            start += int(part) % size * tensor.strides[axis]
            axis += 1
    return start, tuple(shape), tuple(strides)


def _operations():
    """name -> kernels of (tensor, tensor, out) and of (tensor, out, number)."""
    if not _OPERATIONS:
        for name, (with_tensor, with_number) in {
            "add": (formulas.add, formulas.add_constant), "subtract": (formulas.subtract, _less),
            "multiply": (formulas.multiply, formulas.scale), "divide": (formulas.divide, _over),
        }.items():
            _OPERATIONS[name] = kernels.elementwise(with_tensor), kernels.elementwise(with_number)
    return _OPERATIONS


def _less(x, number):
    return x - number


def _over(x, number):
    return x / number


_OPERATIONS = {}

def register():
    """Let everybody know the class."""
    kernels.device_types = (CudaTensor,)
