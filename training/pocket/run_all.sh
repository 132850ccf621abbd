#!/bin/sh
# Train everything that pocket ships, in order. Times are those of 2 CPU cores with AMX; a GPU needs a tenth.
# Every step is resumable: run the script again after an interruption and it goes on where it stopped.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
step() { echo "== $*"; "$PYTHON" -m "training.pocket.$@"; }

step train_tokenizers   #  1 min
step train_text         #  8 min  CLIP and T5, frozen afterwards
step train_chat         # 21 min  the refiner
step train_image_vae    # 18 min
step train_image --minutes 66 --stills 4000   # FLUX transformer
step train_video_vae --minutes 24                             # starts from the image autoencoder
step train_video_vae --minutes 37 --decoder-only --noise 0.4  # resumes; the latents are fixed from here
step clips --count 1200                       # latents of clips
step train_video --minutes 59                 # CogVideoX transformer
step folders            #         model_index.json, schedulers, the shared T5
step fit_previews       #         latent to colour, for live previews
