"""Grad-CAM, for any head that has a gradient."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError

__all__ = ["grad_cam"]


def grad_cam(
    head: nn.Module, feature_map: Float[Tensor, "batch features h w"], columns: Sequence[int]
) -> Float[Tensor, "batch chosen h w"]:
    """Returns what each place seems to add to the logit of each class (Selvaraju et al. 2017, arXiv:1610.02391).

    It is the weighted sum of the features of the place. The weight of a feature is the gradient of the logit by
    it, as the mean over the places. The paper cuts off what is below 0; here it stays, for whoever wants to know how
    much speaks against the class. What is explained is the head: the gradient need not go through the backbone, which
    may be frozen.

    Args:
        head: makes logits of a feature map; in evaluation mode.
        feature_map: what the backbone gave.
        columns: the classes.

    Raises:
        UsageError: if the logits have no gradient.

    Example:
        >>> from mlic.heads import LinearHead
        >>> head = LinearHead(2, 1)
        >>> _ = head.linear.weight.data.copy_(torch.tensor([[1.0, 10.0]]))
        >>> grad_cam(head, torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]]), [0]).tolist()  # 1 and 43, over 2 places
        [[[[0.5, 21.5]]]]
    """
    # What was made in inference mode can have no gradient; a copy can.
    with torch.inference_mode(False), torch.enable_grad():
        places = feature_map.detach().clone().requires_grad_()
        logits: Tensor = head(places)
        if not logits.requires_grad:
            raise UsageError(
                f"{type(head).__name__} gives logits without a gradient, which Grad-CAM needs; let it compute in "
                "torch, or override its maps()"
            )
        found = [_weighted(logits[:, column].sum(), places) for column in columns]
    return torch.stack(found, dim=1) if found else feature_map.new_zeros(len(feature_map), 0, *feature_map.shape[2:])


def _weighted(logits: Float[Tensor, ""], places: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch h w"]:
    (gradient,) = torch.autograd.grad(logits, places, retain_graph=True)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * places).sum(dim=1).detach()
