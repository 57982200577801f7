"""The reference backend: what every kernel means, in plain NumPy.

The oracle of the compiled backends, the page to learn from, and what runs where
Numba cannot be.  It allocates temporaries freely; the compiled backends do not.

Conventions of all kernels: arguments are reads, writes, numbers, in that order.
Tensors marked [out] are write-only: every element is assigned and nothing is read
first.  Layout is NCHW.  ``kernel``, ``stride``, ``pad`` and ``dilation`` are
(height, width) pairs.  Arguments are valid: the modules have checked them.
"""
from .convolution import conv2d_acc_grad_parameters as conv2d_acc_grad_parameters
from .convolution import conv2d_method as conv2d_method
from .convolution import conv2d_update_grad_input as conv2d_update_grad_input
from .convolution import conv2d_update_output as conv2d_update_output
from .convolution import conv2d_work_size as conv2d_work_size
from .criterion import class_nll_update_grad_input as class_nll_update_grad_input
from .criterion import class_nll_update_output as class_nll_update_output
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .linear import gemm as gemm
from .linear import sum_rows as sum_rows
from .normalization import batch_norm_acc_grad_parameters as batch_norm_acc_grad_parameters
from .normalization import batch_norm_update_grad_input as batch_norm_update_grad_input
from .normalization import batch_norm_update_output as batch_norm_update_output
from .pooling import avg_pool2d_update_grad_input as avg_pool2d_update_grad_input
from .pooling import avg_pool2d_update_output as avg_pool2d_update_output
from .pooling import max_pool2d_update_grad_input as max_pool2d_update_grad_input
from .pooling import max_pool2d_update_output as max_pool2d_update_output
from .random import dropout_mask as dropout_mask
from .softmax import log_softmax_update_grad_input as log_softmax_update_grad_input
from .softmax import log_softmax_update_output as log_softmax_update_output
from .softmax import softmax_update_grad_input as softmax_update_grad_input
from .softmax import softmax_update_output as softmax_update_output
