#!/bin/sh
# Train all of pocket, in order: on one GPU, or on two CPU cores overnight, two trainings side by side (one core takes twice
# as long, and more are not used). Minutes count only what a training itself computes, of the GPU or of its core.
# Every step is resumable: run the script again after an interruption and it goes on where it stopped.
# POCKET_FOLDER and POCKET_RUNS say where models and checkpoints go; without them, over the ones that ship.
# SHARE=0.01 rehearses it: every step really runs, from an empty folder, for that share of its minutes and pictures.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
of() { awk "BEGIN { print $1 * ${SHARE:-1} }"; }
count() { awk "BEGIN { print int($1 * ${SHARE:-1}) }"; }
# What runs: the step in front, and one that goes on beside it until `join`. Both end with the script, and save then.
front="" beside=""
step() {
    echo "== $*"
    "$PYTHON" -m "training.pocket.$@" & front=$!
    wait "$front"
    front=""
}
begin() {
    [ "$cores" -gt 1 ] || { step "$@"; return; } # without a core for it, now
    echo "== $*"
    "$PYTHON" -m "training.pocket.$@" & beside=$!
}
join() { [ -z "$beside" ] || wait "$beside"; beside=""; }
end() {
    status=$?
    trap - EXIT
    for one in $front $beside; do kill "$one" 2> /dev/null || :; done
    wait
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

if "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    cores=1 workers=$(nproc) # one GPU is one lane
    text="--minutes $(of 4)" chat="--minutes $(of 4) --batch 64 --workers 6"
    image_vae="--minutes $(of 2) --batch 64 --clips $(count 900)"
    image="--minutes $(of 2) --batch 192 --stills $(count 30000) --wordings 2"
    clips=$(count 16000) video="--minutes $(of 2.5) --batch 64"
else
    cores=$(OMP_NUM_THREADS="" nproc) workers=1
    text="--minutes $(of 10)" chat="--minutes $(of 90)" image_vae="--minutes $(of 60) --clips $(count 600)"
    image="--minutes $(of 330) --stills $(count 12000)" clips=$(count 3600) video="--minutes $(of 330)"
fi
step train_tokenizers                                # seconds
step train_text $text                                # CLIP and T5, frozen afterwards
begin train_chat $chat                               # the refiner
step train_image_vae $image_vae --workers "$workers"
join
step inflate_vae                                     # seconds: the video autoencoder, out of the image autoencoder
step folders                                         # model_index.json, schedulers, the shared T5
begin train_image $image --workers "$workers"        # FLUX transformer
step clips --count "$clips" --workers "$workers"     # latents of clips
step train_video $video                              # CogVideoX transformer
join
step fit_previews                                    # latent to colour, for live previews
