"""Differentiable deferred-shading renderer. A library: tensors in, images out."""
