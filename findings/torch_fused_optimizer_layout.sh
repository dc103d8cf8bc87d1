#!/usr/bin/env bash
# torch's fused optimizers on a CPU pair weights and gradients by their order in memory, not by their place. Where one
# is channels last and the other is not, weights move by gradients of other weights, without an error. Bites who sets
# gradients by hand, as of a copy of the network in another layout, and takes fused=True for speed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check torch==2.14.1
venv/bin/python -W ignore - <<'EOF'
import torch

layouts = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}


def step(weights, gradients, fused):
    weight = torch.nn.Parameter(torch.zeros(1, 2, 1, 3).contiguous(memory_format=layouts[weights]))
    weight.grad = torch.arange(6.0).view(1, 2, 1, 3).contiguous(memory_format=layouts[gradients])
    torch.optim.SGD([weight], lr=1.0, fused=fused).step()
    return (-weight.detach()).flatten().tolist()


print("versions: torch", torch.__version__)
print("behaviour: with fused=True a weight moves by the gradient at the same place in memory, in any layout.")
print("expected: by its own gradient, 0 to 5 in order, as without fused, or an error.")
print("seen, how far each of six weights moved:")
for weights in layouts:
    for gradients in layouts:
        plain, fused = (step(weights, gradients, fused) for fused in (False, True))
        print(f"  weights {weights}, gradients {gradients}: plain {plain}, fused {fused}")
        assert plain == [0, 1, 2, 3, 4, 5]
        assert (fused == plain) == (weights == gradients)
EOF
