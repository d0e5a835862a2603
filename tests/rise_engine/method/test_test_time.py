from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from rise_engine.config import RiseConfig
from rise_engine.method.extensions.test_time import predict_augmented
from rise_engine.method.pseudo_labels import binary_masks
from rise_engine.prediction.load import LoadedModel
from rise_engine.prediction.predict import predict
from rise_engine.prediction.test_time_augmentation import AugmentedSegmenter, with_test_time_augmentation


@dataclass
class Seen:
    class_logits: Tensor
    boxes: Tensor
    embeddings: Tensor
    pixels: Tensor

    @property
    def layers(self) -> list[Seen]:
        return [self]

    def masks(self, image: int, queries: Tensor) -> Tensor:
        blob = avg_pool2d(self.pixels[image, :1], 4)[0] * 10 - 5
        return torch.stack([blob if query == 0 else torch.full_like(blob, -5.0) for query in queries.tolist()])


class FindsBrightRectangle(nn.Module):
    """Query 0 is the bright rectangle; query 1 an idea that comes only when the image has the given width."""

    def __init__(self, score: float = 0.8, idea_at: int | None = None) -> None:
        super().__init__()
        self.score, self.idea_at = score, idea_at

    def forward(self, images: Tensor, padding_mask: Tensor | None = None) -> Seen:
        boxes, logits = [], []
        for index, image in enumerate(images):
            valid = (
                image if padding_mask is None else image[:, ~padding_mask[index].all(1)][:, :, ~padding_mask[index, 0]]
            )
            rows, columns = torch.nonzero(valid[0] > 0.5, as_tuple=True)
            height, width = valid.shape[-2:]
            x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
            found = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
            boxes.append(torch.tensor([[float(value) for value in found], [0.05, 0.05, 0.05, 0.05]]))
            idea = 0.6 if width == self.idea_at else 0.001
            logits.append(torch.tensor([[self.score], [idea]]).logit())
        return Seen(torch.stack(logits), torch.stack(boxes), torch.zeros(len(images), 2, 4), images)


def rectangle(height: int = 64, width: int = 96) -> Tensor:
    image = torch.zeros(3, height, width)
    image[:, 16:40, 8:40] = 1.0
    return image


def test_one_look_at_the_image_itself_is_the_plain_output() -> None:
    output = predict_augmented(
        FindsBrightRectangle(), [rectangle()], scales=(1.0,), mirror=False, device=torch.device("cpu")
    )
    assert isinstance(output, Seen)


@pytest.mark.parametrize("width", [96, 93, 90])
def test_every_look_brings_the_object_back_to_where_it_is(width: int) -> None:
    image = rectangle(width=width)
    output = predict_augmented(
        FindsBrightRectangle(),
        [image, rectangle(48, 64)],
        scales=(1.0, 1.0, 1.5, 1.5, 0.75, 0.75),
        mirror=True,
        device=torch.device("cpu"),
    )
    assert output.class_logits.shape == (2, 12, 1)
    expected = torch.tensor([24 / width, 28 / 64, 32 / width, 24 / 64])
    same = torch.arange(0, 12, 2)
    torch.testing.assert_close(output.boxes[0, same], expected.expand(6, 4), atol=0.02, rtol=0)
    torch.testing.assert_close(output.class_logits[0, same].sigmoid(), torch.full((6, 1), 0.8), atol=1e-5, rtol=0)
    masks = binary_masks(output.masks(0, same), threshold=0.5, image_size=(64, width), canvas=(64, 96))
    truth = image[0] > 0.5
    for mask in masks:
        wrong = (mask[:, :width] ^ truth).sum()
        assert wrong <= 0.08 * truth.sum()


def test_what_one_look_alone_sees_loses_by_it() -> None:
    teacher = FindsBrightRectangle(idea_at=96)
    output = predict_augmented(teacher, [rectangle()], scales=(1.0, 1.5), mirror=False, device=torch.device("cpu"))
    scores = output.class_logits[0, :, 0].sigmoid()
    assert scores[1] == pytest.approx((0.6 + 0.001) / 2, abs=1e-4)
    assert scores[0] == pytest.approx(0.8, abs=1e-4)


def test_duplicates_within_a_look_have_no_say() -> None:
    class Twice(FindsBrightRectangle):
        def forward(self, images: Tensor, padding_mask: Tensor | None = None) -> Seen:
            seen = super().forward(images, padding_mask)
            seen.boxes[:, 1] = seen.boxes[:, 0]
            seen.class_logits[:, 1] = torch.tensor(0.5).logit()
            return seen

    output = predict_augmented(Twice(), [rectangle()], scales=(1.0, 1.0), mirror=True, device=torch.device("cpu"))
    scores = output.class_logits[0, :, 0].sigmoid()
    torch.testing.assert_close(scores, torch.tensor([0.8, 0.0, 0.8, 0.0]), atol=1e-4, rtol=0)


def test_a_network_that_looks_twice_knows_the_images_from_their_padding() -> None:
    images, padding = torch.zeros(2, 3, 64, 96), torch.zeros(2, 64, 96, dtype=torch.bool)
    images[0], images[1, :, :50, :70] = rectangle(), rectangle(50, 70)
    padding[1, 50:], padding[1, :, 70:] = True, True
    network = FindsBrightRectangle()
    output = AugmentedSegmenter(network, torch.device("cpu"))(images, padding)  # type: ignore[arg-type]
    assert output.class_logits.shape == (2, 4, 1)
    for image, size in enumerate([(64, 96), (50, 70)]):
        best = int(output.class_logits[image, :, 0].argmax())
        assert float(output.class_logits[image, best].sigmoid()) == pytest.approx(0.8, abs=0.01)  # both looks agree
        x, y, width, height = (output.boxes[image, best] * torch.tensor([*size[::-1], *size[::-1]])).tolist()
        assert [x - width / 2, y - height / 2, width, height] == pytest.approx([8, 16, 32, 24], abs=1.5)
        mask = output.masks(image, torch.tensor([best]))[0] > 0
        assert mask.shape == (16, 24)
        assert mask[4:10, 2:10].float().mean() > 0.9
        assert mask.sum() < 60


class DrawsWiderBoxesOfLargerImages(FindsBrightRectangle):
    """So that the boxes of two looks at one object overlap by 0.62 only."""

    def forward(self, images: Tensor, padding_mask: Tensor | None = None) -> Seen:
        seen = super().forward(images, padding_mask)
        if images.shape[-1] > 400:
            seen.boxes[:, :, 2] *= 1.6
        return seen


def test_an_object_that_both_looks_see_is_predicted_once() -> None:
    config, device = RiseConfig.preset("laptop"), torch.device("cpu")
    loaded = LoadedModel(DrawsWiderBoxesOfLargerImages(), config, ("object",), device)  # type: ignore[arg-type]
    image = np.zeros((512, 768, 3), np.uint8)
    image[128:320, 64:320] = 255
    assert with_test_time_augmentation(loaded, 1) is loaded
    [found] = predict(with_test_time_augmentation(loaded, 2), image, min_score=0.3)
    assert found.score == pytest.approx(0.8, abs=0.01)
    assert found.box == pytest.approx([64, 128, 320, 320], abs=8)
