"""Kernels: each in plain PyTorch, exact on any device, with a Triton twin for CUDA."""
