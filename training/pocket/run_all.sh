#!/bin/sh
# Train all of pocket, in order: on one GPU, or on CPU cores overnight. Minutes count only what a
# training itself computes: of the GPU, or of all cores together, so that two trainings can run side by side.
# Every step is resumable: run the script again after an interruption and it goes on where it stopped.
# POCKET_FOLDER and POCKET_RUNS say where models and checkpoints go; without them, over the ones that ship.
# SHARE=0.01 rehearses it: every step really runs, from an empty folder, for that share of its minutes and pictures.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
step() { echo "== $*"; "$PYTHON" -m "training.pocket.$@"; }
of() { awk "BEGIN { print $1 * ${SHARE:-1} }"; }
count() { awk "BEGIN { print int($1 * ${SHARE:-1}) }"; }

if "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    workers=$(nproc)
    text="--minutes $(of 4)" chat="--minutes $(of 4) --batch 64 --workers 6"
    image_vae="--minutes $(of 2) --batch 64 --clips $(count 900)"
    image="--minutes $(of 2) --batch 192 --stills $(count 30000) --wordings 2"
    clips=$(count 16000) video="--minutes $(of 2.5) --batch 64"
else
    workers=1
    text="--minutes $(of 8)" chat="--minutes $(of 21)" image_vae="--minutes $(of 18) --clips $(count 600)"
    image="--minutes $(of 180) --stills $(count 6000)" clips=$(count 1800) video="--minutes $(of 200)"
fi
step train_tokenizers                                # seconds
step train_text $text                                # CLIP and T5, frozen afterwards
step train_chat $chat                                # the refiner
step train_image_vae $image_vae --workers "$workers"
step train_image $image --workers "$workers"         # FLUX transformer
step inflate_vae                                     # seconds: the video autoencoder, out of the image autoencoder
step folders                                         # model_index.json, schedulers, the shared T5
step clips --count "$clips" --workers "$workers"     # latents of clips
step train_video $video                              # CogVideoX transformer
step fit_previews                                    # latent to colour, for live previews
