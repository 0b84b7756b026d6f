"""What every request to a diffusion base may say. Pydantic only; `procedural` reads none of it.

A field left empty follows the base: presets/bases.toml has its usual number of steps, guidance and scheduler.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipelines.core.requests.base import ADAPTER, File, Part, Request

LATER = frozenset({"adapter_scale", "prompt_noise"})
"""Came after pictures were made: left out of every request's data while they are at their default."""
MAX_PROMPT = 2000
MOST_ADAPTERS = 8

Scheduler = Literal[
    "unipc", "dpm++2m", "dpm++2m-karras", "dpm++2m-sde", "ddim", "ddpm", "euler", "euler-a", "heun", "deis", "pndm",
    "lcm", "tcd", "flow-euler",
]  # fmt: skip
Prompt = Annotated[str, Field(max_length=MAX_PROMPT)]


class AdapterUse(Part):
    """An adapter file (LoRA, DoRA, textual inversion), and how much of it."""

    path: File = Field(
        min_length=1,
        json_schema_extra=ADAPTER,
        description="The adapter file, an adapter of the library by its id, or the run that trained it",
    )
    weight: float = Field(1.0, ge=-2, le=2, description="How much of it: 0 is the base, 1 the adapter as trained")


class Diffusion(Request):
    """Fields of every request that a diffusion base answers."""

    unsaid: ClassVar[frozenset[str]] = frozenset()
    """Left out of the data while they are at their default: they came later, or only diffusion has them."""
    later: ClassVar[frozenset[str]] = LATER
    """Left out likewise, of every task."""
    prompt: Prompt = Field("", description="What should be seen there, in words; empty = the defect's own words")
    negative_prompt: Prompt = Field("", description="What should not be seen")
    guidance_scale: float | None = Field(
        None, ge=1, le=30, description="How strongly the prompt pulls; 1 = not at all; empty = the base's own"
    )
    guidance_rescale: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How much of the contrast that guidance adds is taken back; empty = the base's own",
    )
    guidance_start: float = Field(
        0.0, ge=0, le=1, description="Share of the steps after which the prompt begins to pull"
    )
    guidance_end: float = Field(1.0, ge=0, le=1, description="Share of the steps after which it no longer pulls")
    adapter_scale: float = Field(
        1.0,
        ge=0,
        le=3,
        description="How far from the bare base to what the adapters make of it: 0 = the base, 1 = the adapters as they"
        " are, more goes past them; other than 1 takes twice as long",
    )
    prompt_noise: float = Field(
        0.0, ge=0, le=1, description="Spread of the noise laid on the prompts, for more variety; 0 = none"
    )
    num_inference_steps: int | None = Field(
        None, ge=1, le=200, description="How many steps; more take longer and are finer; empty = the base's own"
    )
    scheduler: Scheduler | None = Field(None, description="How the steps are taken; empty = the base's own")
    clip_skip: int = Field(0, ge=0, le=11, description="How many of the text encoder's last layers are left out")
    adapters: tuple[AdapterUse, ...] = Field(
        (), max_length=MOST_ADAPTERS, description="Adapters laid over the base for this run"
    )

    @model_serializer(mode="wrap")
    def _as_data(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is left as it is: a drawn picture's metadata says nothing of diffusion."""
        data: dict[str, Any] = handler(self)
        usual = {
            name for name in self.unsaid | self.later if getattr(self, name) == type(self).model_fields[name].default
        }
        return {name: value for name, value in data.items() if name not in usual}

    @model_validator(mode="after")
    def _interval(self) -> Self:
        if self.guidance_start > self.guidance_end:
            raise ValueError(
                f"guidance_start {self.guidance_start:g} is after guidance_end {self.guidance_end:g}: swap them"
            )
        return self


DIFFUSION = frozenset(Diffusion.model_fields) - set(Request.model_fields)
"""Names of the fields only a diffusion base reads."""
