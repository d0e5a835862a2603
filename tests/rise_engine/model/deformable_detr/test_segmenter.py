from __future__ import annotations

import pytest
import torch

from rise_engine.config import ModelConfig
from rise_engine.model import build_segmenter
from rise_engine.model.deformable_detr.segmenter import DeformableSegmenter


def right_padding(batch: int, height: int, width: int, valid: int) -> torch.Tensor:
    mask = torch.zeros(batch, height, width, dtype=torch.bool)
    mask[:, :, valid:] = True
    return mask


@pytest.mark.parametrize(("classes", "count"), [(80, 19_672_555), (1, 19_550_737)])
def test_the_papers_network_has_as_many_parameters_as_published(classes: int, count: int) -> None:
    with torch.device("meta"):
        # The backbone's size does not enter, but its channels do: they are those of ResNet-50.
        model = build_segmenter(ModelConfig(backbone="resnet50", num_classes=classes))
    assert sum(part.numel() for name, part in model.named_parameters() if not name.startswith("backbone.")) == count


def test_a_fresh_network_scores_one_percent_and_starts_with_small_boxes(tiny_config: ModelConfig) -> None:
    torch.manual_seed(0)
    output = build_segmenter(tiny_config).eval()(torch.rand(1, 3, 64, 96))
    for layer in output.layers:
        torch.testing.assert_close(layer.class_logits.sigmoid(), torch.full((1, 10, 3), 0.01))
        torch.testing.assert_close(layer.boxes[..., 2:], torch.full((1, 10, 2), 0.1192), atol=1e-4, rtol=0)


def test_the_output_has_the_promised_shapes(tiny_model: DeformableSegmenter) -> None:
    output = tiny_model(torch.rand(2, 3, 64, 96))
    assert output.class_logits.shape == (2, 10, 3)
    assert output.boxes.shape == (2, 10, 4)
    assert output.embeddings.shape == (2, 10, 32)
    assert output.mask_logits.shape == (2, 10, 16, 24)
    assert len(output.layers) == 2
    assert output.layers[-1].boxes is output.boxes
    assert ((output.boxes > 0) & (output.boxes < 1)).all()


def test_masks_of_chosen_queries_are_rows_of_all(tiny_model: DeformableSegmenter) -> None:
    output = tiny_model(torch.rand(2, 3, 64, 96))
    chosen = torch.tensor([7, 2])
    for image in range(2):
        torch.testing.assert_close(output.masks(image, chosen), output.mask_logits[image, chosen])
        last = output.layers[-1].masks(image, torch.arange(10))
        torch.testing.assert_close(last, output.mask_logits[image])
    assert output.masks(1, torch.empty(0, dtype=torch.long)).shape == (0, 16, 24)


def test_images_of_a_batch_do_not_see_each_other(tiny_model: DeformableSegmenter) -> None:
    images = torch.rand(2, 3, 64, 96)
    together, alone = tiny_model(images), tiny_model(images[1:])
    torch.testing.assert_close(together.boxes[1:], alone.boxes, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together.mask_logits[1:], alone.mask_logits, atol=1e-3, rtol=1e-3)


def test_a_mask_without_padding_is_as_good_as_none(tiny_model: DeformableSegmenter) -> None:
    images = torch.rand(1, 3, 64, 96)
    nothing = torch.zeros(1, 64, 96, dtype=torch.bool)
    torch.testing.assert_close(tiny_model(images, nothing).boxes, tiny_model(images).boxes)


def test_pixels_under_padding_do_not_matter(tiny_model: DeformableSegmenter) -> None:
    images, mask = torch.rand(1, 3, 64, 128), right_padding(1, 64, 128, 96)
    first = tiny_model(images, mask)
    images[..., 96:] = 0.3
    torch.testing.assert_close(tiny_model(images, mask).boxes, first.boxes)


def test_sizes_that_are_no_multiple_of_32_are_padded(tiny_model: DeformableSegmenter) -> None:
    images = torch.rand(1, 3, 61, 90)
    odd = tiny_model(images)
    assert odd.mask_logits.shape == (1, 10, 16, 23)
    canvas = torch.zeros(1, 3, 64, 96)
    canvas[..., :61, :90] = images
    mask = torch.ones(1, 64, 96, dtype=torch.bool)
    mask[:, :61, :90] = False
    padded = tiny_model(canvas, mask)
    torch.testing.assert_close(odd.boxes, padded.boxes)
    torch.testing.assert_close(odd.mask_logits, padded.mask_logits[..., :23])


def test_boxes_are_relative_to_the_unpadded_image(tiny_config: ModelConfig) -> None:
    """A mask lies around where its query looked from: the reference scales with the image, not with the canvas."""
    torch.manual_seed(0)
    model = build_segmenter(tiny_config).eval()
    last = model.mask_controller.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
        last.bias[0] = 1.0  # the first channel is x of the reference minus x of the pixel
        last.bias[80] = 1.0
        last.bias[144] = 1.0
    output = model(torch.rand(1, 3, 64, 192), right_padding(1, 64, 192, 96))
    first = output.layers[0]
    rows = first.masks(0, torch.arange(10))[:, 8]  # max(0, x of the reference - x of the pixel)
    # Odd mask columns lie on the features, whose pixels are 4, 12, 20, ...
    torch.testing.assert_close(rows[:, 1] + 4, first.references[0, :, 0] * 96, atol=1e-3, rtol=0)


@pytest.mark.parametrize("form", ["grid", "gather"])
def test_every_form_of_attention_gives_the_same_network(tiny_model: DeformableSegmenter, form: str) -> None:
    images, mask = torch.rand(1, 3, 64, 128), right_padding(1, 64, 128, 100)
    tiny_model.set_attention_form("bag")
    expected = tiny_model(images, mask)
    tiny_model.set_attention_form(form)  # type: ignore[arg-type]
    torch.testing.assert_close(tiny_model(images, mask).boxes, expected.boxes, atol=1e-5, rtol=1e-5)


def test_a_loss_on_everything_reaches_every_trained_parameter(tiny_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = build_segmenter(tiny_config).train()
    # Fresh heads end in zeros, which stop the gradient on its way down once.
    for head in [*model.class_head, *(head.layers[-1] for head in model.box_head)]:
        torch.nn.init.normal_(head.weight, std=0.1)
    output = model(torch.rand(2, 3, 64, 96))
    loss = output.embeddings.square().sum()
    for layer in output.layers:
        loss = loss + layer.class_logits.square().sum() + layer.boxes.square().sum()
        loss = loss + layer.masks(0, torch.arange(3)).square().mean()
    loss.backward()
    without = [name for name, part in model.named_parameters() if part.requires_grad and part.grad is None]
    assert without == []


def test_later_layers_do_not_move_earlier_boxes(tiny_model: DeformableSegmenter) -> None:
    tiny_model(torch.rand(1, 3, 64, 96)).layers[1].boxes.sum().backward()
    assert tiny_model.box_head[0].layers[-1].weight.grad is None
    assert tiny_model.box_head[1].layers[-1].weight.grad is not None


def test_half_precision_runs_and_stays_close(tiny_model: DeformableSegmenter) -> None:
    images = torch.rand(1, 3, 64, 96)
    expected = tiny_model(images)
    with torch.autocast("cpu", torch.bfloat16):
        found = tiny_model(images)
        masks = found.mask_logits
    assert masks.dtype == torch.float32
    torch.testing.assert_close(found.boxes.float(), expected.boxes, atol=0.1, rtol=0)
