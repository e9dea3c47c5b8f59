"""Any ``torch.nn.Module`` filled by a scheme, each layer with the fans that it really has.

What lives here writes parameters and says which; what the network then does to a signal is for ``examine``.
"""

from .by_recipe import recipe, recipe_plan
from .data_dependent import lsuv_
from .fans import LAYERS, NORMS, bias_names, has_rule, is_layer, true_fans, weight_names
from .fill import initialize_
from .planning import ParameterPlan, Plan, plan

__all__ = [
    "LAYERS",
    "NORMS",
    "ParameterPlan",
    "Plan",
    "bias_names",
    "has_rule",
    "initialize_",
    "is_layer",
    "lsuv_",
    "plan",
    "recipe",
    "recipe_plan",
    "true_fans",
    "weight_names",
]
