"""The reference backend: what every kernel means, in plain NumPy.

The oracle of the compiled backends, the page to learn from, and what runs where
Numba cannot be.  It allocates temporaries freely; the compiled backends do not.

Conventions of all kernels: arguments are reads, writes, numbers, in that order.
Tensors marked [out] are write-only: every element is assigned and nothing is read
first.  Layout is NCHW.  ``kernel``, ``stride``, ``pad`` and ``dilation`` are
(height, width) pairs.  Arguments are valid: the modules have checked them.
"""
from .classification_criterion import class_nll_update_grad_input as class_nll_update_grad_input
from .classification_criterion import class_nll_update_output as class_nll_update_output
from .classification_criterion import class_simplex_target as class_simplex_target
from .classification_criterion import multi_label_margin_update_grad_input as multi_label_margin_update_grad_input
from .classification_criterion import multi_label_margin_update_output as multi_label_margin_update_output
from .classification_criterion import multi_margin_update_grad_input as multi_margin_update_grad_input
from .classification_criterion import multi_margin_update_output as multi_margin_update_output
from .convolution import conv2d_acc_grad_parameters as conv2d_acc_grad_parameters
from .convolution import conv2d_update_grad_input as conv2d_update_grad_input
from .convolution import conv2d_update_output as conv2d_update_output
from .convolution import conv2d_work_size as conv2d_work_size
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .embedding_criterion import cosine_embedding_update_grad_input as cosine_embedding_update_grad_input
from .embedding_criterion import cosine_embedding_update_output as cosine_embedding_update_output
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
