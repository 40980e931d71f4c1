"""One DCGAN step (discriminator, then generator) in PyTorch: the peer of `cargo bench --bench gan`.

    python benches/gan_peer.py [threads]

64x64 RGB images, width 64, batch 64, Adam, networks as in PyTorch's own DCGAN example, losses on
logits. Prints the median of 10 steps.
"""

import sys
import time

import torch
from torch import nn

THREADS, BATCH, WIDTH, LATENT = int(sys.argv[1]) if len(sys.argv) > 1 else 2, 64, 64, 100
torch.set_num_threads(THREADS)
torch.manual_seed(0)


def up(a, b):
    return [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(True)]


def down(a, b):
    return [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2, True)]


W = WIDTH
generator = nn.Sequential(
    nn.ConvTranspose2d(LATENT, 8 * W, 4, 1, 0, bias=False), nn.BatchNorm2d(8 * W), nn.ReLU(True),
    *up(8 * W, 4 * W), *up(4 * W, 2 * W), *up(2 * W, W),
    nn.ConvTranspose2d(W, 3, 4, 2, 1, bias=False), nn.Tanh(),
)
discriminator = nn.Sequential(
    nn.Conv2d(3, W, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True),
    *down(W, 2 * W), *down(2 * W, 4 * W), *down(4 * W, 8 * W),
    nn.Conv2d(8 * W, 1, 4, 1, 0, bias=False),
)
adam = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, discriminator)]
loss = nn.BCEWithLogitsLoss()
real = torch.rand(BATCH, 3, 64, 64) * 2 - 1
ones, zeros = torch.ones(BATCH), torch.zeros(BATCH)


def step():
    discriminator.zero_grad()
    with torch.no_grad():
        fake = generator(torch.randn(BATCH, LATENT, 1, 1))
    total = loss(discriminator(real).flatten(), ones) + loss(discriminator(fake).flatten(), zeros)
    total.backward()
    adam[1].step()
    generator.zero_grad()
    for p in discriminator.parameters():
        p.requires_grad_(False)
    loss(discriminator(generator(torch.randn(BATCH, LATENT, 1, 1))).flatten(), ones).backward()
    for p in discriminator.parameters():
        p.requires_grad_(True)
    adam[0].step()


for _ in range(2):
    step()
times = []
for _ in range(10):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
median = sorted(times)[len(times) // 2]
print(f"PyTorch {torch.__version__}, {THREADS} threads: {1e3 * median:.0f} ms a step, "
      f"{BATCH / median:.1f} images/s")
