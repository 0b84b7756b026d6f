"""Every sampler a request can name runs over a base's schedule, and none shares its state."""

from typing import get_args

import pytest
import torch

from pipelines.core.errors import BadInput
from pipelines.core.requests.diffusion import Scheduler
from pipelines.parts.schedulers import SCHEDULERS, ZERO_SNR, make
from tests import tiny

PLAIN = dict(tiny.scheduler().config)
ZERO = {**PLAIN, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}


def test_a_request_can_name_each_of_them() -> None:
    assert set(get_args(Scheduler)) == set(SCHEDULERS)


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name != "flow-euler"])
@pytest.mark.parametrize("config", [PLAIN, ZERO], ids=["plain", "zero-snr"])
def test_it_runs_and_keeps_the_bases_schedule(name: str, config: dict[str, object]) -> None:
    if config is ZERO and name not in ZERO_SNR:
        with pytest.raises(BadInput, match=f"scheduler {name.replace('+', '.')} cannot begin at pure noise"):
            make(name, config)
        return
    made = make(name, config)
    made.set_timesteps(6)
    assert made.config.prediction_type == config["prediction_type"]
    assert made.config.beta_start == config["beta_start"]
    torch.manual_seed(0)
    sample = torch.randn(1, 4, 4, 4) * made.init_noise_sigma
    for step in made.timesteps:
        scaled = made.scale_model_input(sample, step)
        sample = made.step(0.1 * scaled, step, sample).prev_sample
    assert torch.isfinite(sample).all()


def test_two_runs_have_two_schedulers() -> None:
    first, second = make("unipc", PLAIN), make("unipc", PLAIN)
    first.set_timesteps(4)
    assert first is not second
    assert second.num_inference_steps is None


def test_steps_are_spaced_as_the_base_says() -> None:
    assert make("euler", PLAIN).config.timestep_spacing == "leading"
    assert make("euler", {**PLAIN, "timestep_spacing": "linspace"}).config.timestep_spacing == "linspace"
    assert make("ddim", ZERO).config.timestep_spacing == "trailing"


def test_a_scheduler_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="no scheduler 'fast'; choose one of unipc"):
        make("fast", PLAIN)
