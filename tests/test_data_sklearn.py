"""scikit-learn's bundled data sets: real values under the names that people know."""

import pytest
import torch

from nnarch.data.array import Array
from nnarch.data.sources.sklearn import Dataset, sklearn
from nnarch.data.table import Table
from nnarch.errors import ConfigError
from nnarch.registry import sources

SHAPES: dict[Dataset, tuple[int, int]] = {
    "breast_cancer": (569, 30),
    "diabetes": (442, 10),
    "digits": (1797, 64),
    "iris": (150, 4),
    "linnerud": (20, 3),
    "wine": (178, 13),
}
CLASSES: dict[Dataset, tuple[str, set[str]]] = {
    "breast_cancer": ("diagnosis", {"malignant", "benign"}),
    "digits": ("digit", set("0123456789")),
    "iris": ("species", {"setosa", "versicolor", "virginica"}),
    "wine": ("cultivar", {"class_0", "class_1", "class_2"}),
}


@pytest.mark.parametrize("dataset", SHAPES)
def test_every_data_set_is_a_table(dataset: Dataset):
    table = sklearn(dataset=dataset)
    assert isinstance(table, Table)
    assert table.inputs.shape == SHAPES[dataset]
    assert table.inputs.dtype == torch.float64
    assert table.inputs.is_contiguous()
    assert table.inputs.isfinite().all()
    assert len(set(table.input_names)) == table.inputs.shape[1]
    assert all(type(name) is str for name in (*table.input_names, *table.target_names))


@pytest.mark.parametrize("dataset", CLASSES)
def test_classes_have_their_names(dataset: Dataset):
    table = sklearn(dataset=dataset)
    column, names = CLASSES[dataset]
    assert table.target_names == (column,)
    assert isinstance(table.target, list)
    assert set(table.target) == names
    assert all(type(label) is str for label in table.target)


def test_the_values_are_the_published_ones():
    iris = sklearn(dataset="iris")
    assert isinstance(iris, Table)
    assert iris.inputs[0].tolist() == [5.1, 3.5, 1.4, 0.2]
    assert iris.input_names[0] == "sepal length (cm)"
    assert isinstance(iris.target, list)
    assert iris.target[0] == "setosa"
    assert iris.target[-1] == "virginica"


def test_diabetes_is_in_its_own_units():
    table = sklearn(dataset="diabetes")
    assert table.inputs[0, :3].tolist() == pytest.approx([59, 2, 32.1])  # age, sex, bmi
    assert isinstance(table.target, torch.Tensor)
    assert table.target[:2].tolist() == [[151], [75]]


def test_linnerud_has_three_targets():
    table = sklearn(dataset="linnerud")
    assert isinstance(table.target, torch.Tensor)
    assert table.target[0].tolist() == [191, 36, 50]
    assert table.target_names == ("Weight", "Waist", "Pulse")


def test_digits_are_images_where_images_are_wanted():
    rows, images = sklearn(dataset="digits"), sklearn(dataset="digits", images=True)
    assert isinstance(images, Array)
    assert images.inputs.shape == (1797, 1, 8, 8)
    assert torch.equal(images.inputs.flatten(1), rows.inputs)
    assert (images.target, images.target_names) == (rows.target, rows.target_names)


@pytest.mark.parametrize("dataset", sorted({*SHAPES} - {"digits"}))
def test_no_other_data_set_is_images(dataset: Dataset):
    with pytest.raises(ConfigError, match=rf"data\.images: got true for {dataset}; expected"):
        sklearn(dataset=dataset, images=True)


@pytest.mark.parametrize("option", ["dataset", "images"])
def test_every_option_is_explained(option: str):
    assert sources.get("sklearn").schema.model_fields[option].description
