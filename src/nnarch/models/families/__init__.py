"""The families of networks, one file each: options in, a list of layers out."""

from nnarch.models.families import (
    cnn,
    dlinear,
    ft_transformer,
    gpt,
    layers,
    mixer,
    mlp,
    nlinear,
    resnet,
    resnet_mlp,
    rnn,
    tabm,
    tcn,
    transformer,
    vit,
)

__all__ = [
    "cnn",
    "dlinear",
    "ft_transformer",
    "gpt",
    "layers",
    "mixer",
    "mlp",
    "nlinear",
    "resnet",
    "resnet_mlp",
    "rnn",
    "tabm",
    "tcn",
    "transformer",
    "vit",
]
