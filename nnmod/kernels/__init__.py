"""Numerical kernels: one sub-package per backend, the same functions in each.

``reference.X`` (plain NumPy) and ``cpu.X`` (Numba) have one name, one signature
and one meaning, so a module never asks where its tensors live: it asks
:func:`of` for the backend that owns them and calls the function there.

The reference backend is the oracle of the others and the page to learn from.
It takes over by itself where Numba is not installed, and on request with the
environment variable ``NNMOD_KERNELS=reference``.
"""
import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
from types import ModuleType

import numpy as np

from . import formulas as formulas
from . import optim_formulas as optim_formulas

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_cpu_backend = None

#: The class of tensors on the CUDA device, once there was one: kernels.cuda puts it here, so
#: that nobody imports it who has none.
device_types = ()


def of(first, *others) -> ModuleType:
    """The backend that owns these tensors; None stands for an absent optional.

    Raises TypeError unless all are float32 or all float64 on one device: kernels
    are compiled for that case and no other, and nothing is copied behind your back.
    """
    on_device = device_types and _one_device(first, others)
    try:
        dtype = first.dtype
        for tensor in others:
            if tensor is not None and tensor.dtype is not dtype and tensor.dtype != dtype:
                raise _mixed(first, tensor)
    except AttributeError:
        raise TypeError(f"kernels work on tensors, got {_describe(first)}, "
                        f"{', '.join(map(_describe, others))}") from None
    if dtype is not _FLOAT32 and dtype is not _FLOAT64 and dtype not in (_FLOAT32, _FLOAT64):
        raise TypeError(
            f"kernels work on float32 or float64, got {_describe(first)}; "
            "convert it with .astype(np.float32)"
        )
    return _cuda_backend() if on_device else _cpu_backend or _load_cpu_backend()


def is_on_device(value):
    """Whether *value* is a tensor on the CUDA device."""
    return isinstance(value, device_types)


def _one_device(first, others):
    """Whether the tensors are on the CUDA device; raises TypeError where only some are."""
    on_device = isinstance(first, device_types)
    for tensor in others:
        if tensor is not None and isinstance(tensor, device_types) != on_device:
            raise _mixed(first, tensor)
    return on_device


def device():
    """The class of tensors on the CUDA device.

    Raises RuntimeError where there is no CUDA, and says what to install or set.
    """
    if not device_types:
        try:
            from .cuda import array, engine  # at the first tensor on the device: import nnmod stays light
        except ImportError as error:
            emulate = os.environ.get("NNMOD_CUDA") == "emulate"
            raise RuntimeError(NO_EMULATOR if emulate else NO_CUDA) from error
        engine.engine()
        array.register()
    return device_types[0]


#: What is said where there is no CUDA.
NO_CUDA = ("there is no CUDA here: it needs an NVIDIA GPU with its driver and the package numba-cuda "
           "(pip install 'nnmod[cuda]'); set NNMOD_CUDA=emulate to run CUDA kernels on the CPU instead")
NO_EMULATOR = ("NNMOD_CUDA=emulate runs CUDA kernels on the CPU, and needs the compiler for GPUs: "
               "pip install 'nnmod[cuda]'")


def _cuda_backend():
    from . import cuda
    return cuda


def elementwise(formula, outputs=1):
    """A kernel that applies a scalar *formula* to every element, on every backend.

    Parameters
    ----------
    formula : function
        Takes one element of each input tensor, then numbers; returns one value,
        or a tuple of *outputs* values.  Plain scalar Python: ``math`` functions
        and ``if`` are allowed.  :mod:`nnmod.kernels.formulas` has ``exp``,
        ``log1p``, ``tanh`` and ``select`` in forms that compile to vector code.
    outputs : int
        How many tensors are written.

    Returns
    -------
    function
        ``kernel(*inputs, *outputs, *numbers)``.  All tensors have one shape, any
        number of dimensions, and one dtype.  An output may be one of the inputs.

    Write a literal as ``constant(1, x)`` (or ``type(x)(1)``) to stay in float32:
    a bare ``1.0`` makes the arithmetic float64, which is right but slower.

    >>> cube = elementwise(lambda x, scale: scale * x * x * x)
    >>> x, y = np.arange(3.0), np.empty(3)
    >>> cube(x, y, 2.0)
    >>> y
    array([ 0.,  2., 16.])
    """
    return _Elementwise(formula, outputs)


def elementwise_sum(formula):
    """A kernel that sums a scalar *formula* over all elements, on every backend.

    Returns ``kernel(*inputs, *numbers) -> float``; the formula takes an element of each
    input, then the numbers.  The sum is taken in float64 and does not depend on the
    number of threads.

    >>> from nnmod.kernels import formulas
    >>> elementwise_sum(formulas.squared_error)(np.array([1.0, 2.0]), np.zeros(2))
    5.0
    """
    return _ElementwiseSum(formula)


def setnumthreads(count):
    """Let kernels use *count* threads at most; results stay the same to the bit.

    The default is the number of processors this process may use, or the environment
    variable NNMOD_NUM_THREADS.  The reference kernels leave threads to NumPy: there
    the number is checked and has no effect.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"the number of threads must be an int > 0, got {count!r}")
    threads = getattr(_cpu_backend or _load_cpu_backend(), "threads", None)
    if threads is not None:
        _set(threads.set_num_threads, count)


def getnumthreads():
    """How many threads kernels use at most: 1 with the reference kernels."""
    threads = getattr(_cpu_backend or _load_cpu_backend(), "threads", None)
    return 1 if threads is None else threads.get_num_threads()


# The spelling of nnmod's own functions, beside Torch's.
setNumThreads, getNumThreads = setnumthreads, getnumthreads


def setconv2dmethod(name):
    """Compute 2-D convolutions by method *name* wherever that is able to; None: choose by shape.

    The methods are "im2col", "1x1", "depthwise" and "winograd"; the kernels' conv2d_method
    says which one is taken for given shapes, and when each is able.  ``"im2col"`` does
    everything by plain sums; so does the environment variable NNMOD_WINOGRAD=0, which leaves
    out Winograd's method alone.  The reference kernels know only "im2col", and take it.
    """
    if name not in (None, "im2col", "1x1", "depthwise", "winograd"):
        raise ValueError("the method must be None, 'im2col', '1x1', 'depthwise' or 'winograd', "
                         f"got {name!r}")
    convolution = (_cpu_backend or _load_cpu_backend()).convolution
    if hasattr(convolution, "set_conv2d_method"):
        _set(convolution.set_conv2d_method, name)


def getconv2dmethod():
    """The method that setconv2dmethod asked for, or None."""
    convolution = (_cpu_backend or _load_cpu_backend()).convolution
    return convolution.get_conv2d_method() if hasattr(convolution, "get_conv2d_method") else None


def circumstances():
    """What decides, beside its arguments, how a kernel goes: backend, method of convolutions, number of threads."""
    return _cpu_backend, _settings


#: How often a method of convolutions, or a number of threads, has been set.
_settings = 0


def _set(change, value):
    global _settings
    _settings += 1
    change(value)


def ready(kernel, *args):
    """A *kernel* of some backend as a function of its first tensor alone, which must be like the one in *args*.

    A backend whose kernel has a ``ready`` of its own works out what follows from shapes once.
    """
    make = getattr(kernel, "ready", None)
    return make(*args) if make else lambda x: kernel(x, *args[1:])


def settensorcores(kind):
    """Let the GPU multiply float32 matrices, and convolve, on its tensor cores, with "tf32"; None: in float32.

    tf32 rounds each factor to 11 significant bits, to the nearest: an error of 2**-11 of the factor at
    most, so of 2**-10 of each product.  The products are exact then, and are added in float32.  float64
    stays as it is, and so do products of up to four rows, which wait for memory alone.

    It holds for all that follows in the process; the default is None, or what the environment variable
    NNMOD_TENSOR_CORES says.  Raises ValueError for another kind and for a GPU of a compute capability
    below 8.0, RuntimeError where there is no CUDA.
    """
    _tensor_cores().set_tensor_cores(kind)


def gettensorcores():
    """The kind that settensorcores asked for, or None."""
    return _tensor_cores().get_tensor_cores()


def _tensor_cores():
    try:
        from .cuda import tensor_cores
    except ImportError as error:
        raise RuntimeError(NO_CUDA) from error
    return tensor_cores


def backend_name():
    """``"cpu"`` or ``"reference"``: which backend serves tensors on the CPU."""
    return (_cpu_backend or _load_cpu_backend()).__name__.rpartition(".")[2]


def setcudalibraries(*names):
    """Let NVIDIA's libraries compute their part on the GPU: "cublas" matrix products, "cudnn" convolutions.

    Those that are not named do not; without a name, nnmod's own kernels compute everything.  cuBLAS
    computes in float32 and float64, and never in tf32; cuDNN uses tf32 where settensorcores asks for it,
    and leaves to nnmod the convolutions that its deterministic algorithms cannot compute.  It holds for
    all that follows in the process; the default are those whose variable is 1 in the environment,
    NNMOD_CUBLAS and NNMOD_CUDNN.  Raises ImportError where a library is not installed, RuntimeError
    where there is no GPU (the emulator is none), ValueError for another name; then nothing has changed.
    """
    _vendor().use(*names)


def getcudalibraries():
    """The names that setcudalibraries was given, as a tuple."""
    return _vendor().used()


def _vendor():
    try:
        from .cuda import vendor
    except ImportError as error:
        raise RuntimeError(NO_CUDA) from error
    return vendor


@contextlib.contextmanager
def use_backend(backend):
    """Serve CPU tensors from *backend*, a module such as ``kernels.reference``, for a while.

    For tests and comparisons; it holds for all threads of the process.
    """
    global _cpu_backend
    before, _cpu_backend = _cpu_backend, backend
    try:
        yield backend
    finally:
        _cpu_backend = before


class _Elementwise:
    """A formula with its compiled kernels, one for each backend that has been used."""

    def __init__(self, formula, outputs):
        self.formula = formula
        self.outputs = outputs
        self.__doc__ = formula.__doc__
        self.__name__ = formula.__name__
        self._arguments = len(inspect.signature(formula).parameters) + outputs
        self._tensors = None  # how many arguments are tensors; known from the first call
        self._compiled = {}
        # The usual case without a detour, on the backend that made it.
        self._direct, self._direct_backend = None, None

    def __call__(self, *args):
        if self._direct_backend is _cpu_backend is not None and len(args) == self._arguments:
            self._direct(*args)
        else:
            self._checked(*args)

    def _checked(self, *args):
        """Any call: every argument is looked at, and what is wrong is said."""
        tensors = args[:self._tensors or self._count_tensors(args)]
        if len(args) != self._arguments:
            raise TypeError(f"{self!r} takes {self._arguments} arguments, got {len(args)}")
        for tensor in tensors:
            if not _is_tensor(tensor):
                raise TypeError(f"{self!r} takes {len(tensors)} tensors first, got {_describe(tensor)}")
            if tensor.shape != tensors[0].shape:
                raise ValueError(f"{self!r}: tensors must have one shape, got {tensors[0].shape} "
                                 f"and {tensor.shape}")
        backend = of(*tensors)
        kernel = self._compiled.get(backend)
        if kernel is None:
            kernel = backend.elementwise(self.formula, len(tensors) - self.outputs, self.outputs)
            self._compiled[backend] = kernel
            if not isinstance(tensors[0], device_types) and hasattr(kernel, "direct"):
                self._direct, self._direct_backend = kernel.direct(self._checked), backend
        if isinstance(tensors[0], device_types) and not all(tensor.dense for tensor in tensors):
            self._strided_on_device(kernel, tensors, args[len(tensors):])
        else:
            kernel(*args)

    def _strided_on_device(self, kernel, tensors, numbers):
        """The same through dense copies; what is an input and an output stays one."""
        copies = {id(tensor): tensor if tensor.dense else tensor.copy() for tensor in tensors}
        kernel(*[copies[id(tensor)] for tensor in tensors], *numbers)
        for tensor in tensors[len(tensors) - self.outputs:]:
            tensor.copy_(copies[id(tensor)])

    def _count_tensors(self, args):
        count = 0
        while count < len(args) and _is_tensor(args[count]):
            count += 1
        if len(args) == self._arguments:
            if count <= self.outputs:
                raise TypeError(f"{self!r} takes its tensors first, an input and {self.outputs} output(s) "
                                "at least, then its numbers")
            self._tensors = count
        return count

    def __repr__(self):
        return f"elementwise({self.__name__})"

    def __reduce__(self):
        return _Elementwise, (self.formula, self.outputs)


class _ElementwiseSum:
    """A formula to be summed, with its compiled kernel for each backend."""

    def __init__(self, formula):
        self.formula = formula
        self._arguments = len(inspect.signature(formula).parameters)
        self._compiled = {}  # (backend, number of tensors) -> kernel

    def __call__(self, *args):
        if len(args) != self._arguments or not _is_tensor(args[0]):
            raise TypeError(f"{self!r} takes {self._arguments} arguments, tensors and then numbers, "
                            f"got {', '.join(map(_describe, args))}")
        count = 1
        while count < len(args) and _is_tensor(args[count]):
            count += 1
        tensors = args[:count]
        for tensor in tensors:
            if tensor.shape != tensors[0].shape:
                raise ValueError(f"{self!r}: tensors must have one shape, got "
                                 f"{tensors[0].shape} and {tensor.shape}")
        backend = of(*tensors)
        kernel = self._compiled.get((backend, count))
        if kernel is None:
            kernel = self._compiled[backend, count] = backend.elementwise_sum(self.formula, count)
        # Not kept: two Python threads may be here at once.
        out = np.empty(1) if not isinstance(tensors[0], device_types) else tensors[0].empty(1, _FLOAT64)
        kernel(*tensors, out, *args[count:])
        return float(out[0])

    def __repr__(self):
        return f"elementwise_sum({self.formula.__name__})"

    def __reduce__(self):
        return _ElementwiseSum, (self.formula,)


def _load_cpu_backend():
    global _cpu_backend
    name = os.environ.get("NNMOD_KERNELS", "")
    if name not in ("", "cpu", "reference"):
        raise ValueError(f"NNMOD_KERNELS must be cpu or reference, got {name!r}")
    if not name:
        name = "cpu" if importlib.util.find_spec("numba") else "reference"
        if name == "reference" and not os.environ.get("NNMOD_QUIET"):
            print("nnmod: numba is not installed, so the NumPy reference kernels are used "
                  "(right, but slower)", file=sys.stderr)
    _cpu_backend = importlib.import_module(f".{name}", __name__)
    return _cpu_backend


def _mixed(first, other):
    return TypeError(
        f"tensors must share one device and one dtype, got {_describe(first)} and {_describe(other)}; "
        + ("convert the module with .cuda() or .cpu(), or the tensor with nnmod.cuda(array) or .numpy()"
           if is_on_device(first) != is_on_device(other) else
           "convert the module with .float() or .double(), or the tensor with .astype")
    )


def _is_tensor(value):
    return isinstance(value, np.ndarray) or isinstance(value, device_types)


def _describe(tensor):
    if isinstance(tensor, np.ndarray):
        return f"cpu.{tensor.dtype.name} {tensor.shape}"
    if is_on_device(tensor):
        return repr(tensor)
    return type(tensor).__name__
