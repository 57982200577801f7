"""What methods with a memory of directions do with whole vectors, without temporaries."""
from .. import kernels
from ..kernels import formulas, optim_formulas

#: ``dot(a, b) -> float``, summed in float64
dot = kernels.elementwise_sum(formulas.multiply)

#: ``sum_abs(a) -> float``, summed in float64
sum_abs = kernels.elementwise_sum(formulas.absolute)

#: ``add_scaled(a, b, out, factor)``: out <- b + factor a; out may be a or b
add_scaled = kernels.elementwise(formulas.add_scaled)

#: ``combine(a, b, out, p, q)``: out <- p a + q b; out may be a or b
combine = kernels.elementwise(optim_formulas.combine)

#: ``scale(a, out, factor)``: out <- factor a; out may be a
scale = kernels.elementwise(formulas.scale)
