"""Presets (the size of the training) and recipes (the method of the training), as changes to the defaults."""

from __future__ import annotations

from typing import Any, Literal

PresetName = Literal["laptop", "r50", "r101", "swin-l"]
RecipeName = Literal["recommended", "paper", "idol"]

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
"""The size of the training; a setting that is not named here has the default of its section."""

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
"""The method, independent of the size: the paper's text, the released code's weights, and our best results."""
