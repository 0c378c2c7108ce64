"""What happens to the pixels of a clip: tensors in, tensors out."""
