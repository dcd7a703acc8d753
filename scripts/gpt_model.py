# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The GPT that scripts/validate_step.py trains in PyTorch, on a CPU (eager_gpt.py) and on a GPU (gpu_gpt.py), and its optimizer."""
import math

import torch
import torch.nn.functional as F

from gpt_pieces import (attention, autocast, causal_mask, compiled, cross_entropy, embedding, gelu, layernorm, relative_error, residual_add,
                        unfused_attention)
from gpu_time import on_gpu

RATE, DECAY, EPSILON = 1e-4, 0.1, 1e-8  # AdamW's


def block(x, ln1, ln1_bias, qkv, out, ln2, ln2_bias, up, down, heads, mask):
    y = F.linear(layernorm(x, ln1, ln1_bias), qkv)
    y = attention(y, heads) if mask is None else unfused_attention(y, heads, mask)
    x = residual_add(x, F.linear(y, out))
    return residual_add(x, F.linear(gelu(F.linear(layernorm(x, ln2, ln2_bias), up)), down))


def head(x, norm, bias, table, targets):
    logits = F.linear(layernorm(x, norm, bias), table)
    return cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class Gpt:
    """GPT-2's architecture without dropout, biases of linear layers and tied embeddings. Compiled: each layer, and the head with the loss."""

    def __init__(self, case, dtype=torch.float32):
        width, self.case = case["width"], case

        def table(*shape):
            return (0.02 * torch.randn(*shape, device=case["device"], dtype=dtype)).requires_grad_()

        def norm():
            return [torch.ones(width, device=case["device"], dtype=dtype).requires_grad_(),
                    torch.zeros(width, device=case["device"], dtype=dtype).requires_grad_()]
        self.tokens, self.places = table(case["vocab"], width), table(case["seq"], width)
        self.layers = [[*norm(), table(3 * width, width), table(width, width), *norm(), table(4 * width, width), table(width, 4 * width)]
                       for _ in range(case["layers"])]
        self.last = [*norm(), table(case["vocab"], width)]
        self.mask = causal_mask(case)

    def parameters(self):
        return [self.tokens, self.places, *[p for layer in self.layers for p in layer], *self.last]

    def loss(self, tokens, targets):
        own = self.case["mode"] == "compiled"
        layer_of, head_of = (compiled(block), compiled(head)) if own else (block, head)
        x = embedding(self.tokens, self.places, tokens)
        for layer in self.layers:
            x = layer_of(x, *layer, self.case["heads"], self.mask)
        return head_of(x, *self.last, targets)

    def clear_gradients(self):
        for p in self.parameters():
            p.grad = None

    def pass_through(self, tokens):
        """Forward and backward; what is to be predicted are the tokens themselves."""
        with autocast(self.case):
            loss = self.loss(tokens, tokens)
        loss.backward()


def random_tokens(case, batch):
    return torch.randint(case["vocab"], (batch, case["seq"]), device=case["device"])


def gradient_error(model, tokens):
    """Of all gradients together, relative to their norm, against the same model in fp64."""
    wide = Gpt(model.case, torch.float64)
    for one, other in zip(wide.parameters(), model.parameters()):
        one.data = other.detach().double()
    wide.loss(tokens, tokens).backward()
    model.clear_gradients()
    model.pass_through(tokens)
    pairs = [(a.grad.double(), b.grad) for a, b in zip(model.parameters(), wide.parameters())]
    return math.sqrt(sum(((a - b) ** 2).sum().item() for a, b in pairs) / sum((b ** 2).sum().item() for _, b in pairs))


def adamw(case, parameters):
    ways = {case["optimizer"]: True} if on_gpu(case) else {}  # on a CPU its default: a loop over tensors
    return torch.optim.AdamW(parameters, lr=RATE, eps=EPSILON, weight_decay=DECAY, **ways)


def checked_adamw(case):
    """A step of the optimizer over the tensors of the model, to be timed, and the error of its first one against fp64."""
    parameters = Gpt(case).parameters()
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimizer, checked = adamw(case, parameters), parameters[1]
    before = checked.detach().double()
    optimizer.step()
    gradient = checked.grad.double()  # after one step from nothing, m / sqrt(v) is the sign of the gradient
    expected = before * (1 - RATE * DECAY) - RATE * gradient / (gradient.abs() + EPSILON)
    return optimizer.step, relative_error([checked.detach()], [expected])
