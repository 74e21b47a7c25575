#!/usr/bin/env bash
# The ablation of docs/uc.md: one choice of UC changed at a time, judged on a held-out 35 % of the digits' training set.
# Usage: benchmarks/uc-ablation.sh OUT [SEEDS]; goes on from the records already in OUT.
set -euo pipefail
# What the defaults decide for pictures of 8 pixels, written out: the records were made before they left it to the size.
base="augment=none,coarseness=4"
choices=(
  "uc:$base"
  uc:augment=none,coarseness=1
  uc:augment=none,coarseness=2
  "uc:$base,squash=tanh"
  "uc:$base,squash=clamp"
  "uc:$base,distance=kl,temperature=1.0"
  "uc:$base,fit_on=all"
  "uc:$base,steps=50"
  "uc:$base,clusters=20"
)
arguments=()
for choice in "${choices[@]}"; do arguments+=(--poisoner "$choice"); done
common=(--dataset digits:validation=0.35 --victim resnet18:width=16 --seed "${2:-0-1}" --threads 1 --out "$1")
levels=(--surrogate efficientnet-lite0@levels)
ucbench run "${common[@]}" "${levels[@]}" "${arguments[@]}" --poisoner positive:grid=2
# The same clusters under random blocks instead of crafted perturbations, and clusters of the penultimate features alone.
ucbench run "${common[@]}" "${levels[@]}" --poisoner rand-class:grid=2 --craft-labels clusters:k=10
ucbench run "${common[@]}" --surrogate efficientnet-lite0 --poisoner "uc:$base"
