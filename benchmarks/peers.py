"""What else trains such a network, asked for as little as it can be.

No peer validates, logs, writes checkpoints or draws a progress bar here; how each of them is told
so stands in its function. They are imported by name, so that one which is not installed can be
left out.
"""

import importlib
import os

from case import RATES, Case
from turns import Side, Train


def scikit_learn(case: Case) -> Train:
    """`MLPRegressor` without momentum, penalty or early end; it has Adam, but no AdamW."""
    from sklearn.neural_network import MLPRegressor

    inputs, target = (part.numpy() for part in case.data())
    model = MLPRegressor(
        hidden_layer_sizes=case.widths,
        solver={"sgd": "sgd", "adamw": "adam"}[case.optimizer],
        learning_rate_init=RATES[case.optimizer],
        alpha=0,
        momentum=0,
        nesterovs_momentum=False,
        tol=0,
        n_iter_no_change=10**9,
        warm_start=True,
    ).set_params(batch_size=case.batch)
    return lambda epochs: model.set_params(max_iter=epochs).fit(inputs, target.ravel())


def skorch(case: Case) -> Train:
    """Without callbacks, which would time, score and print, and without a validation split."""
    import torch
    from torch import nn

    inputs, target = (part.numpy() for part in case.data())
    net = (
        importlib.import_module("skorch")
        .NeuralNetRegressor(
            case.network(),
            criterion=nn.MSELoss,
            optimizer={"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[case.optimizer],
            lr=RATES[case.optimizer],
            batch_size=case.batch,
            iterator_train__shuffle=True,
            train_split=None,
            callbacks="disable",
            verbose=0,
        )
        .initialize()
    )
    return lambda epochs: net.partial_fit(inputs, target, epochs=epochs)


def lightning(case: Case) -> Train:
    """`Trainer(barebones=True)`, its own mode for measuring overhead."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    package = importlib.import_module("lightning")

    class Module(package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = case.network()

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            return nn.functional.mse_loss(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return case.optimizer_of(self.network)

    loader = DataLoader(TensorDataset(*case.data()), batch_size=case.batch, shuffle=True)
    module = Module()

    def train(epochs: int) -> None:
        trainer = package.Trainer(barebones=True, accelerator="cpu", devices=1, max_epochs=epochs)
        trainer.fit(module, loader)

    return train


def keras(case: Case) -> Train:
    """Keras 3 on torch, silent, with no metrics but the loss."""
    os.environ["KERAS_BACKEND"] = "torch"
    package = importlib.import_module("keras")
    inputs, target = (part.numpy() for part in case.data())
    hidden = [package.layers.Dense(width, activation="relu") for width in case.widths]
    network = package.Sequential(
        [package.Input(inputs.shape[1:]), *hidden, package.layers.Dense(1)]
    )
    kind = {"sgd": package.optimizers.SGD, "adamw": package.optimizers.AdamW}[case.optimizer]
    network.compile(optimizer=kind(RATES[case.optimizer]), loss="mse")
    return lambda epochs: network.fit(
        inputs, target, batch_size=case.batch, epochs=epochs, verbose=0
    )


PEERS: dict[str, Side] = {
    "scikit-learn": scikit_learn,
    "skorch": skorch,
    "lightning": lightning,
    "keras": keras,
}
