#!/bin/sh
# Train all of pocket, in order: on one GPU, or on CPU cores overnight. Minutes count only what a
# training itself computes: of the GPU, or of all cores together, so that two trainings can run side by side.
# Every step is resumable: run the script again after an interruption and it goes on where it stopped.
# POCKET_FOLDER and POCKET_RUNS say where models and checkpoints go; without them, over the ones that ship.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
step() { echo "== $*"; "$PYTHON" -m "training.pocket.$@"; }

if "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    workers=$(nproc)
    text="--minutes 4" chat="--minutes 4 --batch 64 --workers 6"
    image_vae="--minutes 2 --batch 64 --clips 900" image="--minutes 2 --batch 192 --stills 30000 --wordings 2"
    clips=16000 video="--minutes 2.5 --batch 64"
else
    workers=1
    text="--minutes 8" chat="--minutes 21" image_vae="--minutes 18" image="--minutes 180" clips=1800 video="--minutes 200"
fi
step train_tokenizers                                # seconds
step train_text $text                                # CLIP and T5, frozen afterwards
step train_chat $chat                                # the refiner
step train_image_vae $image_vae --workers "$workers"
step train_image $image --workers "$workers"         # FLUX transformer
step inflate_vae                                     # seconds: the video autoencoder, out of the image autoencoder
step folders                                         # model_index.json, schedulers, the shared T5
step clips --count $clips --workers "$workers"       # latents of clips
step train_video $video                              # CogVideoX transformer
step fit_previews                                    # latent to colour, for live previews
