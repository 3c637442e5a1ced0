"""The drawing of a network: valid, complete, and without one thing lying on another."""

from itertools import combinations, pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from nnarch.data.inputs import Inputs
from nnarch.models.drawing import Box, as_svg, layout
from nnarch.models.summary import Row, Summary, summarize
from test_models import CASES, OUTPUTS, filled

EACH = list({str(case.values[0]): case for case in CASES}.values())  # on one kind of sample
SVG = "{http://www.w3.org/2000/svg}"
LAYERS = [
    {"Linear": 8, "as": "first"},
    {"repeat": 3, "do": [{"residual": ["LayerNorm", {"Linear": "same"}]}]},
    {"residual": [{"Linear": 4}], "project": True},
    {"mul": [[{"Linear": 5}, "ReLU"], [{"concat": [[{"Linear": 2}], [{"Linear": 3}]]}]]},
    {"concat": [[], [{"from": "first"}]]},
    {"Linear": "out"},
]


def told(layers: list[Any] = LAYERS) -> Summary:
    return summarize(filled("layers", {"layers": layers}), Inputs((6,)), OUTPUTS)


def meet(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def holds(frame: Box, box: Box) -> bool:
    return (
        frame.x <= box.x
        and frame.y <= box.y
        and box.x + box.width <= frame.x + frame.width
        and box.y + box.height <= frame.y + frame.height
    )


@pytest.mark.parametrize(("spec", "inputs"), EACH)
def test_nothing_lies_on_anything_else(spec: dict[str, Any], inputs: Inputs) -> None:
    figure = layout(summarize(spec, inputs, OUTPUTS))
    for one, other in combinations(figure.boxes, 2):
        framed = "frame" in (one.kind, other.kind)
        assert not meet(one, other) or (framed and (holds(one, other) or holds(other, one)))
    canvas = Box("frame", (), 0.0, 0.0, figure.width, figure.height)
    assert all(holds(canvas, box) for box in figure.boxes)
    for wire in figure.wires:
        for x, y in wire:
            assert 0 <= x <= figure.width
            assert 0 <= y <= figure.height
        for (left, top), (right, bottom) in pairwise(wire):
            assert left == right or top == bottom  # straight down or straight across


def test_every_layer_has_a_box_and_equal_repetitions_one() -> None:
    picture = ElementTree.fromstring(as_svg(told()))
    texts = [text.text for text in picture.iter(f"{SVG}text")]
    for expected, times in [
        ("input", 1), ("Linear(6 -> 8) (first)", 1), ("LayerNorm(8)", 1), ("from first", 1),
        ("Linear(8 -> 4)", 1), ("Linear(8 -> 4, bias=False)", 1), ("concat", 2), ("+", 2),
        ("\N{MULTIPLICATION SIGN}", 1), ("\N{MULTIPLICATION SIGN} 3", 1),
    ]:  # fmt: skip
        assert texts.count(expected) == times, expected
    assert len(list(picture.iter(f"{SVG}path"))) == 1  # the link
    # input, 11 layers, a link, 5 joins, a frame and the ground
    assert len(list(picture.iter(f"{SVG}rect"))) == 1 + 10 + 1 + 5 + 1 + 1


def test_names_of_strangers_are_text_and_no_markup() -> None:
    evil = '</text><script>alert("&")</script>\x07'
    summary = Summary((Row("0", "layer", evil, (3,)),), (6,), 0, 0, 0)
    picture = ElementTree.fromstring(as_svg(summary))
    assert not list(picture.iter(f"{SVG}script"))
    assert any(
        (text.text or "").startswith("</text><script>") for text in picture.iter(f"{SVG}text")
    )


def test_it_has_a_ground_and_fetches_nothing() -> None:
    text = as_svg(told())
    picture = ElementTree.fromstring(text)
    ground = next(picture.iter(f"{SVG}rect"))
    assert (ground.get("width"), ground.get("height")) == (
        picture.get("width"),
        picture.get("height"),
    )
    assert "href" not in text
    assert text.count("http") == 1  # the name of the format
