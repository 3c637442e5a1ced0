"""The program that nnarch replaces: a PyTorch training loop written by hand, as a lesson has it.

`python benchmarks/seed_loop.py ROWS` trains a 10 → 20 → 1 network on ROWS rows for 10 epochs of
batches of 32 with SGD, prints a loss an epoch, and saves the weights.
"""

import sys
import tempfile

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(10, 20)
        self.output = nn.Linear(20, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.hidden(x)))


def main(rows: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(rows, 10)
    y = torch.sin(x @ torch.randn(10, 3)).sum(1, keepdim=True)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    model, loss_function = Network(), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for epoch in range(10):
        loss = torch.zeros(())
        for inputs, target in loader:
            loss = loss_function(model(inputs), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"Epoch: {epoch + 1}, Loss: {loss.item()}")
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        torch.save(model.state_dict(), file.name)


if __name__ == "__main__":
    main(int(sys.argv[1]))
