"""Convolutions by NVIDIA's cuDNN; vendor.py says when.

Of cuDNN's algorithms those are taken that its documentation calls deterministic: two runs give the
same bits.  Where it says that it does not support one for a convolution, nnmod's own kernels compute that.
"""
import contextlib
import ctypes

import numpy as np

from . import vendor
from .launch import scratch
from .tensor_cores import get_tensor_cores

#: cudnnDataType_t, cudnnTensorFormat_t, cudnnConvolutionMode_t and cudnnMathType_t.
_REAL = {np.dtype(np.float32): (0, ctypes.c_float), np.dtype(np.float64): (1, ctypes.c_double)}
_NCHW, _CROSS_CORRELATION, _DEFAULT_MATH, _FMA_MATH = 0, 1, 0, 3
#: Sizes are 32-bit numbers, and so are places within a tensor.
_LARGEST = 2**31 - 1
#: So many geometries have their descriptors kept.
_KEPT = 256

#: Of each verb the function that computes, the one that says how much memory that needs, and the
#: deterministic algorithms.  The gradients' number 1 is: the first one, 0, adds by atomics.
_VERBS = {
    "output": ("cudnnConvolutionForward", "cudnnGetConvolutionForwardWorkspaceSize", (1, 0)),
    "grad_input": ("cudnnConvolutionBackwardData", "cudnnGetConvolutionBackwardDataWorkspaceSize", (1,)),
    "grad_weight": ("cudnnConvolutionBackwardFilter", "cudnnGetConvolutionBackwardFilterWorkspaceSize", (1,)),
}


def output(x, w, y, stride, pad, dilation, groups):
    """y <- the convolution of x with w by cuDNN; False where nnmod's own kernels are to do it."""
    return _convolve("output", (x, w, y), (x, w, y), stride, pad, dilation, groups, 1.0, 0.0)


def grad_input(dy, w, dx, stride, pad, dilation, groups):
    """dx <- the gradient of x by cuDNN, or False."""
    return _convolve("grad_input", (w, dy, dx), (dx, w, dy), stride, pad, dilation, groups, 1.0, 0.0)


def grad_weight(x, dy, dw, stride, pad, dilation, groups, scale):
    """dw <- itself + scale times the gradient of w by cuDNN, or False."""
    return _convolve("grad_weight", (x, dy, dw), (x, dw, dy), stride, pad, dilation, groups, scale, 1.0)


def _convolve(verb, operands, tensors, stride, pad, dilation, groups, alpha, beta):
    cudnn = vendor.library("cudnn")
    # It may leave out what a factor of 0 multiplies, and NaN with it.
    if cudnn is None or not alpha or any(isinstance(t, np.ndarray) or not 0 < t.size <= _LARGEST for t in tensors):
        return False
    x, w, y = (tuple(tensor.shape) for tensor in tensors)
    seen = [(x[2 + i] + 2 * pad[i] - dilation[i] * (w[2 + i] - 1) - 1) // stride[i] + 1 for i in (0, 1)]
    if list(y[2:]) != seen:  # cuDNN knows windows within the padding only
        return False
    numbers = tuple(tuple(int(n) for n in pair) for pair in (pad, stride, dilation))
    return cudnn.convolve(verb, operands, (x, w, y, *numbers, int(groups), tensors[0].dtype), alpha, beta)


class Cudnn(vendor.Library):
    """Convolutions by *library*, the loaded cuDNN 8 or 9."""

    name, create, stream = "cudnn", "cudnnCreate", "cudnnSetStream"

    def __init__(self, library):
        super().__init__(library)
        self._descriptors = {}
        pointer, number, to = ctypes.c_void_p, ctypes.c_int, ctypes.POINTER
        for kind in ("Tensor", "Filter", "Convolution"):
            self.declare(f"cudnnCreate{kind}Descriptor", to(pointer))
            self.declare(f"cudnnDestroy{kind}Descriptor", pointer)
        self.declare("cudnnSetTensor4dDescriptor", pointer, *[number] * 6)
        self.declare("cudnnSetFilter4dDescriptor", pointer, *[number] * 6)
        self.declare("cudnnSetConvolution2dDescriptor", pointer, *[number] * 8)
        self.declare("cudnnSetConvolutionGroupCount", pointer, number)
        self.declare("cudnnSetConvolutionMathType", pointer, number)
        for compute, size, _ in _VERBS.values():
            self.declare(compute, *[pointer] * 7, number, pointer, ctypes.c_size_t, *[pointer] * 3)
            self.declare(size, *[pointer] * 5, number, to(ctypes.c_size_t))
        library.cudnnGetErrorString.argtypes, library.cudnnGetErrorString.restype = [number], ctypes.c_char_p

    def convolve(self, verb, operands, geometry, alpha, beta):
        """The third operand <- alpha times what *verb* makes of the others + beta times itself; whether it can."""
        compute, size, algorithms = _VERBS[verb]
        a, b, c = operands
        real = _REAL[c.dtype][1]
        alpha, beta = ctypes.byref(real(alpha)), ctypes.byref(real(beta))
        with self._lock:
            handle = self.ready()
            x, w, y, convolution = self._described(geometry)
            tf32 = get_tensor_cores() and c.dtype == np.float32
            self.call("cudnnSetConvolutionMathType", convolution, _DEFAULT_MATH if tf32 else _FMA_MATH)
            of_a, of_b, of_c = {"output": (x, w, y), "grad_input": (w, y, x), "grad_weight": (x, y, w)}[verb]
            needed = ctypes.c_size_t()
            for algorithm in algorithms:
                status = getattr(self._library, size)(handle, of_a, of_b, convolution, of_c, algorithm,
                                                      ctypes.byref(needed))
                if not self._not_supported(status):
                    break
            else:
                return False
            self.check(size, status)
            work = scratch(c, (max(1, needed.value),), np.uint8)
            status = getattr(self._library, compute)(
                handle, alpha, of_a, a.address, of_b, b.address, convolution, algorithm, work.address, needed.value,
                beta, of_c, c.address)
            if self._not_supported(status):
                return False
            self.check(compute, status)
        return True

    def call(self, function, *args):
        """Call a function that has to succeed."""
        self.check(function, getattr(self._library, function)(*args))

    def _described(self, geometry):
        """The descriptors of x, w, y and the convolution."""
        found = self._descriptors.get(geometry)
        if found is None:
            if len(self._descriptors) >= _KEPT:
                for kept in self._descriptors.values():
                    self._forget(kept)
                self._descriptors.clear()
            x, w, y, pad, stride, dilation, groups, dtype = geometry
            real, made = _REAL[dtype][0], []
            try:
                for kind in ("Tensor", "Filter", "Tensor", "Convolution"):
                    made.append(ctypes.c_void_p())
                    self.call(f"cudnnCreate{kind}Descriptor", ctypes.byref(made[-1]))
                self.call("cudnnSetTensor4dDescriptor", made[0], _NCHW, real, *x)
                self.call("cudnnSetFilter4dDescriptor", made[1], real, _NCHW, *w)
                self.call("cudnnSetTensor4dDescriptor", made[2], _NCHW, real, *y)
                self.call("cudnnSetConvolution2dDescriptor", made[3], *pad, *stride, *dilation,
                          _CROSS_CORRELATION, real)
                self.call("cudnnSetConvolutionGroupCount", made[3], groups)
            except BaseException:
                self._forget(made)
                raise
            found = self._descriptors[geometry] = made
        return found

    def _forget(self, descriptors):
        for kind, descriptor in zip(("Tensor", "Filter", "Tensor", "Convolution"), descriptors):
            if descriptor:
                with contextlib.suppress(RuntimeError):
                    self.call(f"cudnnDestroy{kind}Descriptor", descriptor)

    # Release 9 numbers them by thousands, release 8 did not: the names tell.

    def _not_supported(self, status):
        return bool(status) and "NOT_SUPPORTED" in self.describe(status)

    def no_memory(self, status):
        return bool(status) and any(words in self.describe(status)
                                    for words in ("STATUS_ALLOC_FAILED", "DEVICE_ALLOCATION_FAILED"))

    def describe(self, status):
        return (self._library.cudnnGetErrorString(status) or b"unknown").decode()
