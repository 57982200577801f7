"""The reference backend: what every kernel means, in plain NumPy.

The oracle of the compiled backends, the page to learn from, and what runs where
Numba cannot be.  It allocates temporaries freely; the compiled backends do not.

Conventions of all kernels: arguments are reads, writes, numbers, in that order.
Tensors marked [out] are write-only: every element is assigned and nothing is read
first.  Layout is NCHW.  ``kernel``, ``stride``, ``pad`` and ``dilation`` are
(height, width) pairs.  Arguments are valid: the modules have checked them.
"""
from .convolution import conv2d_acc_grad_parameters as conv2d_acc_grad_parameters
from .convolution import conv2d_update_grad_input as conv2d_update_grad_input
from .convolution import conv2d_update_output as conv2d_update_output
from .convolution import conv2d_work_size as conv2d_work_size
from .criterion import class_nll_update_grad_input as class_nll_update_grad_input
from .criterion import class_nll_update_output as class_nll_update_output
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .frames import conv3d_acc_grad_parameters as conv3d_acc_grad_parameters
from .frames import conv3d_update_grad_input as conv3d_update_grad_input
from .frames import conv3d_update_output as conv3d_update_output
from .frames import conv3d_work_size as conv3d_work_size
from .frames import temporal_conv_acc_grad_parameters as temporal_conv_acc_grad_parameters
from .frames import temporal_conv_update_grad_input as temporal_conv_update_grad_input
from .frames import temporal_conv_update_output as temporal_conv_update_output
from .frames import temporal_conv_work_size as temporal_conv_work_size
from .linear import gemm as gemm
from .linear import sum_rows as sum_rows
from .local_convolution import local_conv_acc_grad_parameters as local_conv_acc_grad_parameters
from .local_convolution import local_conv_update_grad_input as local_conv_update_grad_input
from .local_convolution import local_conv_update_output as local_conv_update_output
from .local_convolution import local_conv_work_size as local_conv_work_size
from .normalization import batch_norm_acc_grad_parameters as batch_norm_acc_grad_parameters
from .normalization import batch_norm_update_grad_input as batch_norm_update_grad_input
from .normalization import batch_norm_update_output as batch_norm_update_output
from .planes import add_planes as add_planes
from .planes import plane_conv_acc_grad_parameters as plane_conv_acc_grad_parameters
from .planes import plane_conv_update_grad_input as plane_conv_update_grad_input
from .planes import plane_conv_update_output as plane_conv_update_output
from .planes import plane_conv_work_size as plane_conv_work_size
from .planes import sum_planes as sum_planes
from .pooling import avg_pool2d_update_grad_input as avg_pool2d_update_grad_input
from .pooling import avg_pool2d_update_output as avg_pool2d_update_output
from .pooling import max_pool2d_update_grad_input as max_pool2d_update_grad_input
from .pooling import max_pool2d_update_output as max_pool2d_update_output
from .random import dropout_mask as dropout_mask
from .rows import row_conv_acc_grad_parameters as row_conv_acc_grad_parameters
from .rows import row_conv_update_grad_input as row_conv_update_grad_input
from .rows import row_conv_update_output as row_conv_update_output
from .rows import row_conv_work_size as row_conv_work_size
from .softmax import log_softmax_update_grad_input as log_softmax_update_grad_input
from .softmax import log_softmax_update_output as log_softmax_update_output
from .softmax import softmax_update_grad_input as softmax_update_grad_input
from .softmax import softmax_update_output as softmax_update_output
