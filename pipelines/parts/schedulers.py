"""The samplers a request can name: diffusers' own, each made anew for a run. Knows names and settings.

A scheduler keeps state between steps, so two runs never share one.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.core.errors import BadInput

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "unipc": ("UniPCMultistepScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {}),
    "dpm++2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpm++2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
    "flow-euler": ("FlowMatchEulerDiscreteScheduler", {}),
}
"""Name -> class in diffusers, and what of it is set beside the base's own settings."""

SCHEDULE = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
    "steps_offset",
)
"""What a base was trained with. Said to each class outright: `from_config` drops what its source held by default."""

ZERO_SNR = ("unipc", "dpm++2m", "dpm++2m-karras", "dpm++2m-sde", "ddim", "ddpm", "euler", "euler-a", "lcm", "tcd")
"""Those that follow a schedule whose last step is pure noise (arXiv 2305.08891)."""

FLOWS = ("flow-euler", "unipc", "dpm++2m")
"""Those that follow a flow from noise to picture (arXiv 2210.02747), as SD3 and FLUX do; the first only that."""


def make(name: str, config: Mapping[str, Any], *, noises: bool = False) -> Any:
    """A scheduler of that name over a base's own noise schedule. Raises BadInput.

    `config` is the base's scheduler configuration: betas, prediction type, zero terminal SNR, shift carry over. Where
    the base does not say how steps are spaced, they are spaced as SD's always were: each class has a default of its
    own. `noises` says that the pipeline begins with a picture, which the scheduler noises.
    """
    import diffusers

    if name not in SCHEDULERS:
        raise BadInput(f"no scheduler {name!r}; choose one of {', '.join(SCHEDULERS)}", "scheduler")
    if flows(config):
        return _flowing(name, config, noises)
    if name == "flow-euler":
        fitting = ", ".join(one for one in SCHEDULERS if one != name)
        raise BadInput(
            f"scheduler {name} is for SD3 and FLUX, and this base does not flow; choose one of {fitting}", "scheduler"
        )
    if config.get("rescale_betas_zero_snr") and name not in ZERO_SNR:
        fitting = ", ".join(ZERO_SNR)
        raise BadInput(
            f"scheduler {name} cannot begin at pure noise, as this base does; choose one of {fitting}", "scheduler"
        )
    cls, more = SCHEDULERS[name]
    spacing = "trailing" if config.get("rescale_betas_zero_snr") else config.get("timestep_spacing", "leading")
    trained = {key: config[key] for key in SCHEDULE if config.get(key) is not None}
    return getattr(diffusers, cls).from_config(dict(config), **trained, timestep_spacing=spacing, **more)


def flows(config: Mapping[str, Any]) -> bool:
    """Whether a base was trained to follow a flow, by its scheduler configuration."""
    return "FlowMatch" in str(config.get("_class_name")) or config.get("prediction_type") == "flow_prediction"


def _flowing(name: str, config: Mapping[str, Any], noises: bool) -> Any:
    import diffusers

    # diffusers' pipelines noise a picture by `scale_noise`, which the solvers made for noise do not have.
    fitting = FLOWS[:1] if noises else FLOWS
    if name not in fitting:
        if name in FLOWS:
            raise BadInput(
                f"scheduler {name} cannot begin with a picture on a base that flows; choose {fitting[0]}", "scheduler"
            )
        raise BadInput(
            f"scheduler {name} takes noise away, and this base flows; choose one of {', '.join(fitting)}", "scheduler"
        )
    cls = getattr(diffusers, SCHEDULERS[name][0])
    shift = config.get("shift", config.get("flow_shift", 1.0))
    if name == "flow-euler":
        return cls.from_config(dict(config), shift=shift)
    return cls.from_config(dict(config), use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=shift)
