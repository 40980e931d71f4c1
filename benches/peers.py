"""Usagi against the peers of its topics, in turns, in one run.

    cargo build --release --examples
    python benches/peers.py                        # on the processor
    python benches/peers.py --device cuda --only mlp,densenet,gan

The peers are PyTorch (eager, its default memory format), stable-baselines3 and OpenSpiel; a row whose
peer is not installed says so. Usagi's figures are those of the built examples `compare_backends`,
`rl_classic_control` and `mcts_speed`, each run as a process of its own; the peer's work has the same
layers and the size that the example tells. Both sides are warmed up, have the same number of threads,
and take turns: ours, the peer, the next row; then all of it again. A turn's figure is the median of its
timed runs, a row's the median over the turns. Prints a table in Markdown; every figure goes into --out.

What differs: a training step is forward, backward and plain descent on both sides, from the same weights
each time in Usagi, from those of the step before in PyTorch. In `quantized` Usagi learns the
scales, PyTorch's follow a moving average. On a card PyTorch rounds factors to TensorFloat-32 where Usagi's
device does. stable-baselines3 steps the environments of Gymnasium.
"""

import argparse
import datetime
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from functools import partial
from pathlib import Path

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    torch, nn = None, types.SimpleNamespace(Module=object, Sequential=object)

PACKAGES = {"PyTorch": "torch", "stable-baselines3": "stable_baselines3", "OpenSpiel": "open_spiel"}


# Layers


def conv_norm(before, after, side=3, stride=1, groups=1, act=None):
    conv = nn.Conv2d(before, after, side, stride, side // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), *([act(inplace=True)] if act else []))


def head(channels, classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Residual(nn.Module):
    def __init__(self, body, skip=None, last=None):
        super().__init__()
        self.body, self.skip, self.last = body, skip or nn.Identity(), last or nn.Identity()

    def forward(self, x):
        return self.last(self.skip(x) + self.body(x))


class Dense(nn.Sequential):
    def forward(self, x):
        return torch.cat([x, super().forward(x)], 1)


def mobilenet_v2():
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
            (6, 320, 1, 1)]
    layers, before = [conv_norm(3, 32, stride=2, act=nn.ReLU6)], 32
    for expansion, channels, repeats, first in rows:
        for stride in [first] + [1] * (repeats - 1):
            inner = before * expansion
            expand = [conv_norm(before, inner, 1, act=nn.ReLU6)] if expansion > 1 else []
            body = nn.Sequential(*expand, conv_norm(inner, inner, 3, stride, inner, nn.ReLU6),
                                 conv_norm(inner, channels, 1))
            layers.append(Residual(body) if stride == 1 and before == channels else body)
            before = channels
    return nn.Sequential(*layers, conv_norm(before, 1280, 1, act=nn.ReLU6), head(1280, 1000))


def resnet18():
    layers, before = [conv_norm(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)], 64
    for channels in [64, 64, 128, 128, 256, 256, 512, 512]:
        stride = 1 if channels == before else 2
        body = nn.Sequential(conv_norm(before, channels, 3, stride, act=nn.ReLU),
                             conv_norm(channels, channels))
        skip = conv_norm(before, channels, 1, stride) if stride == 2 else None
        layers.append(Residual(body, skip, nn.ReLU(inplace=True)))
        before = channels
    return nn.Sequential(*layers, head(512, 1000))


def densenet(growth=12, blocks=(4, 4, 4), channels=24):
    def norm_conv(before, after, side):
        return [nn.BatchNorm2d(before), nn.ReLU(inplace=True),
                nn.Conv2d(before, after, side, padding=side // 2, bias=False)]

    layers = [conv_norm(3, channels, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)]
    for at, count in enumerate(blocks):
        if at > 0:
            layers += [*norm_conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(count):
            layers.append(Dense(*norm_conv(channels, 4 * growth, 1), *norm_conv(4 * growth, growth, 3)))
            channels += growth
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), head(channels, 10))


def vgg11(batch_norm=False, quantized=False):
    """Width 0.25, no hidden layers. Quantized: weights by channel, the image and what follows each
    rectifier by tensor, in 8 bits, with the fused modules of torch.ao's own recipe."""
    conv, linear = nn.Conv2d, nn.Linear
    if quantized:
        from torch.ao import quantization
        from torch.ao.nn import qat

        each = quantization.QConfig(
            activation=quantization.default_fused_act_fake_quant,
            weight=quantization.fused_per_channel_wt_fake_quant_range_neg_127_to_127)
        conv, linear = partial(qat.Conv2d, qconfig=each), partial(qat.Linear, qconfig=each)

    def rounded():
        return [each.activation()] if quantized else []

    layers, before = rounded(), 3
    for group in [[16], [32], [64, 64], [128, 128], [128, 128]]:
        for channels in group:
            layers.append(conv(before, channels, 3, padding=1))
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers += [nn.ReLU(inplace=True), *rounded()]
            before = channels
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), linear(before, 10))


def dcgan(width=16, latent=100):
    def up(before, after):
        return [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after),
                nn.ReLU(inplace=True)]

    def down(before, after):
        return [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2, inplace=True)]

    w = width
    generator = nn.Sequential(
        nn.ConvTranspose2d(latent, 4 * w, 4, bias=False), nn.BatchNorm2d(4 * w), nn.ReLU(inplace=True),
        *up(4 * w, 2 * w), *up(2 * w, w), nn.ConvTranspose2d(w, 3, 4, 2, 1), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(3, w, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True), *down(w, 2 * w), *down(2 * w, 4 * w),
        nn.Conv2d(4 * w, 1, 4))
    return nn.ModuleList([generator, discriminator])


class Translator(nn.Module):
    """nn.Transformer with d 64, 4 heads, 2 + 2 layers, pre-norm, the output tied."""

    vocabulary, time, pad, bos, forbidden = 500, 16, 0, 1, [0, 1, 2, 3]

    def __init__(self, d=64):
        super().__init__()
        self.d, self.scale = d, math.sqrt(d)
        self.tables = nn.ModuleList([nn.Embedding(self.vocabulary, d) for _ in range(2)])
        self.core = nn.Transformer(d, 4, 2, 2, 256, 0.0, batch_first=True, norm_first=True)
        at = torch.arange(self.time)[:, None] / 10000 ** (torch.arange(0, d, 2) / d)
        self.register_buffer("positions", torch.stack([at.sin(), at.cos()], 2).flatten(1))
        later = torch.ones(self.time, self.time, dtype=torch.bool).triu(1)
        self.register_buffer("later", later)

    def sentences(self, batch):
        row, t = torch.arange(batch)[:, None], torch.arange(self.time)
        ids = 4 + (row * 131 + t * 97) % (self.vocabulary - 4)
        return ids.masked_fill(t >= self.time - row % 5, self.pad)

    def embed(self, side, ids, first=0):
        return self.tables[side](ids) * self.scale + self.positions[first : first + ids.shape[1]]

    def project(self, x):
        return F.linear(x, self.tables[1].weight)

    def forward(self, source, target):
        unread = source == self.pad
        x = self.core(self.embed(0, source), self.embed(1, target), tgt_mask=self.later,
                      src_key_padding_mask=unread, tgt_key_padding_mask=target == self.pad,
                      memory_key_padding_mask=unread, tgt_is_causal=True)
        return self.project(x)

    def greedy(self, source):
        """With a cache of keys and values, and the source's projected once; the log-probabilities."""
        def heads(x):
            return x.unflatten(-1, (4, -1)).transpose(1, 2)

        def attend(attention, query, key, value, mask=None):
            found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            return attention.out_proj(found.transpose(1, 2).flatten(2))

        def projected(attention, x, begin, end):
            rows = slice(begin * self.d, end * self.d)
            x = F.linear(x, attention.in_proj_weight[rows], attention.in_proj_bias[rows])
            return [heads(part) for part in x.chunk(end - begin, -1)]

        unread = source == self.pad
        memory = self.core.encoder(self.embed(0, source), src_key_padding_mask=unread)
        read, batch = ~unread[:, None, None], len(source)
        layers = [(layer, memory.new_empty(2, batch, 4, self.time, self.d // 4),
                   projected(layer.multihead_attn, memory, 1, 3))
                  for layer in self.core.decoder.layers]
        ids, scores = source.new_full((batch,), self.bos), memory.new_zeros(batch)
        for t in range(self.time):
            x = self.embed(1, ids[:, None], t)
            for layer, cache, known in layers:
                query, *new = projected(layer.self_attn, layer.norm1(x), 0, 3)
                cache[:, :, :, t : t + 1] = torch.stack(new)
                x = x + attend(layer.self_attn, query, *cache[:, :, :, : t + 1])
                (query,) = projected(layer.multihead_attn, layer.norm2(x), 0, 1)
                x = x + attend(layer.multihead_attn, query, *known, read)
                x = x + layer.linear2(F.relu(layer.linear1(layer.norm3(x))))
            log_p = self.project(self.core.decoder.norm(x[:, 0])).log_softmax(-1)
            log_p[:, self.forbidden] = -math.inf
            best, ids = log_p.max(-1)
            scores += best
        return scores.tolist()


# Work: from a size to what is timed


def inference(model, batch, side, device):
    model, images = model.to(device).eval(), even(batch, 3, side, side, device=device)

    def step():
        with torch.inference_mode():
            return model(images)

    return step


def training(model, loss):
    """`loss` is of the model; the rate is so small that the weights stay what they are."""
    sgd = torch.optim.SGD(model.train().parameters(), 1e-9)

    def step():
        sgd.zero_grad()
        loss(model).backward()
        sgd.step()

    return step


def classifier(model, shape, batch, device):
    images, labels = even(batch, *shape, device=device), torch.arange(batch, device=device) % 10
    return training(model.to(device), lambda model: F.cross_entropy(model(images), labels))


def even(*shape, device):
    return torch.rand(shape, device=device) * 2 - 1


def matmul(n, device):
    a, b = even(n, n, device=device), even(n, n, device=device)
    return lambda: a @ b


def attention(n, device):
    q, k, v = (even(1, 8, n, 32, device=device) for _ in range(3))
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)


def mlp(batch, device):
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
                          nn.Linear(256, 10))
    return classifier(model, [784], batch, device)


def gan(batch, device):
    real, z = even(batch, 3, 32, 32, device=device), even(batch, 100, 1, 1, device=device)

    def loss(players):
        generator, discriminator = players
        fake = generator(z)
        judged, passed = discriminator(fake.detach()), discriminator(fake)
        truth = discriminator(real)
        return (((truth - 1) ** 2).mean() + (judged**2).mean() + ((passed - 1) ** 2).mean()) / 2

    return training(dcgan().to(device), loss)


def translation(batch, device):
    model = Translator().to(device)
    text = model.sentences(batch).to(device)

    def loss(model):
        logits = model(text, text).flatten(0, 1)
        return F.cross_entropy(logits, text.flatten(), ignore_index=0, label_smoothing=0.1)

    return training(model, loss)


def decoding(batch, device):
    model = Translator().to(device).eval()
    text = model.sentences(batch).to(device)

    def step():
        with torch.inference_mode():
            return model.greedy(text)

    return step


# Rows: what either side does


def in_units(time_s):
    for unit, size in (("s", 1), ("ms", 1e-3)):
        if time_s >= size:
            return f"{time_s / size:.3g} {unit}"
    return f"{1e6 * time_s:.3g} µs"


class Workload:
    """A workload of compare_backends against PyTorch."""

    peer, show = "PyTorch", staticmethod(in_units)

    def __init__(self, topic, name, label, build):
        self.topic, self.name, self.label, self.build = topic, name, label, build
        self.work, self.size = f"{name}, {label}", None

    def ours(self, run):
        out = run.folder / "compare"
        path = out / "comparison.json"
        path.unlink(missing_ok=True)
        error = run.example("compare_backends", "--devices", run.spec, "--only", self.name, "--sizes",
                            self.label, "--budget-s", run.args.budget_s, "--out", out)
        if not path.exists():
            raise RuntimeError(error)
        found = json.loads(path.read_text())["comparison"]
        (device,), (workload,), (row,) = found["machine"]["devices"], found["workloads"], found["rows"]
        run.machine["usagi"] = f"{found['machine']['version']} with Burn {found['machine']['burn']}"
        run.machine["device"] = f"{device['spec']} ({device['adapter']})"
        run.use_tf32((device["product_bits"] or 24) < 24)
        self.size = int(row["size"]["value"])
        self.work = f"{workload['title']}, {workload['size_unit']} {self.size}"
        if row["status"]["kind"] != "measured":
            raise RuntimeError(f"{row['status']['kind']}: {row['status']['reason']}")
        measurement = row["status"]["measurement"]
        return {"time_s": measurement["median_s"], **measurement}

    def theirs(self, run):
        device = torch.device(run.torch_device)
        torch.manual_seed(0)
        step = self.build(self.size, device)

        def timed():
            started = time.perf_counter()
            output = step()
            if device.type != "cpu":
                getattr(torch, device.type).synchronize()
            return time.perf_counter() - started, output

        def runs(least, most, limit_s):
            started, times = time.perf_counter(), []
            while len(times) < least or (
                len(times) < most and time.perf_counter() - started < limit_s
            ):
                times.append(timed()[0])
            return times

        # As compare_backends does: a first run, up to three to warm up, then those that count.
        budget_s = run.args.budget_s
        first_run_s = timed()[0]
        times = runs(1, 3, budget_s / 2)
        if times[0] < budget_s:
            times = runs(3, 1000, budget_s)
        return {"time_s": statistics.median(times), "first_run_s": first_run_s, "runs_s": times}


class Ppo:
    """A training by PPO with the settings of rl-baselines3-zoo, which both sides have."""

    topic, name, peer, show = "rl", "ppo", "stable-baselines3", staticmethod(in_units)
    steps, size = 100_000, 8
    work = f"PPO on CartPole, {steps:,} steps in {size} environments"

    def ours(self, run):
        found = run.metrics("rl_classic_control", "--device", run.spec, "--steps", self.steps)
        return {"time_s": found["train_wall_s"], **found}

    def theirs(self, run):
        from stable_baselines3 import PPO
        from stable_baselines3.common.env_util import make_vec_env

        def learn(steps):
            agent = PPO("MlpPolicy", make_vec_env("CartPole-v1", self.size, seed=42), n_steps=32,
                        batch_size=256, n_epochs=20, gamma=0.98, gae_lambda=0.8, seed=42,
                        learning_rate=lambda left: 1e-3 * left, clip_range=lambda left: 0.2 * left,
                        device=run.torch_device)
            started = time.perf_counter()
            agent.learn(steps)
            return time.perf_counter() - started

        return {"warm_up_s": learn(1024), "time_s": learn(self.steps)}


class Mcts:
    """A search with random rollouts."""

    topic, peer = "mcts", "OpenSpiel"
    size, seconds = 10_000, 4

    def __init__(self, name, game, title, theirs):
        self.name, self.game, self.their_game = name, game, theirs
        self.work = f"{title}, searches of {self.size:,} simulations with a random rollout each, one thread"

    def ours(self, run):
        found = run.metrics("mcts_speed", "--game", self.game, "--simulations", self.size,
                            "--seconds", self.seconds)
        return {"time_s": 1 / found["sims_per_s"], **found}

    def theirs(self, run):
        import pyspiel

        game = pyspiel.load_game(self.their_game)
        state, rollout = game.new_initial_state(), pyspiel.RandomRolloutEvaluator(1, 42)

        def search(simulations):
            bot = pyspiel.MCTSBot(game, rollout, uct_c=math.sqrt(2), max_simulations=simulations,
                                  max_memory_mb=1000, solve=False, seed=42, verbose=False)
            started = time.perf_counter()
            bot.mcts_search(state)
            return time.perf_counter() - started

        search(self.size // 10)
        taken_s, searches = 0, 0
        while taken_s < self.seconds:
            taken_s += search(self.size)
            searches += 1
        return {"time_s": taken_s / (searches * self.size), "searches": searches}

    @staticmethod
    def show(time_s):
        return f"{1e-3 / time_s:,.0f} k simulations/s"


def images(model, side):
    return lambda batch, device: inference(model(), batch, side, device)


def small_images(model):
    return lambda batch, device: classifier(model(), [3, 32, 32], batch, device)


# topic, workload, sizes, PyTorch's work
WORKLOADS = [
    ("vision", "mobilenet_v2", ["tiny", "medium"], images(mobilenet_v2, 224)),
    ("vision", "resnet18", ["medium"], images(resnet18, 128)),
    ("vision", "densenet", ["medium"], small_images(densenet)),
    ("vision", "vgg", ["medium"], small_images(partial(vgg11, batch_norm=True))),
    ("gan", "gan", ["medium"], gan),
    ("transformer", "translation", ["medium"], translation),
    ("transformer", "decoding", ["medium"], decoding),
    ("compress", "quantized", ["medium"], small_images(partial(vgg11, quantized=True))),
    ("basics", "matmul", ["large"], matmul),
    ("basics", "attention", ["large"], attention),
    ("basics", "mlp", ["medium"], mlp),
]


SEARCHES = [
    Mcts("mcts_connect_four", "connect_four", "Connect Four", "connect_four"),
    Mcts("mcts_othello", "othello", "Othello", "othello"),
    Mcts("mcts_go", "go", "Go 9×9", "go(board_size=9,komi=7.0)"),
]


# A run


class Run:
    def __init__(self, args, folder):
        self.args, self.folder, self.started = args, Path(folder), time.monotonic()
        self.environment = {**os.environ, "RAYON_NUM_THREADS": str(args.threads)}
        kind = args.device.partition(":")[0]
        self.spec = {"cpu": "flex"}.get(kind, args.device)
        # For wgpu whatever PyTorch has for the same card.
        card = "mps" if torch and torch.backends.mps.is_available() else "cuda"
        self.torch_device = {"cpu": "cpu", "wgpu": card}.get(kind, args.device)
        self.machine = {"processor": processor(), "cores": cores(), "threads": args.threads,
                        "device": self.spec, "system": f"{platform.system()} {platform.machine()}",
                        "python": platform.python_version(),
                        "date": datetime.date.today().isoformat()}

    def left_s(self):
        return self.args.limit_s - (time.monotonic() - self.started)

    def example(self, name, *flags):
        """Runs a built example; the last that it said where it failed."""
        command = [self.args.bin / name, *map(str, flags)]
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, timeout=self.left_s(),
                              capture_output=True, text=True)
        return done.returncode and (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]

    def metrics(self, name, *flags):
        out = self.folder / name
        if error := self.example(name, *flags, "--out", out):
            raise RuntimeError(error)
        return json.loads((out / "metrics.json").read_text())

    def use_tf32(self, allowed):
        if torch:
            torch.set_float32_matmul_precision("high" if allowed else "highest")
            torch.backends.cudnn.allow_tf32 = allowed


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def version(peer):
    try:
        return importlib.metadata.version(PACKAGES[peer])
    except importlib.metadata.PackageNotFoundError:
        return None


def attempt(side, run):
    """What a side found, or why not: whatever a peer raises is a row, not the end."""
    try:
        return side(run)
    except subprocess.TimeoutExpired:
        return {"error": "the time was up"}
    except Exception as error:
        return {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}


def measure(rows, run):
    """The turns of each row."""
    turns = [[] for _ in rows]
    for number in range(run.args.turns):
        for row, found in zip(rows, turns):
            if any("error" in side for earlier in found for side in earlier.values()):
                continue
            if run.left_s() <= 0:
                print("the time is up: what is missing was not measured", file=sys.stderr)
                return turns
            print(f"turn {number + 1} of {run.args.turns}: {row.work}", file=sys.stderr, flush=True)
            ours = attempt(row.ours, run)
            if version(row.peer) is None:
                peer = {"error": "not installed"}
            elif row.size is None:
                peer = {"error": "not measured: of unknown size"}
            else:
                peer = attempt(row.theirs, run)
            found.append({"ours": ours, "peer": peer})
    return turns


def summary(row, turns):
    """Medians over the turns, and why there is none."""
    found = {"topic": row.topic, "work": row.work, "peer": row.peer, "version": version(row.peer)}
    for side in ("ours", "peer"):
        times = [turn[side]["time_s"] for turn in turns if "time_s" in turn[side]]
        errors = [turn[side]["error"] for turn in turns if "error" in turn[side]]
        found[f"{side}_s"] = statistics.median(times) if times else None
        found[f"{side}_error"] = None if times else (errors or ["the time was up"])[0]
    found["ratios"] = [turn["peer"]["time_s"] / turn["ours"]["time_s"] for turn in turns
                       if all("time_s" in side for side in turn.values())]
    return {**found, "turns": turns}


def cells(row, found):
    def side(name):
        time_s = found[f"{name}_s"]
        return found[f"{name}_error"] if time_s is None else row.show(time_s)

    ratios, said = found["ratios"], "–"
    if ratios:
        middle = statistics.median(ratios)
        said = f"{middle:.2f}" + (", the peer is faster" if max(ratios) < 1 else "")
        said += f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    peer = f"{row.peer} {found['version'] or ''}".strip()
    return [row.topic, row.work, peer, side("peer"), side("ours"), said]


def flags():
    def listed(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bin", type=Path, default=Path("target/release/examples"), metavar="DIR",
                        help="folder of the built examples [%(default)s]")
    parser.add_argument("--device", default="cpu", metavar="SPEC",
                        help="cpu, cuda, cuda:N or wgpu, on both sides [%(default)s]")
    parser.add_argument("--threads", type=int, default=cores(), metavar="N",
                        help="of either side [%(default)s]")
    parser.add_argument("--only", type=listed, default=[], metavar="NAME,…", help="topics or workloads")
    parser.add_argument("--sizes", type=listed, default=[], metavar="LABEL,…",
                        help="of workloads: tiny, small, medium, large, huge [one or two of each]")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="[%(default)s]")
    parser.add_argument("--budget-s", type=float, default=0.5, metavar="S",
                        help="time for the timed runs of a workload in a turn [%(default)s]")
    parser.add_argument("--limit-s", type=float, default=86_400, metavar="S",
                        help="begin nothing after this time")
    parser.add_argument("--out", type=Path, default=Path("out/peers.json"), metavar="FILE",
                        help="all figures [%(default)s]")
    args = parser.parse_args()
    if args.turns < 1 or args.threads < 1 or args.budget_s <= 0:
        parser.error("--turns and --threads are at least 1, --budget-s is above 0")
    args.bin = args.bin.resolve()
    rows = [Workload(topic, name, label, build) for topic, name, labels, build in WORKLOADS
            for label in args.sizes or labels]
    rows += [Ppo()] + SEARCHES * (args.device == "cpu")
    known = sorted({word for row in rows for word in (row.topic, row.name)})
    if unknown := set(args.only) - set(known):
        parser.error(f"--only: unknown {', '.join(unknown)}: expected some of {', '.join(known)}")
    return args, [row for row in rows if not args.only or {row.topic, row.name} & set(args.only)]


def main():
    args, rows = flags()
    if torch:
        torch.set_num_threads(args.threads)
        warnings.filterwarnings("ignore", module="torch|stable_baselines3")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(args, folder)
        turns = measure(rows, run)
    found = [summary(*each) for each in zip(rows, turns)]
    machine = run.machine
    if torch and run.torch_device.startswith("cuda") and torch.cuda.is_available():
        machine["card"] = torch.cuda.get_device_name(run.torch_device)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"format": "usagi peers", "machine": machine, "budget_s": args.budget_s, "rows": found}
    args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")

    print("| topic | work | peer | peer's time | Usagi's time | ratio |")
    print("| --- | --- | --- | ---: | ---: | --- |")
    for row, each in zip(rows, found):
        print("| " + " | ".join(cell.replace("|", "/") for cell in cells(row, each)) + " |")
    print("\n" + "; ".join(f"{key}: {value}" for key, value in machine.items()) + ". "
          f"Medians over {args.turns} turn(s); ratio: the peer's time ÷ Usagi's, in brackets the least and "
          "the largest of a turn.")


if __name__ == "__main__":
    main()
