"""The CPU backend: Numba kernels.  Meaning and shapes: the reference backend."""
from .criterion import class_nll_update_grad_input as class_nll_update_grad_input
from .criterion import class_nll_update_output as class_nll_update_output
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .linear import gemm as gemm
from .linear import sum_rows as sum_rows
from .random import dropout_mask as dropout_mask
from .softmax import log_softmax_update_grad_input as log_softmax_update_grad_input
from .softmax import log_softmax_update_output as log_softmax_update_output
from .softmax import softmax_update_grad_input as softmax_update_grad_input
from .softmax import softmax_update_output as softmax_update_output
