"""The same transformer in PyTorch, as a careful user writes it: fused projections, fused attention."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mdmjax import TransformerConfig


class Block(nn.Module):
    def __init__(self, c: TransformerConfig):
        super().__init__()
        self.heads = c.heads
        self.attention_norm = nn.RMSNorm(c.width, eps=c.norm_epsilon)
        self.qkv = nn.Linear(c.width, 3 * c.width, bias=False)
        self.out = nn.Linear(c.width, c.width, bias=False)
        self.mlp_norm = nn.RMSNorm(c.width, eps=c.norm_epsilon)
        self.gate_up = nn.Linear(c.width, 2 * c.hidden, bias=False)
        self.down = nn.Linear(c.hidden, c.width, bias=False)

    def forward(self, x, cos, sin):
        batch, n, width = x.shape
        parts = self.qkv(self.attention_norm(x)).view(batch, n, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(turned(query, cos, sin), turned(key, cos, sin), value)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, n, width))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Network(nn.Module):
    def __init__(self, c: TransformerConfig, weights: dict[str, np.ndarray]):
        super().__init__()
        self.embedding = nn.Embedding(c.q + 1, c.width)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        self.norm = nn.RMSNorm(c.width, eps=c.norm_epsilon)
        self.head = nn.Linear(c.width, c.q, bias=False)
        size = c.width // c.heads
        angles = np.arange(c.n)[:, None] * c.rotary_base ** (-np.arange(0, size, 2) / size)[None]
        angles = np.concatenate([angles, angles], axis=1)
        self.register_buffer("cos", torch.tensor(np.cos(angles), dtype=torch.float32))
        self.register_buffer("sin", torch.tensor(np.sin(angles), dtype=torch.float32))
        self.load_state_dict(renamed(weights, c.depth), strict=False)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos.to(x.dtype), self.sin.to(x.dtype))
        return self.head(self.norm(x))


def turned(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


def renamed(weights: dict[str, np.ndarray], depth: int) -> dict[str, torch.Tensor]:
    """The weights of a safetensors file under the names above."""
    found = {
        "embedding.weight": weights["model.embed_tokens.weight"],
        "norm.weight": weights["model.norm.weight"],
        "head.weight": weights["lm_head.weight"],
    }
    for i in range(depth):
        theirs, ours = f"model.layers.{i}.", f"blocks.{i}."
        found |= {
            ours + "attention_norm.weight": weights[theirs + "input_layernorm.weight"],
            ours + "mlp_norm.weight": weights[theirs + "post_attention_layernorm.weight"],
            ours + "out.weight": weights[theirs + "self_attn.o_proj.weight"],
            ours + "down.weight": weights[theirs + "mlp.down_proj.weight"],
            ours + "qkv.weight": np.concatenate(
                [weights[f"{theirs}self_attn.{x}_proj.weight"] for x in "qkv"]
            ),
            ours + "gate_up.weight": np.concatenate(
                [weights[f"{theirs}mlp.{x}_proj.weight"] for x in ("gate", "up")]
            ),
        }
    return {name: torch.tensor(np.array(value)) for name, value in found.items()}


def trainer(network: Network, tokens: np.ndarray, masks: np.ndarray, weights: np.ndarray, half: bool):
    """A function that takes one step on a batch: loss, gradient, clipping to norm 1, AdamW."""
    device = next(network.parameters()).device
    q = network.head.out_features
    tokens, masks, weights = (torch.tensor(x, device=device) for x in (tokens, masks, weights))
    hidden = torch.where(masks, q, tokens)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01, fused=True)

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = network(hidden)
        losses = F.cross_entropy(logits.float().view(-1, q), tokens.view(-1), reduction="none")
        loss = (losses.view(masks.shape) * weights).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        return loss.detach()

    return step


@torch.inference_mode()
def decode(network: Network, batch: int, n: int, counts: list[int], half: bool) -> torch.Tensor:
    """Random-order decoding: at each step `count` masked positions, uniformly chosen, drawn at once."""
    device = next(network.parameters()).device
    q = network.head.out_features
    tokens = torch.full((batch, n), q, device=device)
    places = torch.rand(batch, n, device=device).argsort(1).argsort(1)
    done = 0
    for count in counts:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = network(tokens)
        probs = logits.float().softmax(-1)
        drawn = torch.multinomial(probs.view(-1, q), 1).view(batch, n)
        chosen = (places >= done) & (places < done + count)
        tokens = torch.where(chosen, drawn, tokens)
        done += count
    return tokens
