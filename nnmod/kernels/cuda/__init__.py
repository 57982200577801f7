"""The CUDA backend: kernels in Python compiled for NVIDIA GPUs, and an emulator that runs them on the CPU.

The same functions as the other backends; their meaning and shapes: the reference backend.
:mod:`emulator` runs these kernels, and anybody's, with no GPU.
"""
from .bilinear import bilinear_dots as bilinear_dots
from .bilinear import bilinear_outer as bilinear_outer
from .bilinear import bilinear_weighted as bilinear_weighted
from .classification_criterion import class_nll_update_grad_input as class_nll_update_grad_input
from .classification_criterion import class_nll_update_output as class_nll_update_output
from .classification_criterion import class_simplex_target as class_simplex_target
from .classification_criterion import multi_label_margin_update_grad_input as multi_label_margin_update_grad_input
from .classification_criterion import multi_label_margin_update_output as multi_label_margin_update_output
from .classification_criterion import multi_margin_update_grad_input as multi_margin_update_grad_input
from .classification_criterion import multi_margin_update_output as multi_margin_update_output
from .ctc import ctc_update_grad_input as ctc_update_grad_input
from .ctc import ctc_update_output as ctc_update_output
from .distance import add_factored_rows as add_factored_rows
from .distance import cosine_gradients as cosine_gradients
from .distance import divide_outer as divide_outer
from .distance import euclidean_acc_grad_parameters as euclidean_acc_grad_parameters
from .distance import euclidean_update_grad_input as euclidean_update_grad_input
from .distance import euclidean_update_output as euclidean_update_output
from .distance import nearest_acc_grad_parameters as nearest_acc_grad_parameters
from .distance import nearest_update_output as nearest_update_output
from .distance import vector_norms as vector_norms
from .dynamic_pooling import fractional_regions as fractional_regions
from .dynamic_pooling import k_max_pool_update_output as k_max_pool_update_output
from .dynamic_pooling import max_regions_update_output as max_regions_update_output
from .dynamic_pooling import mean_regions_update_grad_input as mean_regions_update_grad_input
from .dynamic_pooling import mean_regions_update_output as mean_regions_update_output
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .embedding_criterion import cosine_embedding_update_grad_input as cosine_embedding_update_grad_input
from .embedding_criterion import cosine_embedding_update_output as cosine_embedding_update_output
from .gradient import total_variation_update_grad_input as total_variation_update_grad_input
from .indexing import index_axis as index_axis
from .indexing import index_axis_update_grad_input as index_axis_update_grad_input
from .indexing import masked_select as masked_select
from .indexing import masked_select_update_grad_input as masked_select_update_grad_input
from .indexing import one_hot as one_hot
from .layout import permute as permute
from .local_convolution import local_conv_acc_grad_parameters as local_conv_acc_grad_parameters
from .local_convolution import local_conv_update_grad_input as local_conv_update_grad_input
from .local_convolution import local_conv_update_output as local_conv_update_output
from .local_convolution import local_conv_work_size as local_conv_work_size
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
from .local_normalization import sum_channels as sum_channels
from .lookup import add_scaled_rows as add_scaled_rows
from .lookup import clear_rows as clear_rows
from .lookup import first_outside as first_outside
from .lookup import lookup_acc_grad_parameters as lookup_acc_grad_parameters
from .lookup import lookup_count as lookup_count
from .lookup import lookup_renorm as lookup_renorm
from .lookup import lookup_update_output as lookup_update_output
from .lookup import note_rows as note_rows
from .mask import zero_masked_rows as zero_masked_rows
from .mask import zero_row_mask as zero_row_mask
from .padding import pad3d_update_grad_input as pad3d_update_grad_input
from .padding import pad3d_update_output as pad3d_update_output
from .plane_convolution import add_planes as add_planes
from .plane_convolution import plane_conv_acc_grad_parameters as plane_conv_acc_grad_parameters
from .plane_convolution import plane_conv_update_grad_input as plane_conv_update_grad_input
from .plane_convolution import plane_conv_update_output as plane_conv_update_output
from .plane_convolution import plane_conv_work_size as plane_conv_work_size
from .plane_convolution import sum_planes as sum_planes
from .product import cosine_update_grad_input as cosine_update_grad_input
from .product import cosine_update_output as cosine_update_output
from .product import distance_update_grad_input as distance_update_grad_input
from .product import distance_update_output as distance_update_output
from .product import dot_rows as dot_rows
from .product import mixture_update_grad_input as mixture_update_grad_input
from .product import mixture_update_output as mixture_update_output
from .product import scale_rows as scale_rows
from .random import dropout_mask as dropout_mask
from .random import mask_rows as mask_rows
from .random import normal_noise as normal_noise
from .random import uniform_noise as uniform_noise
from .resampling import linear_positions as linear_positions
from .resampling import pixel_shuffle_update_grad_input as pixel_shuffle_update_grad_input
from .resampling import pixel_shuffle_update_output as pixel_shuffle_update_output
from .resampling import upsample_linear_update_grad_input as upsample_linear_update_grad_input
from .resampling import upsample_linear_update_output as upsample_linear_update_output
from .resampling import upsample_nearest_update_grad_input as upsample_nearest_update_grad_input
from .resampling import upsample_nearest_update_output as upsample_nearest_update_output
from .row_convolution import row_conv_acc_grad_parameters as row_conv_acc_grad_parameters
from .row_convolution import row_conv_update_grad_input as row_conv_update_grad_input
from .row_convolution import row_conv_update_output as row_conv_update_output
from .row_convolution import row_conv_work_size as row_conv_work_size
from .sampling import affine_grid_update_grad_input as affine_grid_update_grad_input
from .sampling import affine_grid_update_output as affine_grid_update_output
from .sampling import sample_bilinear_update_grad_input as sample_bilinear_update_grad_input
from .sampling import sample_bilinear_update_output as sample_bilinear_update_output
from .sigmoid import gated_linear_unit_update_grad_input as gated_linear_unit_update_grad_input
from .sigmoid import gated_linear_unit_update_output as gated_linear_unit_update_output
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


class MissingKernel(NotImplementedError, AttributeError):
    """A kernel that the CPU has and CUDA has not."""


def __getattr__(name):
    from .. import reference

    if name.startswith("_") or not hasattr(reference, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise MissingKernel(f"nnmod has no CUDA kernel {name} yet: run this module on the CPU, module.cpu()")
