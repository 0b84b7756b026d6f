"""Stable Diffusion 3 and 3.5: a transformer that follows a flow, and up to three text encoders."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.core.errors import BadInput
from pipelines.parts.family import Residuals, Task, Text
from pipelines.parts.flowing import Flowing
from pipelines.parts.sdxl import penultimate
from pipelines.parts.stable_diffusion import check_beside, tokens

T5_TOKENS = 256
"""How many tokens of a prompt T5 reads: what SD3 was trained with."""


class StableDiffusion3(Flowing):
    """An opened SD3 (arXiv 2403.03206)."""

    denoiser_part = "transformer"
    usual_scheduler = "flow-euler"
    parts = ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
    optional = ("text_encoder_3",)
    tokenizers = ("tokenizer", "tokenizer_2", "tokenizer_3")
    pipelines: Mapping[Task, str] = {
        "text": "StableDiffusion3Pipeline",
        "image": "StableDiffusion3Img2ImgPipeline",
        "inpaint": "StableDiffusion3InpaintPipeline",
    }

    @property
    def transformer(self) -> Any:
        return self.held["transformer"]

    @property
    def inpaints(self) -> bool:
        """It takes latents, a mask and the masked picture's latents: 16 + 1 + 16 channels."""
        return int(self.transformer.config.in_channels) == 2 * int(self.vae.config.latent_channels) + 1

    @property
    def side_px(self) -> int:
        """The transformer takes latents in patches, so that a picture is whole patches."""
        return self.cell_px * int(self.transformer.config.patch_size)

    def encode_prompt(self, prompts: Sequence[str], *, clip_skip: int = 0) -> Text:
        """`prompt_embeds` [B, 77 + 256, width], CLIP's tokens before T5's, and `pooled_prompt_embeds` of both CLIPs.

        Without T5 its tokens are zeros: prompts of more than a few words are then followed less closely.
        """
        found = [
            penultimate(self.held[part], tokens(self.spoken[tokenizer], prompts, self.device), clip_skip)
            for part, tokenizer in (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
        ]
        clip = torch.cat([layer for layer, _ in found], dim=-1)
        long = self._long(prompts).to(clip)
        clip = F.pad(clip, (0, long.shape[-1] - clip.shape[-1]))
        return {
            "prompt_embeds": torch.cat([clip, long], dim=-2),
            "pooled_prompt_embeds": torch.cat([pooled for _, pooled in found], dim=-1),
        }

    @torch.no_grad()
    def _long(self, prompts: Sequence[str]) -> Tensor:
        """What T5 makes of the prompts [B, 256, width]."""
        if "text_encoder_3" not in self.held:
            width = int(self.transformer.config.joint_attention_dim)
            return torch.zeros(len(prompts), T5_TOKENS, width, device=self.device)
        ids = tokens(self.spoken["tokenizer_3"], prompts, self.device, T5_TOKENS)
        return self.held["text_encoder_3"](ids)[0]

    def predict(self, noisy: Tensor, timesteps: Tensor, text: Text, beside: Tensor | None = None) -> Tensor:
        check_beside(self, beside)
        given = noisy if beside is None else torch.cat([noisy, beside], dim=1)
        return self.transformer(
            hidden_states=given,
            timestep=timesteps,
            encoder_hidden_states=text["prompt_embeds"],
            pooled_projections=text["pooled_prompt_embeds"],
        ).sample

    def hinted(self, net: Any, maps: Tensor) -> Tensor:
        """Latents of the maps. Nets that were taught without pooled text were taught without the shift, too."""
        if net.config.extra_conditioning_channels:
            raise BadInput(
                f"a control net of {self.name} reads {net.config.extra_conditioning_channels} channels more than a map:"
                " it paints into masks by itself; take one that reads a map alone",
                "conditions",
            )
        latents = self.encode_image(maps * 2 - 1).mode()
        if net.config.force_zeros_for_pooled_projection:
            return latents * self.vae.config.scaling_factor
        return self.scaled(latents)

    def residuals(
        self, net: Any, hint: Tensor, mode: int | None, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> Residuals:
        pooled, noisy = named["pooled_projections"], named["hidden_states"][:, : net.config.in_channels]
        (found,) = net(
            hidden_states=noisy if net.pos_embed is not None else self.transformer.pos_embed(noisy),
            timestep=named["timestep"],
            encoder_hidden_states=named["encoder_hidden_states"] if net.config.joint_attention_dim else None,
            pooled_projections=torch.zeros_like(pooled) if net.config.force_zeros_for_pooled_projection else pooled,
            controlnet_cond=hint,
            return_dict=False,
        )
        return {"block_controlnet_hidden_states": list(found)}

    def components(self) -> dict[str, Any]:
        return {"text_encoder_3": None, "tokenizer_3": None, **super().components()}
