"""The settings by section, with their defaults and limits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

StrongOperation = Literal["colour_jitter", "planckian_jitter", "grayscale", "gaussian_blur"]


class Section(BaseModel):
    """A section of the settings. Unknown names, wrong types and infinite numbers are refused, also on assignment."""

    # The string below a field becomes its description, which the window shows as a tooltip.
    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ModelConfig(Section):
    """The network: backbone, Deformable DETR, dynamic mask head, embedding head (paper, Sec. 3.1)."""

    kind: Literal["deformable_detr", "mask2former"] = "deformable_detr"
    """``mask2former`` needs the extra of that name; ``num_points`` and ``mask_channels`` do not apply to it."""
    backbone: str = "resnet50"
    """Any timm model with ``features_only`` and stages of stride 8, 16 and 32."""
    num_classes: int = Field(1, ge=1)
    hidden_dim: int = Field(256, ge=32, multiple_of=32)
    encoder_layers: int = Field(6, ge=1)
    decoder_layers: int = Field(6, ge=1)
    num_queries: int = Field(300, ge=1)
    num_heads: int = Field(8, ge=1)
    num_points: int = Field(4, ge=1)
    feedforward_dim: int = Field(1024, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    mask_channels: int = Field(8, ge=1)
    attention: Literal["torch", "deformops"] = "torch"
    """The implementation of deformable attention on a CUDA device; ``deformops`` needs the package of that name."""
    padding: Literal["rise", "detr", "idol"] = "rise"
    """What the network computes where a batch is padded. ``rise``: positions stop at the edge of the image. ``detr``:
    they are counted for each row and column, as in Deformable DETR and transformers. ``idol``: as ``detr``, and the
    padding of the coarsest level follows that of the finest. Loading weights of these projects sets it. Without padding
    all three are the same. Does not apply to ``mask2former``."""
    freeze_stages: int = Field(2, ge=0)
    """Number of frozen parts of the backbone, from its input: 1 is the stem, 2 the stem and the first stage."""
    checkpointing: bool = False
    """Activation checkpointing: encoder and decoder layers are computed again in the backward pass instead of stored.
    Less memory, more time, the same gradients. Does not apply to ``mask2former``."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> ModelConfig:
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"The setting model.num_heads is {self.num_heads}, which does not divide model.hidden_dim, "
                f"{self.hidden_dim}: change one of them."
            )
        return self


class LoaderConfig(Section):
    """How frames become training images (paper, App. A)."""

    short_sides: tuple[Annotated[int, Field(ge=32)], ...] = Field((480, 512, 544), min_length=1)
    """The shortest side of a training frame is sampled from these, in pixels."""
    crop: int = Field(600, ge=64)
    """Neither side of a training image is longer than this, in pixels; longer ones are cropped at random."""
    predict_short_side: int = Field(480, ge=64)
    predict_long_side: int = Field(800, ge=64)
    """Prediction resizes a frame to the shortest side, or smaller if its longest side would exceed this; no crop."""
    predict_edge_reach: float = Field(1 / 64, ge=0, lt=0.5)
    """Predicted masks are aligned to image edges within this share of the image's shorter side, at prediction size.
    0 switches it off. Not in the paper."""
    labelled_per_step: int = Field(8, ge=1)
    unlabelled_per_step: int = Field(8, ge=0)
    unlabelled_pool: Literal["rest", "all"] = "rest"
    """``all``: the labelled frames are also used as unlabelled ones, without their labels (as in the released code)."""
    accumulate: int = Field(0, ge=0)
    """Gradient accumulation: the number of micro-batches that one step's frames are split into, to limit memory.
    0: as few as fit into memory. A GPU starts with all frames in one micro-batch; when its memory is full, the
    micro-batches are halved, down to single frames, and the step is repeated. A CPU, where too much memory ends the
    process, uses one frame per micro-batch."""
    workers: int = Field(2, ge=0)
    """Threads that read and augment frames while the network trains; 0 does both in turn."""


class SequenceConfig(Section):
    """Pseudo-sequences: what is pasted, moved and removed (paper, Sec. 3.2 and App. F)."""

    enabled: bool = True
    """Off: one view per frame, nothing pasted and no L_embed, as in Table 3 without pseudo-sequences."""
    paste: bool = True
    """Off: nothing is pasted from the instance bank; before and after differ only in their weak augmentation."""
    next_frame: Literal["off", "folder", "number"] = "off"
    """For unlabelled frames of a recorded sequence, the after view is the next recorded frame, and Eq. 3 matches the
    objects. ``folder``: the images of a folder are one recording, in their order, as in OCID. ``number``: images with
    names that differ only in the last number are one recording. Not in the paper, which names it as future work."""
    bank_capacity: int = Field(200, ge=1)
    bank_admit: Literal["all", "segmented"] = "all"
    """``segmented`` admits only instances that a prediction already covers with mask IoU >= 0.5."""
    min_pasted: int = Field(1, ge=0)
    max_pasted: int = Field(4, ge=0)
    """K, the number of objects pasted into the before view, is uniform between these two."""
    max_added: int = Field(2, ge=0)
    """Up to this many more objects are pasted into the after view."""
    move_probability: float = Field(0.25, ge=0, le=1)
    remove_probability: float = Field(0.25, ge=0, le=1)
    beta_alpha: float = Field(0.5, gt=0)
    beta_beta: float = Field(0.5, gt=0)
    max_overlap: float = Field(0.85, gt=0, le=1)
    """A paste is refused when it would hide more than this share of an inserted (or labelled) object."""
    protect_labelled: bool = True
    """In a labelled frame, the overlap limit also protects the frame's own objects (App. F). Off: only pasted ones."""
    placement_tries: int = Field(10, ge=1)
    min_visible: float = Field(0.15, ge=0, le=1)
    """A target is dropped when a smaller share of it is visible."""
    min_area: int = Field(32, ge=1)
    """A target is dropped when it has fewer visible pixels."""

    @model_validator(mode="after")
    def _possible(self) -> SequenceConfig:
        if self.min_pasted > self.max_pasted:
            raise ValueError(
                f"The setting sequence.min_pasted is {self.min_pasted}, more than max_pasted, {self.max_pasted}: "
                "set both, or set sequence.paste=false to paste nothing."
            )
        if self.move_probability + self.remove_probability > 1:
            raise ValueError(
                "The sum of sequence.move_probability and remove_probability is more than 1: lower one of them."
            )
        return self


class AugmentConfig(Section):
    """Weak and strong augmentation (paper, Sec. 3.2, 3.3 and App. A)."""

    rotation: float = Field(4.0, ge=0)
    """Degrees, in both directions."""
    scale: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.1)
    shift: float = Field(0.05, ge=0, lt=1)
    """Share of the frame's side, in both directions."""
    brightness: float = Field(0.1, ge=0, lt=1)
    flip: bool = True
    strong_operations: int = Field(2, ge=0, le=4)
    """RandAugment's n: how many of ``strong_choices`` are applied."""
    strong_choices: tuple[StrongOperation, ...] = ("colour_jitter", "planckian_jitter", "grayscale", "gaussian_blur")
    strong_jitter: tuple[NonNegativeFloat, NonNegativeFloat] = (0.05, 0.95)
    """Colour jitter multiplies brightness and then contrast by factors sampled from this range."""
    reweaken: bool = False
    """Augment the strong view geometrically too, within the four ranges below; its targets move with it."""
    strong_rotation: float = Field(4.0, ge=0)
    strong_scale: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.1)
    strong_shift: float = Field(0.05, ge=0, lt=1)
    strong_mirror: bool = False
    """Horizontal and vertical mirroring, each with probability one half."""
    object_scale: tuple[PositiveFloat, PositiveFloat] = (0.7, 1.3)
    object_rotation: float = Field(180.0, ge=0)
    object_brightness: float = Field(0.1, ge=0, lt=1)
    object_flip: bool = True

    @model_validator(mode="after")
    def _ranges_rise(self) -> AugmentConfig:
        for name in ("scale", "strong_scale", "object_scale", "strong_jitter"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(
                    f"The setting augment.{name} begins at {low:g} and ends at {high:g}: "
                    "write the smaller number first."
                )
        return self


class PseudoLabelConfig(Section):
    """From predictions to targets: cascade, mask threshold, Mask-to-Box, Multi-Label Matching (Eq. 6-8)."""

    strategy: Literal["cascade", "quantile_first", "threshold", "quantile"] = "cascade"
    threshold_start: float = Field(0.5, ge=0, le=1)
    threshold_peak: float = Field(0.85, ge=0, le=1)
    stairs: int = Field(12, ge=2)
    quantile_start: float = Field(0.995, ge=0, le=1)
    mask_threshold: float = Field(0.5, gt=0, lt=1)
    mask_threshold_peak: float | None = Field(None, gt=0, lt=1)
    """The last value of the mask threshold's staircase; None keeps the threshold constant."""
    mask_to_box: bool = True
    multi_label_matching: bool = True
    max_overlapping: int = Field(3, ge=1)
    """Multi-Label Matching keeps at most this many predictions that overlap each other with mask IoU above 0.5."""
    nms_iou: float = Field(0.9, gt=0, le=1)
    """Box NMS used instead when Multi-Label Matching is off."""
    pasted_targets: bool = True
    """Objects pasted into an unlabelled frame are targets of L_u too, next to the pseudo-labels."""
    edge_reach: float = Field(0.0, ge=0, lt=0.5)
    """Masks are aligned to image edges within this share of the shorter side; 0 switches it off. Not in the paper."""
    after_view: bool = False
    """The after view is trained on the pseudo-labels too, transformed as it was. Not in the paper."""
    ignore_unkept: float | None = Field(0.3, ge=0, le=1)
    """Queries that match a rejected teacher prediction with a higher score are excluded from the loss. None: they count
    as negatives, as in the paper's text."""
    teacher_scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)
    """Test-time augmentation of the teacher: one pass over the before view per scale, merged. Not in the paper."""
    teacher_mirror: bool = False
    """Every second of these passes uses the mirror image."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of a teacher that averages the student's weights (EMA). None: the student is its own teacher (paper)."""


class LossConfig(Section):
    """Loss weights (Eq. 1, 5, 9; docs/paper_vs_code.md) and the assignment of predictions to targets."""

    matching: Literal["simota", "iou", "hungarian"] = "simota"
    classification: float = Field(1.0, ge=0)
    l1: float = Field(2.0, ge=0)
    giou: float = Field(2.0, ge=0)
    mask_focal: float = Field(1.0, ge=0)
    dice: float = Field(1.0, ge=0)
    association: float = Field(0.05, ge=0)
    """lambda_3 of Eq. 9."""
    association_auxiliary: float = Field(0.0, ge=0)
    """Weight of IDOL's cosine term relative to L_embed, inside it; not in the paper."""
    identities: Literal["known", "predicted"] = "known"
    """The identities in L_embed: known from the construction of the views, or the best score of Eq. 3 above 0.5."""
    views: Literal["dynamic", "top_ten"] = "dynamic"
    """How many queries are positives of an object. dynamic: the sum of its IoUs (IDOL). top_ten: ten (App. B)."""
    unsupervised: float = Field(0.5, ge=0)
    """lambda_4 of Eq. 9."""
    equal_objects: bool = False
    """An object of an unlabelled frame has at most the weight of an object of a labelled frame in the same step. Off:
    L_u is averaged over its own targets, so that a frame with two targets has as much weight as one with twelve."""
    focal_alpha: float = Field(0.25, gt=0, lt=1)
    focal_gamma: float = Field(2.0, ge=0)


class OptimiserConfig(Section):
    """AdamW with a step decay (paper, App. A; IDOL)."""

    learning_rate: float = Field(1e-4, gt=0)
    backbone_factor: float = Field(0.1, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip_norm: float = Field(0.01, gt=0, allow_inf_nan=True)
    """``Infinity`` switches gradient clipping off."""
    warmup_steps: int = Field(0, ge=0)
    decay_at: float = Field(2 / 3, gt=0, le=1)
    """Share of the schedule after which the learning rate falls to a tenth."""
    bf16: bool = False


class ScheduleConfig(Section):
    """The length of the training, and when each part of it starts."""

    steps: int = Field(12_000, ge=1)
    """T: the learning rate, the thresholds and the quantile level all follow step / T."""
    unsupervised_after: int = Field(200, ge=0)
    """The step at which L_u starts; see ``burn_in``."""
    supervised_only: bool = False
    before_gradient: bool = False
    """Also compute gradients for the unlabelled before view. Off: it only provides fixed embeddings."""
    holdout_every: int = Field(500, ge=1)
    preview_every: int = Field(25, ge=1)
    checkpoint_seconds: float = Field(60.0, gt=0, allow_inf_nan=True)
    """``Infinity``: only at the end."""
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def burn_in(self) -> int:
        """Number of purely supervised steps: ``unsupervised_after``, but at most a third of the training."""
        return min(self.unsupervised_after, self.steps // 3)
