"""Training steps of a float and a fake-quantized VGG-11 in PyTorch: the peer of
`cargo bench --bench compress`.

    python benches/compress_peer.py [threads]

Width 0.25, no batch norm, 32x32 images, batch 64, SGD. Quantized: weights by channel and
activations by tensor in 8 bits, with torch.ao's FakeQuantize. Prints medians of 10 steps.
"""

import sys
import time

import torch
from torch import nn
from torch.ao.quantization import FakeQuantize, MovingAverageMinMaxObserver
from torch.ao.quantization import MovingAveragePerChannelMinMaxObserver

THREADS, BATCH = int(sys.argv[1]) if len(sys.argv) > 1 else 2, 64
torch.set_num_threads(THREADS)
torch.manual_seed(0)
CHANNELS = [16, "pool", 32, "pool", 64, 64, "pool", 128, 128, "pool", 128, 128, "pool"]


def of_activations():
    return FakeQuantize(MovingAverageMinMaxObserver, quant_min=0, quant_max=255,
                        dtype=torch.quint8, qscheme=torch.per_tensor_affine)


class QuantizedConv(nn.Conv2d):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.of_weight = FakeQuantize(
            MovingAveragePerChannelMinMaxObserver, quant_min=-127, quant_max=127,
            dtype=torch.qint8, qscheme=torch.per_channel_symmetric, ch_axis=0)

    def forward(self, x):
        return self._conv_forward(x, self.of_weight(self.weight), self.bias)


def vgg(quantized):
    layers, before = [of_activations()] if quantized else [], 3
    for channels in CHANNELS:
        if channels == "pool":
            layers.append(nn.MaxPool2d(2))
        elif quantized:
            layers += [QuantizedConv(before, channels, 3, padding=1), nn.ReLU(), of_activations()]
            before = channels
        else:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before, 10))


images = torch.rand(BATCH, 3, 32, 32) * 2 - 1
labels = torch.arange(BATCH) % 10
for name, quantized in [("float", False), ("8 bits", True)]:
    model = vgg(quantized)
    sgd = torch.optim.SGD(model.parameters(), 1e-3)

    def step():
        sgd.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        sgd.step()

    for _ in range(3):
        step()
    taken = []
    for _ in range(10):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    median = sorted(taken)[len(taken) // 2]
    print(f"{name}: PyTorch {torch.__version__}, {THREADS} threads: {1e3 * median:.1f} ms a step, "
          f"{BATCH / median:.0f} images/s")
