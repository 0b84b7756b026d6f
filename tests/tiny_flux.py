"""Tiny FLUX of the real classes, randomly initialised, with tokenizers built here. Beside tests/tiny."""

import json
import re
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor
from transformers import (
    CLIPTokenizer,
    Mistral3Config,
    Mistral3ForConditionalGeneration,
    PixtralImageProcessor,
    PixtralProcessor,
    PreTrainedTokenizerFast,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from pipelines.parts.family import Family, Task
from pipelines.parts.sampling import Ask
from tests import tiny

PX = 32
TOKENS = 16
"""Tokens of text the tiny tokenizers keep."""
CHAT = "{% for one in messages %}{% if one['content'] is string %}{{ one['content'] }}{% else %}{% for part in one['content'] %}{{ part['text'] }}{% endfor %}{% endif %}{% endfor %}"  # noqa: E501
LATENTS = 4
CELL = 2
HEADS = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2}


def ask(base: Family, task: Task, count: int, **more: Any) -> Ask:
    """What differs in everything that may from picture to picture: prompt, seed, guidance, picture, mask."""
    px = 64 if task == "edit" else PX
    own: dict[str, Any] = {
        "prompts": ["a scratch", "a deep dent", "b", "c"][:count],
        "seeds": [3, 14, 15, 92][:count],
        "scales": [1.0] * count if base.guides == "not" else [1.0, 3.5, 2.0, 6.0][:count],
        "size": (px, px),
        "steps": 3,
    }
    if task != "text":
        own["images"] = torch.rand(4, 3, px, px, generator=torch.Generator().manual_seed(1))[:count]
    if task in ("image", "inpaint"):
        own["strength"] = 0.7
    if task == "inpaint":
        own["masks"] = masks(count)
    return Ask(task, **{**own, **more})


def masks(count: int) -> Tensor:
    """One pixel alone, one in the corner, a stroke along the border, and a plain box."""
    found = torch.zeros(4, 1, PX, PX, dtype=torch.bool)
    found[0, 0, 13, 6] = True
    found[1, 0, PX - 1, PX - 1] = True
    found[2, 0, 0, :] = True
    found[3, 0, 8:20, 10:26] = True
    return found[:count]


def schedule(**more: Any) -> Any:
    """dev's and klein's; `use_dynamic_shifting=False` is schnell's."""
    shifts = {"base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096}
    return diffusers.FlowMatchEulerDiscreteScheduler(
        **{"num_train_timesteps": 1000, "shift": 3.0, "use_dynamic_shifting": True, **shifts, **more}
    )


def transformer(*, fill: bool = False, told: bool = True, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    packed = LATENTS * 4
    made = diffusers.FluxTransformer2DModel(
        **{
            "in_channels": 2 * packed + 4 * CELL**2 if fill else packed,
            "out_channels": packed,
            "joint_attention_dim": 32,
            "pooled_projection_dim": tiny.WIDTH,
            "axes_dims_rope": (4, 4, 8),
            "guidance_embeds": told,
            **HEADS,
            **more,
        },
    ).eval()
    return _attentive(made)


def _attentive(made: Any) -> Any:
    """Random weights hardly hear text and strength of guidance: these hear them well, so that a mix-up shows."""
    with torch.no_grad():
        for name, one in made.named_parameters():
            if name.endswith("weight") and re.match("context_embedder|time_text_embed|time_guidance_embed", name):
                one.mul_(6)
    return made


def vae(*, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return diffusers.AutoencoderKL(
        block_out_channels=[32, 64],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=LATENTS,
        sample_size=PX,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1,
        scaling_factor=0.4,
    ).eval()


def t5(*, seed: int = 0) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    letters = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), *((chr(code), -3.0) for code in range(32, 127))]
    speaks = T5TokenizerFast(vocab=[*letters, ("▁", -2.5)], extra_ids=0, model_max_length=TOKENS)
    config = T5Config(
        vocab_size=len(letters) + 1,
        d_model=32,
        d_ff=37,
        d_kv=8,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
    )
    return speaks, T5EncoderModel(config).eval()


def flux(folder: Path, *, kind: str = "dev", seed: int = 0) -> Path:
    """A diffusers folder of FLUX.1: `dev`, `schnell`, `fill` or `kontext`."""
    tiny.save_tokenizer(folder / "tokenizer")
    tokenizer_2, text_encoder_2 = t5(seed=seed)
    cls = {"fill": diffusers.FluxFillPipeline, "kontext": diffusers.FluxKontextPipeline}.get(
        kind, diffusers.FluxPipeline
    )
    cls(
        transformer=transformer(fill=kind == "fill", told=kind != "schnell", seed=seed),
        vae=vae(seed=seed),
        text_encoder=tiny.text_encoder(seed=seed),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder_2=text_encoder_2,
        tokenizer_2=tokenizer_2,
        scheduler=schedule(use_dynamic_shifting=kind != "schnell"),
    ).save_pretrained(folder)
    return folder


def transformer_2(*, told: bool = True, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    made = diffusers.Flux2Transformer2DModel(
        in_channels=LATENTS * 4,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=32,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=told,
        **HEADS,
    ).eval()
    return _attentive(made)


def vae_2(*, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    made = diffusers.AutoencoderKLFlux2(
        block_out_channels=(32, 64),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        latent_channels=LATENTS,
        sample_size=PX * 4,
    ).eval()
    made.bn.running_mean.copy_(0.3 * torch.randn(LATENTS * 4))
    made.bn.running_var.copy_(0.5 + torch.rand(LATENTS * 4))
    return made


def _byte_level(folder: Path, *extra: str) -> dict[str, int]:
    """vocab.json and merges.txt of a byte-level vocabulary without merges."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {word: place for place, word in enumerate([*tiny._byte_letters(), *extra])}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return words


def qwen(folder: Path, *, seed: int = 0) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    words = _byte_level(folder, "<|endoftext|>")
    speaks = Qwen2TokenizerFast(vocab=words, merges=[], model_max_length=TOKENS, chat_template=CHAT)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=len(words) - 1,
        bos_token_id=len(words) - 1,
        eos_token_id=len(words) - 1,
    )
    return speaks, Qwen3ForCausalLM(config).eval()


def mistral(folder: Path, *, seed: int = 0) -> tuple[Any, Any]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    torch.manual_seed(seed)
    special = ("<unk>", "<s>", "</s>", "<pad>", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
    words = _byte_level(folder, *special)
    inner = Tokenizer(models.BPE(vocab=words, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    speaks = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=list(special[4:]),
        model_max_length=256,  # what stands before every prompt is nearly as long
        padding_side="left",
    )
    processor = PixtralProcessor(PixtralImageProcessor(patch_size=4), speaks, patch_size=4, chat_template=CHAT)
    text = {
        "model_type": "mistral",
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    sight = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 4,
    }
    config = Mistral3Config(text_config=text, vision_config=sight, image_token_index=words["[IMG]"])
    return processor, Mistral3ForConditionalGeneration(config).eval()


def flux2(folder: Path, *, kind: str = "dev", seed: int = 0) -> Path:
    """A diffusers folder of FLUX.2: `dev`, `klein` (distilled) or `klein-base`."""
    tokenizer, text_encoder = (mistral if kind == "dev" else qwen)(folder / "letters", seed=seed)
    parts = {
        "transformer": transformer_2(told=kind == "dev", seed=seed),
        "vae": vae_2(seed=seed),
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "scheduler": schedule(),
    }
    if kind == "dev":
        diffusers.Flux2Pipeline(**parts).save_pretrained(folder)
    else:
        diffusers.Flux2KleinPipeline(**parts, is_distilled=kind == "klein").save_pretrained(folder)
    return folder


def as_published(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A FLUX.1 transformer's tensors as its authors name them: one double and one single block, fused matrices."""
    rest = dict(tensors)
    found: dict[str, Tensor] = {}

    def take(theirs: str, *ours: str, turned: bool = False) -> None:
        for kind in ("weight", "bias"):
            if f"{ours[0]}.{kind}" not in rest:
                continue
            pieces = [rest.pop(f"{name}.{kind}") for name in ours]
            whole = torch.cat(pieces) if not turned else torch.cat(pieces[0].chunk(2)[::-1])
            found[f"{theirs}.{'scale' if '_norm' in theirs else kind}"] = whole

    double, single = "transformer_blocks.0", "single_transformer_blocks.0"
    for side, add, ff, norm in (("img", "", "ff", "norm1"), ("txt", "added_", "ff_context", "norm1_context")):
        names = ("to_q", "to_k", "to_v") if not add else ("add_q_proj", "add_k_proj", "add_v_proj")
        block = f"double_blocks.0.{side}"
        take(f"{block}_attn.qkv", *(f"{double}.attn.{name}" for name in names))
        take(f"{block}_attn.proj", f"{double}.attn.{'to_add_out' if add else 'to_out.0'}")
        take(f"{block}_attn.norm.query_norm", f"{double}.attn.norm_{add}q")
        take(f"{block}_attn.norm.key_norm", f"{double}.attn.norm_{add}k")
        take(f"{block}_mlp.0", f"{double}.{ff}.net.0.proj")
        take(f"{block}_mlp.2", f"{double}.{ff}.net.2")
        take(f"{block}_mod.lin", f"{double}.{norm}.linear")
    fused = [f"{single}.{name}" for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
    take("single_blocks.0.linear1", *fused)
    take("single_blocks.0.linear2", f"{single}.proj_out")
    take("single_blocks.0.modulation.lin", f"{single}.norm.linear")
    take("single_blocks.0.norm.query_norm", f"{single}.attn.norm_q")
    take("single_blocks.0.norm.key_norm", f"{single}.attn.norm_k")
    take("img_in", "x_embedder")
    take("txt_in", "context_embedder")
    take("final_layer.linear", "proj_out")
    take("final_layer.adaLN_modulation.1", "norm_out.linear", turned=True)
    for theirs, ours in (("time_in", "timestep"), ("vector_in", "text"), ("guidance_in", "guidance")):
        for layer, number in (("in_layer", 1), ("out_layer", 2)):
            take(f"{theirs}.{layer}", f"time_text_embed.{ours}_embedder.linear_{number}")
    assert not rest, list(rest)
    return {name: one.contiguous() for name, one in found.items()}
