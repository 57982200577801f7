"""The reference backend: what every kernel means, in plain NumPy.

The oracle of the compiled backends, the page to learn from, and what runs where
Numba cannot be.  It allocates temporaries freely; the compiled backends do not.

Conventions of all kernels: arguments are reads, writes, numbers, in that order.
Tensors marked [out] are write-only: every element is assigned and nothing is read
first.  Layout is NCHW.  ``kernel``, ``stride``, ``pad`` and ``dilation`` are
(height, width) pairs.  Arguments are valid: the modules have checked them.
"""
from .activation import prelu_acc_grad_parameters as prelu_acc_grad_parameters
from .activation import prelu_update_grad_input as prelu_update_grad_input
from .activation import prelu_update_output as prelu_update_output
from .bilinear import bilinear_dots as bilinear_dots
from .bilinear import bilinear_outer as bilinear_outer
from .bilinear import bilinear_weighted as bilinear_weighted
from .broadcast import broadcast_add as broadcast_add
from .broadcast import broadcast_multiply as broadcast_multiply
from .broadcast import broadcast_product_sum as broadcast_product_sum
from .broadcast import broadcast_sum as broadcast_sum
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
from .embedding_criterion import cosine_embedding_update_grad_input as cosine_embedding_update_grad_input
from .embedding_criterion import cosine_embedding_update_output as cosine_embedding_update_output
from .linear import gemm as gemm
from .linear import sum_rows as sum_rows
from .local_normalization import cross_map_lrn_update_grad_input as cross_map_lrn_update_grad_input
from .local_normalization import cross_map_lrn_update_output as cross_map_lrn_update_output
from .local_normalization import divide_planes as divide_planes
from .local_normalization import divide_planes_grad as divide_planes_grad
from .local_normalization import filter_planes as filter_planes
from .local_normalization import filter_planes_adjoint as filter_planes_adjoint
from .local_normalization import kernel_share as kernel_share
from .local_normalization import local_deviation as local_deviation
from .local_normalization import local_deviation_grad as local_deviation_grad
from .local_normalization import subtract_planes as subtract_planes
from .local_normalization import sum_planes as sum_planes
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
from .normalization import layer_norm_acc_grad_parameters as layer_norm_acc_grad_parameters
from .normalization import layer_norm_update_grad_input as layer_norm_update_grad_input
from .normalization import layer_norm_update_output as layer_norm_update_output
from .normalization import normalize_update_grad_input as normalize_update_grad_input
from .normalization import normalize_update_output as normalize_update_output
from .pooling import avg_pool2d_update_grad_input as avg_pool2d_update_grad_input
from .pooling import avg_pool2d_update_output as avg_pool2d_update_output
from .pooling import max_pool2d_update_grad_input as max_pool2d_update_grad_input
from .pooling import max_pool2d_update_output as max_pool2d_update_output
from .random import dropout_mask as dropout_mask
from .random import normal_noise as normal_noise
from .random import scale_rows as scale_rows
from .random import uniform_noise as uniform_noise
from .sigmoid import gated_linear_unit_update_grad_input as gated_linear_unit_update_grad_input
from .sigmoid import gated_linear_unit_update_output as gated_linear_unit_update_output
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
