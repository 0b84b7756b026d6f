"""Tiny models of the real classes, randomly initialised: what a test of anything with weights stands on.

Every builder seeds itself, so that two calls give equal weights. `folder` saves a base as a user would have it.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from peft import LoraConfig, get_peft_model_state_dict
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

PX = 32
"""Side of the pictures the tiny models are made for."""
WIDTH = 32
"""Width of the tiny text encoder."""
WIDTH_2 = 48
"""Width of the second, where there are two: single files tell them apart by it."""
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
MERGES = (("s", "c"), ("sc", "r"), ("a", "t"), ("d", "e"))


def _byte_letters() -> list[str]:
    """The letters that byte-level BPE writes the 256 bytes with."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [*map(chr, shown), *(chr(256 + number) for number in range(len(hidden)))]


def save_tokenizer(folder: Path, pad: str = "<|endoftext|>") -> None:
    """A whole byte-level vocabulary with four merges: any text is tokens."""
    letters = _byte_letters()
    words = [*letters, *(f"{one}</w>" for one in letters), *("".join(pair) for pair in MERGES)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in MERGES), ""])
    (folder / "merges.txt").write_text(merges)
    made = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77, pad_token=pad)
    made.save_pretrained(folder)


def text_encoder(*, projection: bool = False, width: int = WIDTH, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    last = 2 * 256 + len(MERGES) + 1
    config = CLIPTextConfig(
        vocab_size=last + 1,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=last - 1,
        eos_token_id=last,
        pad_token_id=last,
        projection_dim=width,
        **more,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def unet(in_channels: int = 4, *, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=PX // 2,
        in_channels=in_channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **{"cross_attention_dim": WIDTH, "attention_head_dim": 8, **more},
    ).eval()


def vae(*, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    return diffusers.AutoencoderKL(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        sample_size=PX,
        **{"latent_channels": 4, **more},
    ).eval()


def scheduler(**more: Any) -> Any:
    """SD's own noise schedule."""
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return diffusers.DDIMScheduler(**betas, clip_sample=False, set_alpha_to_one=False, steps_offset=1, **more)


@cache
def tokenizer(folder: Path) -> Any:
    return CLIPTokenizer.from_pretrained(folder)


def stable_diffusion(
    folder: Path, *, in_channels: int = 4, prediction: str = "epsilon", seed: int = 0, **more: Any
) -> Path:
    """SD1.5 (4 channels), SD1.5-inpaint (9) or SD2 (v_prediction) as a diffusers folder. `more` is for its UNet."""
    save_tokenizer(folder / "tokenizer")
    made = diffusers.StableDiffusionPipeline(
        vae=vae(seed=seed),
        text_encoder=text_encoder(seed=seed),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=unet(in_channels, seed=seed, **more),
        scheduler=scheduler(prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.save_pretrained(folder)
    return folder


def sdxl(folder: Path, *, in_channels: int = 4, force_zeros: bool = True, seed: int = 0) -> Path:
    """SDXL (4 channels) or its inpainting edition (9) as a diffusers folder."""
    save_tokenizer(folder / "tokenizer")
    save_tokenizer(folder / "tokenizer_2", pad="!")
    sizes = 6 * 8
    made = diffusers.StableDiffusionXLPipeline(
        vae=vae(seed=seed, scaling_factor=0.13025, force_upcast=True),
        text_encoder=text_encoder(seed=seed),
        text_encoder_2=text_encoder(projection=True, width=WIDTH_2, seed=seed + 1, hidden_act="gelu"),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        unet=unet(
            in_channels,
            seed=seed,
            cross_attention_dim=WIDTH + WIDTH_2,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=sizes + WIDTH_2,
            transformer_layers_per_block=(1, 2),
            use_linear_projection=True,
        ),
        scheduler=scheduler(),
        force_zeros_for_empty_prompt=force_zeros,
        add_watermarker=False,
    )
    made.save_pretrained(folder)
    return folder


def t5(width: int, *, seed: int = 0) -> tuple[Any, Any]:
    """A T5 over letters: its tokenizer and its encoder."""
    torch.manual_seed(seed)
    letters = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", -2.0),
        ("▁", -2.5),
        *((chr(one), -3.0) for one in range(33, 127)),
    ]
    speaks = T5TokenizerFast(vocab=letters, extra_ids=0, model_max_length=77)
    config = T5Config(
        vocab_size=len(letters),
        d_model=width,
        d_ff=37,
        d_kv=8,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return speaks, T5EncoderModel(config).eval()


def sd3_transformer(in_channels: int = 16, *, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    return diffusers.SD3Transformer2DModel(
        sample_size=PX // 2,
        patch_size=2,
        in_channels=in_channels,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=WIDTH + WIDTH_2 + 16,
        caption_projection_dim=32,
        pooled_projection_dim=WIDTH + WIDTH_2,
        out_channels=16,
        pos_embed_max_size=PX // 2,
        **more,
    ).eval()


def sd3(folder: Path, *, in_channels: int = 16, t5_too: bool = True, seed: int = 0, **more: Any) -> Path:
    """SD3 as a diffusers folder. diffusers inpaints with 16 channels (its usual) or 33, no others."""
    save_tokenizer(folder / "tokenizer")
    save_tokenizer(folder / "tokenizer_2", pad="!")
    tokenizer_3, text_encoder_3 = t5(WIDTH + WIDTH_2 + 16, seed=seed) if t5_too else (None, None)
    first = text_encoder(projection=True, seed=seed)
    with torch.no_grad():
        first.text_projection.weight.copy_(torch.eye(WIDTH))  # SD3's own: single files do not bring it
    made = diffusers.StableDiffusion3Pipeline(
        vae=vae(
            seed=seed,
            latent_channels=16,
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=first,
        text_encoder_2=text_encoder(projection=True, width=WIDTH_2, seed=seed + 1, hidden_act="gelu"),
        text_encoder_3=text_encoder_3,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        tokenizer_2=CLIPTokenizer.from_pretrained(folder / "tokenizer_2"),
        tokenizer_3=tokenizer_3,
        transformer=sd3_transformer(in_channels, seed=seed, **more),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    made.save_pretrained(folder)
    return folder


def control_net(denoiser: Any, *, seed: int = 0, **more: Any) -> Any:
    """A control net for a UNet or transformer of these, whose every answer counts: none of its layers is zero."""
    torch.manual_seed(seed)
    if isinstance(denoiser, diffusers.UNet2DConditionModel):
        small = {"conditioning_embedding_out_channels": (16, 32), "load_weights_from_unet": False, **more}
        if denoiser.config.in_channels == 9:
            denoiser = diffusers.UNet2DConditionModel.from_config({**denoiser.config, "in_channels": 4})
        made = diffusers.ControlNetModel.from_unet(denoiser, **small)
    elif isinstance(denoiser, diffusers.SD3Transformer2DModel):
        config = {**denoiser.config, "num_layers": 1, "extra_conditioning_channels": 0, **more}
        made = diffusers.SD3ControlNetModel.from_config(config)
    else:
        made = diffusers.FluxControlNetModel.from_config({**denoiser.config, "guidance_embeds": False, **more})
    with torch.no_grad():
        for name, one in made.named_parameters():
            if name.startswith(("controlnet_", "pos_embed_input")):
                one.normal_(0, 0.2)
    return made.eval()


def lora(model: Any, seed: int = 0, **more: Any) -> dict[str, torch.Tensor]:
    """The raw tensors of a LoRA with something in both halves."""
    model.add_adapter(LoraConfig(**{"r": 4, "lora_alpha": 4, "target_modules": TARGETS, **more}))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return {name: one.clone() for name, one in get_peft_model_state_dict(model).items()}
