#!/usr/bin/env bash
# A sweep by hand, for comparison: a run directory for each of nine networks, one after the other.
# `nnarch search` tries hundreds in this time, tells what mattered, and goes on where it was killed.
set -euo pipefail

for widths in '[16]' '[64]' '[64, 64]'; do
  for lr in 1e-3 3e-3 1e-2; do
    run=$(nnarch train "${1:-configs/digits.yaml}" --quiet "model.widths=$widths" "optimizer.lr=$lr")
    echo "$widths $lr $run"
  done
done
nnarch runs --sort val_loss --limit 9
