"""Views of arrays that take the compiler next to no time: Numba's reshape costs it a fifth of a second a kernel."""
from numba import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


@intrinsic
def flat(typingctx, array):
    """All elements of *array*, which lies without gaps, as one row."""
    if not isinstance(array, types.Array) or array.layout != "C":
        return None
    row = types.Array(array.dtype, 1, "C", readonly=not array.mutable)

    def codegen(context, builder, signature, args):
        given = make_array(array)(context, builder, args[0])
        made = make_array(row)(context, builder)
        populate_array(made, data=given.data, shape=[given.nitems], strides=[given.itemsize], itemsize=given.itemsize,
                       meminfo=given.meminfo, parent=given.parent)
        return impl_ret_borrowed(context, builder, row, made._getvalue())

    return row(array), codegen
