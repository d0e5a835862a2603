#!/usr/bin/env bash
# What is worth doing on a GPU in one go: starter weights from many more drawn totes than a CPU can see.
#
#   benchmarks/gpu.sh BACKBONE.safetensors OUT_DIR [MINUTES]
#
# BACKBONE holds ImageNet weights of tf_efficientnet_lite0 under timm's names. The log prints frames and seconds a step.
set -euo pipefail
backbone=$1 out=$2 minutes=${3:-8}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$out"
workers=$(($(nproc) > 2 ? $(nproc) - 2 : 1))
start=()
[ -f resources/starter-laptop.safetensors ] && start=(--weights resources/starter-laptop.safetensors)
python3 -m rise_engine.experiments.starter --backbone-weights "$backbone" "${start[@]}" --minutes "$minutes" \
  --batch 24 --rate 6e-4 --workers "$workers" --out "$out/starter-laptop.safetensors" 2>&1 | tee "$out/starter.log"
