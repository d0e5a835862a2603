"""Every setting of a run: typed, checked, and the single source of defaults."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationError, model_validator

PresetName = Literal["laptop", "r50", "r101", "swin-l"]
RecipeName = Literal["recommended", "paper", "idol"]
StrongOperation = Literal["colour_jitter", "planckian_jitter", "grayscale", "gaussian_blur"]


class Section(BaseModel):
    """A group of settings: unknown names, wrong types and infinite numbers are refused, also on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


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
    """Who samples for deformable attention on a CUDA device; ``deformops`` needs the package of that name."""
    padding: Literal["rise", "detr", "idol"] = "rise"
    """What the network computes where a batch is padded. ``rise``: positions stop at the edge of the image. ``detr``:
    they are counted for each row and column, as in Deformable DETR and transformers. ``idol``: as ``detr``, and the
    padding of the coarsest level follows that of the finest. Loading weights of these projects sets it. Without padding
    all three are the same. Does not apply to ``mask2former``."""
    freeze_stages: int = Field(2, ge=0)
    """Frozen parts of the backbone counted from its input: 1 the stem, 2 the stem and the first stage."""
    checkpointing: bool = False
    """Training computes encoder and decoder layers once more instead of keeping what they computed: less memory, more
    time, the same gradients. Does not apply to ``mask2former``."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> ModelConfig:
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                f"model.num_heads is {self.num_heads}, which does not divide model.hidden_dim, {self.hidden_dim}: "
                "change one"
            )
        return self


class LoaderConfig(Section):
    """How frames become training images (paper, App. A)."""

    short_sides: tuple[Annotated[int, Field(ge=32)], ...] = Field((480, 512, 544), min_length=1)
    """The shortest side of a training frame is drawn from these, in pixels."""
    crop: int = Field(600, ge=64)
    """Neither side of a training image is longer than this, in pixels; longer ones are cropped at random."""
    predict_short_side: int = Field(480, ge=64)
    predict_long_side: int = Field(800, ge=64)
    """Prediction resizes to the shortest side, and less if the longest would pass this bound; it never crops."""
    predict_edge_reach: float = Field(1 / 64, ge=0, lt=0.5)
    """Predicted masks move towards edges within this share of the picture's shorter side, at prediction size; 0 leaves
    them; not in the paper."""
    labelled_per_step: int = Field(8, ge=1)
    unlabelled_per_step: int = Field(8, ge=0)
    unlabelled_pool: Literal["rest", "all"] = "rest"
    """``all``: the labelled frames are among the unlabelled ones too, without their labels (the released code)."""
    accumulate: int = Field(0, ge=0)
    """Parts that one step's frames are split into, learnt from one after the other, to bound memory. 0: as few as the
    memory holds. On a GPU all frames are tried at once; whenever the memory is full the parts are halved, down to
    single frames, and the step is begun anew. A CPU, where too much ends the process, takes one frame at a time."""
    workers: int = Field(2, ge=0)
    """Threads that read frames and plan scenes while the network learns; 0 does it in between."""


class SequenceConfig(Section):
    """Pseudo-sequences: what is pasted, moved and removed (paper, Sec. 3.2 and App. F)."""

    enabled: bool = True
    """Off: one view a frame, nothing pasted and no L_embed, as in Table 3 without pseudo-sequences."""
    paste: bool = True
    """Off: nothing is taken from the instance bank; before and after differ by their weak augmentation alone."""
    next_frame: Literal["off", "folder", "number"] = "off"
    """The after view of an unlabelled frame that belongs to a recording is the next frame of it instead, and Eq. 3 says
    who is who there. ``folder``: the images of a folder are a recording, in their order, as in OCID; ``number``: those
    whose names differ in the last number alone. Not in the paper, which names it as future work."""
    bank_capacity: int = Field(200, ge=1)
    bank_admit: Literal["all", "segmented"] = "all"
    """``segmented`` admits only instances that a prediction already covers with mask IoU >= 0.5."""
    min_pasted: int = Field(1, ge=0)
    max_pasted: int = Field(4, ge=0)
    """K, the number of objects pasted into the before frame, is uniform between these two."""
    max_added: int = Field(2, ge=0)
    """Up to this many more are pasted into the after frame."""
    move_probability: float = Field(0.25, ge=0, le=1)
    remove_probability: float = Field(0.25, ge=0, le=1)
    beta_alpha: float = Field(0.5, gt=0)
    beta_beta: float = Field(0.5, gt=0)
    max_overlap: float = Field(0.85, gt=0, le=1)
    """A paste is refused when it would hide more than this share of an inserted (or labelled) object."""
    protect_labelled: bool = True
    """App. F's form for labelled frames: their own objects count too. Off: only inserted ones do, as on unlabelled."""
    placement_tries: int = Field(10, ge=1)
    min_visible: float = Field(0.15, ge=0, le=1)
    """A target of which less than this share is left visible is dropped."""
    min_area: int = Field(32, ge=1)
    """A target with fewer visible pixels is dropped."""

    @model_validator(mode="after")
    def _possible(self) -> SequenceConfig:
        if self.min_pasted > self.max_pasted:
            raise ValueError(
                f"sequence.min_pasted is {self.min_pasted}, more than max_pasted, {self.max_pasted}: "
                "give both, or sequence.paste=false for none"
            )
        if self.move_probability + self.remove_probability > 1:
            raise ValueError("sequence.move_probability and remove_probability are more than 1 together: lower one")
        return self


class AugmentConfig(Section):
    """Weak and strong augmentation (paper, Sec. 3.2, 3.3 and App. A)."""

    rotation: float = Field(4.0, ge=0)
    """Degrees, either way."""
    scale: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.1)
    shift: float = Field(0.05, ge=0, lt=1)
    """Share of the frame's side, either way."""
    brightness: float = Field(0.1, ge=0, lt=1)
    flip: bool = True
    strong_operations: int = Field(2, ge=0, le=4)
    """RandAugment's n: how many of ``strong_choices`` are applied."""
    strong_choices: tuple[StrongOperation, ...] = ("colour_jitter", "planckian_jitter", "grayscale", "gaussian_blur")
    strong_jitter: tuple[NonNegativeFloat, NonNegativeFloat] = (0.05, 0.95)
    """Colour jitter multiplies brightness, and then contrast, by draws from between these."""
    reweaken: bool = False
    """Move the strong view once more too, within the four ranges below; its targets then move along."""
    strong_rotation: float = Field(4.0, ge=0)
    strong_scale: tuple[PositiveFloat, PositiveFloat] = (0.9, 1.1)
    strong_shift: float = Field(0.05, ge=0, lt=1)
    strong_mirror: bool = False
    """Left and right, and top and bottom, each half of the time."""
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
                    f"augment.{name} begins at {low:g} and ends at {high:g}: write the smaller number first"
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
    """Where the mask threshold's staircase ends; None keeps it constant."""
    mask_to_box: bool = True
    multi_label_matching: bool = True
    max_overlapping: int = Field(3, ge=1)
    """Multi-Label Matching keeps at most this many predictions that overlap with mask IoU above 0.5."""
    nms_iou: float = Field(0.9, gt=0, le=1)
    """Box NMS used instead when Multi-Label Matching is off."""
    pasted_targets: bool = True
    """Objects pasted into an unlabelled frame are targets of L_u, beside the pseudo-labels."""
    edge_reach: float = Field(0.0, ge=0, lt=0.5)
    """Masks move towards edges within this share of the picture's shorter side; 0 leaves them; not in the paper."""
    after_view: bool = False
    """The after view must meet the pseudo-labels too, moved as it was; not in the paper."""
    ignore_unkept: float | None = Field(0.3, ge=0, le=1)
    """Queries on a teacher's prediction above this score that was not kept are no negatives;
    None makes them plain negatives, as the paper's text has it."""
    teacher_scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)
    """The teacher looks at the before view once at each of these scales and merges what it saw; not in the paper."""
    teacher_mirror: bool = False
    """Every second of these looks is at the mirror image."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of an averaged teacher; None uses the learner itself, as the paper does."""


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
    """Who is who in L_embed: as known from how the views were made, or by the best score of Eq. 3 above 0.5."""
    views: Literal["dynamic", "top_ten"] = "dynamic"
    """Positive views of an object: as many as its IoUs add up to (IDOL), or its ten best matches (paper, App. B)."""
    unsupervised: float = Field(0.5, ge=0)
    """lambda_4 of Eq. 9."""
    equal_objects: bool = False
    """An object of an unlabelled frame weighs no more than one of a labelled frame in the same step; otherwise L_u is
    averaged by itself, and a frame with two targets weighs as much as one with twelve."""
    focal_alpha: float = Field(0.25, gt=0, lt=1)
    focal_gamma: float = Field(2.0, ge=0)


class OptimiserConfig(Section):
    """AdamW with a step decay (paper, App. A; IDOL)."""

    learning_rate: float = Field(1e-4, gt=0)
    backbone_factor: float = Field(0.1, ge=0)
    weight_decay: float = Field(1e-4, ge=0)
    clip_norm: float = Field(0.01, gt=0, allow_inf_nan=True)
    """``Infinity`` clips nothing."""
    warmup_steps: int = Field(0, ge=0)
    decay_at: float = Field(2 / 3, gt=0, le=1)
    """Share of the schedule after which the learning rate falls to a tenth."""
    bf16: bool = False


class ScheduleConfig(Section):
    """How long, and when each part sets in."""

    steps: int = Field(12_000, ge=1)
    """T: the learning rate, the thresholds and the quantile level all follow step / T."""
    unsupervised_after: int = Field(200, ge=0)
    """The step at which L_u starts; see ``burn_in``."""
    supervised_only: bool = False
    before_gradient: bool = False
    """Train on the unlabelled before frame too, instead of using it as a detached anchor."""
    holdout_every: int = Field(500, ge=1)
    preview_every: int = Field(25, ge=1)
    checkpoint_seconds: float = Field(60.0, gt=0, allow_inf_nan=True)
    """``Infinity``: only at the end."""
    seed: int = Field(0, ge=0, lt=2**63)

    @property
    def burn_in(self) -> int:
        """How many steps learn from labels alone: ``unsupervised_after``, in a short training a third of it."""
        return min(self.unsupervised_after, self.steps // 3)


class RiseConfig(Section):
    """Everything that a run depends on besides its frames; written to ``config.json`` of the run."""

    preset_name: PresetName = "laptop"
    recipe_name: RecipeName = "recommended"
    class_agnostic: bool = True
    weights: str = "starter"
    """``starter``, ``imagenet``, ``coco``, ``last``, ``run:N``, ``none`` or a file."""
    device: str = "auto"
    model: ModelConfig = Field(default_factory=ModelConfig)
    loader: LoaderConfig = Field(default_factory=LoaderConfig)
    sequence: SequenceConfig = Field(default_factory=SequenceConfig)
    augment: AugmentConfig = Field(default_factory=AugmentConfig)
    pseudo_labels: PseudoLabelConfig = Field(default_factory=PseudoLabelConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optimiser: OptimiserConfig = Field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig)

    @model_validator(mode="after")
    def _one_look_where_it_learns(self) -> RiseConfig:
        # The anchors of L_embed are queries of the pass that trains; merged looks have queries that it has not.
        merged = self.pseudo_labels.teacher_scales != (1.0,)
        if merged and self.schedule.before_gradient:
            raise ValueError("schedule.before_gradient needs a single look: pseudo_labels.teacher_scales=[1.0]")
        return self

    @classmethod
    def preset(cls, name: PresetName, recipe: RecipeName = "recommended") -> RiseConfig:
        """The settings of a preset (what is trained) with a recipe (how it learns).

        Raises ``ValueError`` with the known names when either is unknown.
        """
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}: choose one of {', '.join(PRESETS)}")
        if recipe not in RECIPES:
            raise ValueError(f"unknown recipe {recipe!r}: choose one of {', '.join(RECIPES)}")
        settings: dict[str, Any] = {"preset_name": name, "recipe_name": recipe} | PRESETS[name]
        for section, values in RECIPES[recipe].items():
            settings[section] = settings.get(section, {}) | values
        return cls.model_validate(settings)

    def with_settings(self, settings: Iterable[str]) -> RiseConfig:
        """A copy changed by ``section.key=value`` strings; values are JSON where they parse as it, else text.

        Raises ``ValueError`` with one sentence naming the setting that is unknown or does not fit.
        """
        changed = self.model_dump()
        for setting in settings:
            name, separator, text = setting.partition("=")
            if name.strip() in FOLLOWING:
                raise ValueError(f"{name.strip()} cannot be set: {FOLLOWING[name.strip()]}")
            path = name.strip().split(".")
            section = changed
            for key in path[:-1]:
                section = section.get(key, {}) if isinstance(section, dict) else {}
            if not separator or not isinstance(section, dict) or path[-1] not in section:
                known = ", ".join(section) if isinstance(section, dict) and section else ", ".join(changed)
                raise ValueError(f"unknown setting {setting!r}: write section.key=value; known here: {known}")
            try:
                section[path[-1]] = json.loads(text)
            except json.JSONDecodeError:
                section[path[-1]] = text.strip()
        try:
            return RiseConfig.model_validate(changed)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            if first["type"] == "value_error":
                raise ValueError(str(first["ctx"]["error"])) from error
            raise ValueError(f"setting {where} does not fit: {first['msg'].lower()}") from error


FOLLOWING = {
    "preset_name": "it follows from --preset, which brings the settings of that name along",
    "recipe_name": "it follows from --recipe, which brings the settings of that name along",
    "model.num_classes": "it follows from the project's categories; --per-class tells them apart",
}
"""Settings that say what others are, and where they come from."""

PRESETS: dict[str, dict[str, Any]] = {
    "laptop": {
        "weights": "starter",
        "model": {
            "backbone": "tf_efficientnet_lite0",
            "hidden_dim": 128,
            "encoder_layers": 3,
            "decoder_layers": 3,
            "num_queries": 100,
            "num_points": 2,
            "feedforward_dim": 512,
            "dropout": 0.0,
        },
        "loader": {
            "short_sides": (240, 256, 272),
            "crop": 352,
            "predict_short_side": 256,
            "predict_long_side": 480,
            "labelled_per_step": 1,
            "unlabelled_per_step": 1,
            "accumulate": 1,
            "workers": 0,
        },
        "optimiser": {"learning_rate": 3e-4, "decay_at": 1.0},
        "schedule": {"steps": 1000, "unsupervised_after": 200, "holdout_every": 250, "preview_every": 10},
    },
    "r50": {"weights": "coco", "model": {"backbone": "resnet50"}},
    "r101": {"weights": "coco", "model": {"backbone": "resnet101"}},
    "swin-l": {
        "weights": "coco",
        "model": {"backbone": "swin_large_patch4_window12_384", "freeze_stages": 0},
    },
}
"""What is trained, by size; anything not named here has the default of its section."""

IDOL_LOSSES = {"classification": 2.0, "l1": 5.0, "giou": 2.0, "mask_focal": 2.0, "dice": 5.0}

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "loader": {"predict_edge_reach": 0.0},
        "pseudo_labels": {"ignore_unkept": None},
        "optimiser": {"learning_rate": 1e-4, "decay_at": 2 / 3},
    },
    "idol": {
        "loader": {"predict_edge_reach": 0.0},
        "optimiser": {"learning_rate": 1e-4, "decay_at": 2 / 3},
        "loss": IDOL_LOSSES | {"association": 2.0, "association_auxiliary": 1.5},
        "pseudo_labels": {"ignore_unkept": None},
    },
    "recommended": {
        "loss": IDOL_LOSSES | {"association": 0.1, "unsupervised": 1.0, "equal_objects": True},
        "augment": {
            "strong_jitter": (0.5, 1.2),
            "reweaken": True,
            "strong_rotation": 30.0,
            "strong_scale": (0.75, 1.33),
            "strong_shift": 0.1,
            "strong_mirror": True,
        },
        "pseudo_labels": {
            "threshold_start": 0.5,
            "threshold_peak": 0.5,
            "quantile_start": 0.0,
            "edge_reach": 1 / 64,
            "ignore_unkept": 0.05,
            "max_overlapping": 1,
            "teacher_scales": (1.0, 1.25),
            "teacher_mirror": True,
            "ema": 0.99,
        },
        "optimiser": {"backbone_factor": 0.2, "clip_norm": 0.5, "warmup_steps": 20},
    },
}
"""How to learn, independent of the size: the paper's text, the released code's weights, and what works best here."""
