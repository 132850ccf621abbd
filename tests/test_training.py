"""What every pocket training relies on: the optimiser, the inflation, resuming, and export in the stock format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.pocket import common, inflate_vae, train_image_vae, train_video, world
from training.pocket.footage import filmed, sampled
from training.pocket.muon import Muon, orthogonalised
from training.pocket.pictures import Pictures


@pytest.mark.parametrize("shape", [(1, 8, 32), (3, 32, 8), (2, 16, 16)])
def test_orthogonalised_updates_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
    assert float(values.min()) > 0.4 and float(values.max()) < 1.5


def test_muon_learns_a_linear_map_and_its_state_goes_on() -> None:
    torch.manual_seed(0)
    model, x = torch.nn.Linear(8, 8), torch.randn(64, 8)
    target, optimiser = x.flip(1), Muon(dict(model.named_parameters()), 0.05)
    losses = []
    for step in range(60):
        if step == 30:
            state = optimiser.state_dict()
            optimiser = Muon(dict(model.named_parameters()), 0.05)
            optimiser.load_state_dict(state)
        optimiser.set_rate(0.05 * (1 - step / 60))  # the rate falls, as in every training
        loss = (model(x) - target).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]
    assert losses[31] < losses[28]


def test_a_learner_learns_as_single_updates_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "RUNS", tmp_path)
    monkeypatch.setattr(common.signal, "signal", lambda *_: None)
    runs = []
    for name in ("one by one", "learner"):
        torch.manual_seed(0)
        options = common.parser(None, name, minutes=10, lr=0.01).parse_args([])
        runs.append(common.Run(options, torch.nn.Linear(4, 4)))
    x = torch.randn(2, 4)
    single, whole = runs
    learn = whole.learner(lambda: whole.model(x).square().mean())
    for run in runs:
        run.optimiser.set_rate(0.01)
    for _ in range(3):
        single.update(single.model(x).square().mean())
        learn()
    assert whole.step == 3
    assert torch.equal(single.model.weight, whole.model.weight) and torch.equal(single.ema.weight, whole.ema.weight)


def test_footage_is_what_the_world_draws_in_the_order_of_its_scenarios() -> None:
    scenarios = sampled(3, 50)
    parts = list(filmed(scenarios, 1))
    assert [len(part.frames) for part in parts] == [40, 10]
    for n in (0, 49):
        part = parts[n // 40]
        assert np.array_equal(part.frames[n % 40, 0], world.still(scenarios[n]))
        assert np.array_equal(part.masks[n % 40, 0], world.mask(scenarios[n], 0))


def test_crops_are_pieces_of_pictures_and_most_hold_the_subject() -> None:
    torch.manual_seed(0)
    pictures = Pictures(3, 2, 1, torch.device("cpu"))
    pictures.frames[:] = 0
    for frame, (x, y) in zip(pictures.frames, pictures.centres.long(), strict=True):
        frame[y, x] = 255
    crops = pictures.crops(64)
    assert crops.shape == (64, 3, 48, 48) and pictures.whole(2).shape == (2, 3, 96, 144)
    assert float((crops.amax((1, 2, 3)) == 1).float().mean()) > 0.75


def test_inflated_video_autoencoder_equals_the_image_autoencoder_on_a_still() -> None:
    torch.manual_seed(0)
    image, video, still = train_image_vae.build(), inflate_vae.build(), torch.randn(1, 3, 32, 48)
    inflate_vae.inflate(image, video)
    with torch.no_grad():
        flat = image.encode(still).latent_dist.mean
        deep = video.encode(still[:, :, None]).latent_dist.mean
        torch.testing.assert_close(flat, deep[:, :, 0], rtol=0, atol=1e-5)
        drawn, filmed = image.decode(flat).sample, video.decode(deep).sample[:, :, 0]
        torch.testing.assert_close(drawn, filmed, rtol=0, atol=1e-4)


def test_a_run_resumes_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "RUNS", tmp_path)
    monkeypatch.setattr(common.signal, "signal", lambda *_: None)
    options = common.parser(None, "line", minutes=10, lr=0.01).parse_args([])
    torch.manual_seed(0)
    first = common.Run(options, torch.nn.Linear(4, 4))
    for _ in range(3):
        first.update(first.model(torch.randn(2, 4)).square().mean())
    first.save()
    second = common.Run(options, torch.nn.Linear(4, 4))
    assert second.step == 3
    assert torch.equal(second.model.weight, first.model.weight)
    assert torch.equal(second.ema.weight, first.ema.weight)
    assert second.elapsed >= first.before
    torch.manual_seed(7)
    still = torch.randn(2, 4)
    for run in (first, second):  # and goes on as if it had not stopped, the average too
        run.optimiser.set_rate(0.01)
        run.update(run.model(still).square().mean())
    assert torch.equal(second.model.weight, first.model.weight)
    assert torch.equal(second.ema.weight, first.ema.weight)


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"attn_mask": torch.tril(torch.ones(7, 7)).bool()}])
def test_the_trainings_attention_is_the_stock_one(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    fused = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", fused)  # put back afterwards
    query, key, value = torch.randn(3, 2, 4, 7, 16).unbind()
    wanted = fused(query, key, value, **options)
    common.plain_attention()
    torch.testing.assert_close(torch.nn.functional.scaled_dot_product_attention(query, key, value, **options), wanted)


def test_the_video_autoencoder_codes_every_frame_as_the_image_autoencoder_does() -> None:
    torch.manual_seed(0)
    image, video = train_image_vae.build(), inflate_vae.build()
    inflate_vae.inflate(image, video)
    still = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        flat = image.encode(still).latent_dist.mean
        deep = video.encode(still[:, :, None].expand(-1, -1, 5, -1, -1)).latent_dist.mean
        assert deep.shape == (1, 16, 5, 4, 6), "a latent frame a frame"
        torch.testing.assert_close(flat, deep[:, :, 0], rtol=0, atol=1e-4)
        torch.testing.assert_close(image.decode(flat).sample, video.decode(deep).sample[:, :, 0], rtol=0, atol=1e-3)


def test_from_pure_noise_the_video_objective_asks_for_the_clean_latents() -> None:
    torch.manual_seed(0)
    vae = inflate_vae.build()
    objective = train_video.Objective(train_video.build(heads=1, layers=1), vae)
    clean, still = torch.randn(1, train_video.FRAMES, 16, 12, 18), torch.randn(1, 16, 12, 18)
    told = torch.cat([clean[:, :1]] * objective.extra + [clean], 1)
    seen = []

    def knowing(hidden_states: torch.Tensor, **_: object) -> tuple[torch.Tensor]:
        seen.append(hidden_states)
        return (-told,)

    states = torch.zeros(1, 56, 128)
    assert float(objective.errors(knowing, clean, still, states, torch.tensor([999])).max()) < 1e-6
    assert float(objective.errors(knowing, clean, still, states, torch.tensor([300])).mean()) > 0.1
    assert torch.equal(seen[0][:, 0, 16:], still) and not seen[0][:, 1:, 16:].any()
