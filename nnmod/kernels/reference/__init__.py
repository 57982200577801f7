"""The reference backend: what every kernel means, in plain NumPy.

The oracle of the compiled backends, the page to learn from, and what runs where
Numba cannot be.  It allocates temporaries freely; the compiled backends do not.

Conventions of all kernels: arguments are reads, writes, numbers, in that order.
Tensors marked [out] are write-only: every element is assigned and nothing is read
first.  Layout is NCHW.  ``kernel``, ``stride``, ``pad`` and ``dilation`` are
(height, width) pairs.  Arguments are valid: the modules have checked them.
"""
from .bilinear import bilinear_dots as bilinear_dots
from .bilinear import bilinear_outer as bilinear_outer
from .bilinear import bilinear_weighted as bilinear_weighted
from .broadcast import broadcast_add as broadcast_add
from .broadcast import broadcast_multiply as broadcast_multiply
from .broadcast import broadcast_product_sum as broadcast_product_sum
from .broadcast import broadcast_sum as broadcast_sum
from .convolution import conv2d_acc_grad_parameters as conv2d_acc_grad_parameters
from .convolution import conv2d_update_grad_input as conv2d_update_grad_input
from .convolution import conv2d_update_output as conv2d_update_output
from .convolution import conv2d_work_size as conv2d_work_size
from .criterion import class_nll_update_grad_input as class_nll_update_grad_input
from .criterion import class_nll_update_output as class_nll_update_output
from .distance import add_factored_rows as add_factored_rows
from .distance import cosine_gradients as cosine_gradients
from .distance import divide_outer as divide_outer
from .distance import euclidean_acc_grad_parameters as euclidean_acc_grad_parameters
from .distance import euclidean_update_grad_input as euclidean_update_grad_input
from .distance import euclidean_update_output as euclidean_update_output
from .distance import nearest_acc_grad_parameters as nearest_acc_grad_parameters
from .distance import nearest_update_output as nearest_update_output
from .distance import vector_norms as vector_norms
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .indexing import index_axis as index_axis
from .indexing import index_axis_update_grad_input as index_axis_update_grad_input
from .indexing import masked_select as masked_select
from .indexing import masked_select_update_grad_input as masked_select_update_grad_input
from .indexing import one_hot as one_hot
from .layout import permute as permute
from .linear import gemm as gemm
from .linear import sum_rows as sum_rows
from .lookup import add_scaled_rows as add_scaled_rows
from .lookup import clear_rows as clear_rows
from .lookup import first_outside as first_outside
from .lookup import lookup_acc_grad_parameters as lookup_acc_grad_parameters
from .lookup import lookup_count as lookup_count
from .lookup import lookup_renorm as lookup_renorm
from .lookup import lookup_update_output as lookup_update_output
from .lookup import note_rows as note_rows
from .normalization import batch_norm_acc_grad_parameters as batch_norm_acc_grad_parameters
from .normalization import batch_norm_update_grad_input as batch_norm_update_grad_input
from .normalization import batch_norm_update_output as batch_norm_update_output
from .padding import pad3d_update_grad_input as pad3d_update_grad_input
from .padding import pad3d_update_output as pad3d_update_output
from .pooling import avg_pool2d_update_grad_input as avg_pool2d_update_grad_input
from .pooling import avg_pool2d_update_output as avg_pool2d_update_output
from .pooling import max_pool2d_update_grad_input as max_pool2d_update_grad_input
from .pooling import max_pool2d_update_output as max_pool2d_update_output
from .product import batch_gemm as batch_gemm
from .product import cosine_update_grad_input as cosine_update_grad_input
from .product import cosine_update_output as cosine_update_output
from .product import distance_update_grad_input as distance_update_grad_input
from .product import distance_update_output as distance_update_output
from .product import dot_rows as dot_rows
from .product import mixture_update_grad_input as mixture_update_grad_input
from .product import mixture_update_output as mixture_update_output
from .product import scale_rows as scale_rows
from .random import dropout_mask as dropout_mask
from .reduction import expand_axis as expand_axis
from .reduction import extreme_axis as extreme_axis
from .reduction import extreme_axis_update_grad_input as extreme_axis_update_grad_input
from .reduction import sum_axis as sum_axis
from .softmax import log_softmax_update_grad_input as log_softmax_update_grad_input
from .softmax import log_softmax_update_output as log_softmax_update_output
from .softmax import softmax_update_grad_input as softmax_update_grad_input
from .softmax import softmax_update_output as softmax_update_output
from .sparse import entry_offsets as entry_offsets
from .sparse import even_offsets as even_offsets
from .sparse import index_acc_grad_shift as index_acc_grad_shift
from .sparse import index_linear_acc_grad_parameters as index_linear_acc_grad_parameters
from .sparse import index_linear_update_output as index_linear_update_output
from .sparse import index_normalize as index_normalize
from .sparse import index_restore as index_restore
from .sparse import join_pairs as join_pairs
from .sparse import shift_keys as shift_keys
from .sparse import sparse_linear_acc_grad_parameters as sparse_linear_acc_grad_parameters
from .sparse import sparse_linear_update_output as sparse_linear_update_output
from .sparse import split_pairs as split_pairs
from .weight_norm import weight_norm_acc_grad_parameters as weight_norm_acc_grad_parameters
from .weight_norm import weight_norm_update_output as weight_norm_update_output
