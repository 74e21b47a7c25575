#!/usr/bin/env bash
# Unlearnable Clusters through four surrogates, a small CLIP among them: docs/uc.md.
# Usage: benchmarks/uc-surrogates.sh DATA OUT [SEEDS]; goes on from the records already in OUT. DATA holds cifar100/.
# The CLIP learns from half of the pictures, and the other half is protected.
set -euo pipefail
clip=clip-cifar100
if [ ! -e "$clip/open_clip_model.safetensors" ]; then
  python benchmarks/train_small_clip.py "parquet:$1/cifar100" "$clip" --keep-out 50 --threads 1
fi
ucbench run --dataset cifar100:size=16,train_per_class=50 --data-root "$1" --labeling coarse --epsilon 16 \
  --victim resnet18:width=16 --seed "${3:-0-2}" --threads 1 --out "$2" --poisoner uc --surrogate efficientnet-lite0@auto \
  --surrogate simclr --surrogate trained:width=16 --surrogate "openclip:checkpoint=$clip/open_clip_model.safetensors"
