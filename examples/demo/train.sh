#!/usr/bin/env bash
# Makes the whole demo: tokenizer, base model, held-out inputs, adapters, reference scores.
# What is already there is kept, so a stopped run is taken up again where it stopped.
set -euo pipefail
cd "$(dirname "$0")"

export DEMO_WORK="${DEMO_WORK:-$PWD/.work}" PYTHONDONTWRITEBYTECODE=1 TOKENIZERS_PARALLELISM=true
model=../../models/demo
mkdir -p "$DEMO_WORK"

# venv NAME: a virtual environment with the CPU build of torch and requirements-NAME.txt.
venv() {
  [ -x "$DEMO_WORK/venv-$1/bin/python" ] && return
  python3 -m venv "$DEMO_WORK/venv-$1"
  "$DEMO_WORK/venv-$1/bin/pip" install -r "requirements-$1.txt"
}

venv peft
venv adapters
peft="$DEMO_WORK/venv-peft/bin/python"
bottleneck="$DEMO_WORK/venv-adapters/bin/python"

[ -f "$model/tokenizer.json" ] || "$peft" tokenizer.py
[ -f "$DEMO_WORK/base.done" ] || { "$peft" train_base.py --compile && touch "$DEMO_WORK/base.done"; }
[ -f tasks.json ] || "$peft" make_heldout.py

# One core each: on small batches that is faster than one run over two cores.
OMP_NUM_THREADS=1 "$peft" train_lora.py &
OMP_NUM_THREADS=1 "$bottleneck" train_bottleneck.py
wait $!

"$peft" reference.py base
"$peft" reference.py lora
"$bottleneck" reference.py bottleneck
