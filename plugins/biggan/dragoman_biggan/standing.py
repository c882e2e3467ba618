"""Standing statistics (Brock et al. 2019, section 3.1): batch-norm moments of the averaged generator itself."""

from __future__ import annotations

import torch

from dragoman_biggan.plain import ConditionalBatchNorm, Generator, PlainBatchNorm

__all__ = ["recompute_statistics"]


@torch.no_grad()
def recompute_statistics(
    network: Generator, generator: torch.Generator, *, batches: int = 40, batch_size: int = 256
) -> None:
    """Replace the stored moments by averages over fresh samples; leaves the network in ``eval`` mode.

    Averaged weights do not match moments that were collected while the weights were still moving.

    Args:
        network: the generator.
        generator: source of z and labels, on the CPU.
        batches: how many batches are averaged.
        batch_size: samples in each.
    """
    device = network.shared.weight.device
    norms = [layer for layer in network.modules() if isinstance(layer, ConditionalBatchNorm | PlainBatchNorm)]
    network.train()
    for index in range(batches):
        for norm in norms:
            norm.momentum = 1 / (index + 1)
        z = torch.randn(batch_size, network.config.z_dim, generator=generator).to(device)
        label = torch.randint(network.config.num_classes, (batch_size,), generator=generator).to(device)
        network(z, network.shared(label))
    for norm in norms:
        norm.momentum = 0.1
    network.eval()
