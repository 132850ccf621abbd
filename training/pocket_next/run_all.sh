#!/bin/sh
# Train all models of the next pocket, in order, into training/pocket_next/built. Minutes are of one CPU core with AMX,
# or of a GPU, and count only what a training itself computes. Two trainings that do not need each other can run side by
# side on two cores.
# Every step is resumable: run the script again after an interruption and it goes on where it stopped.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
export POCKET_FOLDER=${POCKET_FOLDER:-training/pocket_next/built} POCKET_RUNS=${POCKET_RUNS:-training/pocket_next/runs}
step() { echo "== $*"; "$PYTHON" -m "training.$@"; }

step pocket.train_tokenizers --toy next           # seconds
step pocket.train_text --toy next --minutes 7     # CLIP and T5, frozen afterwards
step pocket.train_chat --toy next --minutes 21    # the refiner
step pocket.train_image_vae --toy next --minutes 13
step pocket.train_image --toy next --minutes 180  # FLUX transformer
step pocket_next.inflate_vae                      # seconds: the image autoencoder, inflated
step pocket.folders                               # model_index.json, schedulers, the shared T5
step pocket.clips --toy next --count 1800         # latents of clips, 14 minutes
step pocket.train_video --toy next --minutes 200  # CogVideoX transformer
step pocket.fit_previews --toy next               # latent to colour, for live previews
