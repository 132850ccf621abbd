#!/bin/sh
# Train all models of the next pocket, in order, into training/pocket_next/built. Minutes are of one CPU core with AMX,
# or of a GPU, and count only the time that a training itself computes. Two trainings that do not need each other can run side by side on two cores.
# Every step is resumable: run the script again after an interruption and it goes on where it stopped.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
export POCKET_FOLDER=${POCKET_FOLDER:-training/pocket_next/built} POCKET_RUNS=${POCKET_RUNS:-training/pocket_next/runs}
step() { echo "== $*"; "$PYTHON" -m "training.pocket_next.$@"; }

step train_tokenizers                  # seconds
step train_text --minutes 7            # CLIP and T5, frozen afterwards
step train_chat --minutes 21           # the refiner
step train_image_vae --minutes 13
step train_image --minutes 48          # FLUX transformer
step inflate_vae                       # seconds: the video autoencoder is the image autoencoder, inflated
step folders                           # model_index.json, schedulers, the shared T5
step clips --count 1600                # latents of clips, 6 minutes
step train_video --minutes 35          # CogVideoX transformer
step fit_previews                      # latent to colour, for live previews
