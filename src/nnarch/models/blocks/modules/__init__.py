"""The blocks as torch modules: tensors with the batch first, in and out."""
