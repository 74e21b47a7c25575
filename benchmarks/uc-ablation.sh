#!/usr/bin/env bash
# The ablation of docs/uc.md: one choice of UC changed at a time, judged on a held-out third of the digits' training set.
# Usage: benchmarks/uc-ablation.sh OUT [SEEDS]; goes on from the records already in OUT.
set -euo pipefail
choices=(
  uc
  uc:coarseness=1
  uc:coarseness=2
  uc:squash=tanh
  uc:squash=clamp
  uc:distance=kl,temperature=1.0
  uc:fit_on=all
  uc:steps=50
  uc:clusters=20
)
arguments=()
for choice in "${choices[@]}"; do arguments+=(--poisoner "$choice"); done
common=(--dataset digits:validation=0.35 --victim resnet18:width=16 --seed "${2:-0-1}" --threads 1 --out "$1")
ucbench run "${common[@]}" "${arguments[@]}" --poisoner positive:grid=2
# The same clusters under random blocks instead of crafted perturbations, and clusters of the penultimate features alone.
ucbench run "${common[@]}" --poisoner rand-class:grid=2 --craft-labels clusters:k=10
ucbench run "${common[@]}" --poisoner uc --surrogate efficientnet-lite0
