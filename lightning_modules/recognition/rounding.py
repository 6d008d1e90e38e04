"""What it costs a recognition network to compute in 16 bits: tried on images before it is done."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .network import RecognitionNetwork

# Of features and embeddings with and without rounding, on every image.
LOWEST_COSINE = 0.999
# Instructions by which a processor multiplies bfloat16, as torch names them.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


@torch.no_grad()
def lowest_cosine(network: RecognitionNetwork, images: Tensor, rounding: torch.dtype) -> float:
    """The lowest cosine between what a network says in 16 bits and in its own precision.

    Of features and of embeddings, over all images. Where it is at least LOWEST_COSINE, training may round.

    Args:
        network: frozen.
        images: [B, 3, H, W] in the canonical frame, or in the network's crop.
        rounding: the precision that is tried, such as torch.bfloat16.
    """
    frame = "native" if images.shape[-1] == network.crop.size else "canonical"
    exact, rounded = network(images, frame=frame), network(images, frame=frame, rounding=rounding)
    pairs = ((exact.features, rounded.features), (exact.embedding, rounded.embedding))
    return min(float(cosine_similarity(*pair, dim=1).min()) for pair in pairs)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for it; a processor without is several times slower than in float32.

    Older versions of torch do not say what a processor has: then none is assumed.
    """
    if device.type != "cpu":
        return True
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
