"""DLPack: a tensor's memory handed to another library, which may keep it, without a copy.

The structures are those of DLPack 0.8 (dlpack.h), which every library reads.
"""
import ctypes

#: Types of devices.
CPU, CUDA = 1, 2

_KINDS = {"i": 0, "u": 1, "f": 2, "b": 6}


class _DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
                ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
                ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64)]


class _DLManagedTensor(ctypes.Structure):
    pass


_DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(_DLManagedTensor))
_DLManagedTensor._fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]

_DESTRUCTOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, _DESTRUCTOR]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p]
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]

_exported = {}  # address of a structure -> what must live as long as it does


@_DELETER
def _release(pointer):
    _exported.pop(ctypes.addressof(pointer.contents), None)


@_DESTRUCTOR
def _drop(capsule):
    # A capsule that somebody took has another name, and its taker calls the deleter.
    if _is_valid(capsule, b"dltensor"):
        _exported.pop(_pointer_of(capsule, b"dltensor"), None)


def capsule(tensor, device):
    """A capsule with *tensor* for other libraries; it keeps the tensor's memory until they let go of it."""
    sizes = (ctypes.c_int64 * max(1, tensor.ndim))(*tensor.shape)
    steps = (ctypes.c_int64 * max(1, tensor.ndim))(*(step // tensor.itemsize for step in tensor.strides))
    managed = _DLManagedTensor()
    managed.tensor = _DLTensor(tensor.address, *device, tensor.ndim, _KINDS[tensor.dtype.kind], 8 * tensor.itemsize,
                               1, sizes, steps, 0)
    managed.deleter = _release
    _exported[ctypes.addressof(managed)] = managed, sizes, steps, tensor
    return _new(ctypes.addressof(managed), b"dltensor", _drop)
