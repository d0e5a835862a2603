#!/usr/bin/env bash
# What is worth doing on a GPU in one go: the network beside transformers' Deformable DETR, where the time of a training
# step goes, and then starter weights from many more drawn totes than a CPU can see.
#
#   benchmarks/gpu.sh BACKBONE.safetensors OUT_DIR [MINUTES]
#
# BACKBONE holds ImageNet weights of tf_efficientnet_lite0 under timm's names. The log prints frames and seconds a step.
set -euo pipefail
backbone=$1 out=$2 minutes=${3:-8}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$out"
workers=$(($(nproc) > 2 ? $(nproc) - 2 : 1))
forms=(torch)
if python3 -c 'import deformops' 2>/dev/null; then
  forms+=(deformops)
  python3 -m pytest -q tests/rise_engine/model/deformable_detr/test_deformops_sampling.py 2>&1 | tee "$out/gpu-tests.log"
fi
for form in "${forms[@]}"; do
  for precision in "" --bf16; do
    echo "attention by $form $precision"
    python3 benchmarks/network.py --device cuda --size 480x640 --batch 4 --repeats 10 --attention "$form" $precision
  done
done 2>&1 | tee "$out/network.log"
for settings in optimiser.bf16=false optimiser.bf16=true "optimiser.bf16=true model.checkpointing=true"; do
  echo "a training step of r50 with $settings"
  # shellcheck disable=SC2086 - several settings
  python3 benchmarks/training.py --preset r50 --device cuda --steps 10 --set $settings
done 2>&1 | tee "$out/training.log"
python3 -m pytest -q tests/rise_engine/pseudo_sequences/test_render.py 2>&1 | tee "$out/scene-tests.log"
python3 benchmarks/scenes.py --device cuda 2>&1 | tee "$out/scenes.log"
start=()
[ -f resources/starter-laptop.safetensors ] && start=(--weights resources/starter-laptop.safetensors)
# The processes render different numbers; 300 drawn frames each, and simulated ones where MuJoCo is installed.
simulated=0
python3 -c 'import mujoco' 2>/dev/null && simulated=600
for ((i = 0; i < workers; i++)); do
  python3 -m rise_engine.experiments.starter_frames "$out/frames" --drawn 300 --simulated "$simulated" --first $((i * 1000)) &
done
wait
python3 -m rise_engine.experiments.starter --frames "$out/frames" --backbone-weights "$backbone" "${start[@]}" --minutes "$minutes" \
  --batch 24 --rate 6e-4 --workers "$workers" --out "$out/starter-laptop.safetensors" 2>&1 | tee "$out/starter.log"
