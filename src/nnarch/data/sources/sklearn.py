"""The small real data sets that come with scikit-learn, for trying a network on real rows.

Only those that lie in its package: nothing is ever fetched. The features are in their own
units (scikit-learn would scale those of `diabetes`), since scaling is fitted on training rows.
"""

from typing import TYPE_CHECKING, Literal

from nnarch.data.array import Array
from nnarch.data.table import Table, numeric
from nnarch.errors import ConfigError
from nnarch.lazy import LazyModule
from nnarch.registry import sources

if TYPE_CHECKING:
    import torch
    from sklearn import datasets
else:
    datasets = LazyModule("sklearn.datasets")
    torch = LazyModule("torch")

Dataset = Literal["breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine"]

CLASSES = {
    "breast_cancer": "diagnosis",
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
}


@sources.register
def sklearn(*, dataset: Dataset, images: bool = False) -> Table | Array:
    """A small real data set that comes with scikit-learn.

    Options:
        dataset: `breast_cancer`, `digits`, `iris` and `wine` have classes, `diabetes` has one
            number to predict, `linnerud` three.
        images: Whether `digits` is given as images of 8 x 8 pixels, not as rows of 64 numbers.
    """
    if images and dataset != "digits":
        raise ConfigError(f"data.images: got true for {dataset}; expected it of digits alone")
    options = {"scaled": False} if dataset == "diabetes" else {}
    bunch = getattr(datasets, f"load_{dataset}")(**options)
    inputs = torch.from_numpy(bunch.data).to(torch.float64).contiguous()
    features = numeric(map(str, bunch.feature_names))
    if dataset in CLASSES:
        labels = [str(bunch.target_names[index]) for index in bunch.target]
        if images:
            return Array(inputs.view(-1, 1, 8, 8), labels, (CLASSES[dataset],))
        return Table(inputs, features, labels, (CLASSES[dataset],))
    target = torch.from_numpy(bunch.target).to(torch.float64).reshape(len(inputs), -1).contiguous()
    names = tuple(bunch.target_names) if dataset == "linnerud" else ("progression",)
    return Table(inputs, features, target, names)
