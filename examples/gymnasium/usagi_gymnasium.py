"""Gymnasium's environments for Rust, and Rust's environments for Gymnasium, over a local socket.

    python usagi_gymnasium.py --listen 127.0.0.1:5005     serves what `gymnasium.make` makes
    UsagiEnv("127.0.0.1:5005")                            one environment that a Rust program serves
    UsagiVectorEnv("127.0.0.1:5005", 8)                   eight of them, autoreset in the same step

Needs Gymnasium 1.1 or newer and NumPy alone. The protocol is described in the crate `rl`, module
`gymnasium`.
"""

import argparse
import json
import math
import socket
import struct
import sys

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

PROTOCOL = {"protocol": "usagi-gymnasium", "version": 1}
MOST_BYTES = 1 << 24
MOST_ENVIRONMENTS = 4096
WORD = (1 << 64) - 1


class ProtocolError(RuntimeError):
    """The other side is gone, or does not speak as it should."""


class Refused(RuntimeError):
    """The other side says why it does not do what it was asked."""


def mix(seed, index):
    """SplitMix64, as `rl::random::mix`."""
    z = seed ^ ((index + 1) * 0x9E3779B97F4A7C15 & WORD)
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & WORD
    return z ^ (z >> 31)


# Frames.


class Channel:
    """Length-prefixed frames over a socket."""

    def __init__(self, sock, timeout):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        self.sock = sock

    def send(self, kind, body):
        if len(body) + 1 > MOST_BYTES:
            raise ProtocolError(f"a frame of {len(body) + 1} bytes was to be sent, the most are {MOST_BYTES}")
        self.sock.sendall(struct.pack("<Ic", len(body) + 1, kind) + body)

    def send_json(self, kind, value):
        self.send(kind, json.dumps(value).encode())

    def receive(self, idle=False):
        """The next frame; `None` where the other side has closed the connection before it."""
        timeout = self.sock.gettimeout()
        if idle:
            self.sock.settimeout(None)
        try:
            head = self._read(1, True)
        finally:
            self.sock.settimeout(timeout)
        if head is None:
            return None
        (length,) = struct.unpack("<I", head + self._read(3))
        if not 1 <= length <= MOST_BYTES:
            raise ProtocolError(f"a frame of {length} bytes was announced, expected 1 to {MOST_BYTES}")
        frame = self._read(length)
        return frame[:1], frame[1:]

    def _read(self, length, may_end=False):
        parts = bytearray()
        while len(parts) < length:
            try:
                part = self.sock.recv(min(length - len(parts), 1 << 20))
            except TimeoutError as error:
                raise ProtocolError(f"{len(parts)} of {length} bytes came in time") from error
            except ConnectionError as error:
                raise ProtocolError(f"the connection is broken: {error}") from error
            if not part:
                if may_end:
                    return None
                raise ProtocolError(f"the connection was closed after {len(parts)} of {length} bytes")
            parts += part
        return bytes(parts)


class Body:
    """Parts of a frame, read one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        part = self.data[self.at : self.at + length]
        if len(part) < length:
            raise ProtocolError(f"a body of {len(self.data)} bytes, expected at least {self.at + length}")
        self.at += length
        return part

    def numbers(self, *shape):
        return np.frombuffer(self.take(8 * math.prod(shape)), "<f8").reshape(shape)

    def bits(self, *shape):
        return np.frombuffer(self.take(math.prod(shape)), np.uint8).reshape(shape) > 0

    def length(self):
        return struct.unpack("<H", self.take(2))[0]

    def end(self):
        if self.at != len(self.data):
            raise ProtocolError(f"a body of {len(self.data)} bytes, expected {self.at}")


def parse(answer, expected):
    """The body of an answer of the expected kind."""
    if answer is None:
        raise ProtocolError("the connection was closed in place of an answer")
    kind, body = answer
    if kind == b"E":
        raise Refused(json.loads(body).get("message"))
    if kind != expected:
        raise ProtocolError(f"an answer of the kind {kind}, expected {expected}")
    return body


def hello(body):
    """A hello of this version."""
    try:
        found = json.loads(body)
        version = {key: found.get(key) for key in PROTOCOL}
    except (ValueError, AttributeError) as error:
        raise ProtocolError(f"the hello is none: {error}") from error
    if version != PROTOCOL:
        raise ProtocolError(f"the other side speaks {version}, expected {PROTOCOL}")
    return found


# Spaces, and their elements as rows of numbers.


class Codec:
    """A space, how Rust calls it, and its elements as `size` numbers and back."""

    def __init__(self, space, described, size, choices, flat, element):
        self.space, self.described, self.size, self.choices = space, described, size, choices
        self.flat, self.element = flat, element


def bounds(numbers):
    """JSON has no infinity."""
    if np.isnan(numbers).any():
        raise ValueError("a Box with NaN among its bounds")
    word = {math.inf: "inf", -math.inf: "-inf"}
    return [word.get(x, x) for x in np.asarray(numbers, np.float64).ravel().tolist()]


def of_box(space, acts):
    if acts and not np.issubdtype(space.dtype, np.floating):
        raise ValueError(f"actions of {space}: a Box of whole numbers cannot be chosen, MultiDiscrete can")
    image = space.dtype == np.uint8 and len(space.shape) in (2, 3)
    image = image and (space.low == 0).all() and (space.high == 255).all()
    if image:
        sides = space.shape
        last = len(sides) == 3 and sides[2] in (1, 3, 4)
        # Other counts, as stacked frames have them: the smallest side is that of the channels.
        smallest = int(np.argmin(sides)) if len(sides) == 3 else 0
        if not last and smallest == 1:
            raise ValueError(f"{space}: an image with its channels in the middle")
        return of_image(space, 255, not last and smallest == 0)
    described = {"Continuous": {"low": bounds(space.low), "high": bounds(space.high)}}
    whole = not np.issubdtype(space.dtype, np.floating)

    def element(row):
        row = np.rint(row) if whole else row
        return row.astype(space.dtype).reshape(space.shape)

    size = math.prod(space.shape)
    return Codec(space, described, size, 0, lambda x: shaped(x, space).ravel(), element)


def shaped(x, space):
    """Numbers in the shape of their space, which NumPy would otherwise spread."""
    x = np.asarray(x, np.float64)
    if x.shape != space.shape:
        raise ValueError(f"an element of shape {x.shape}, expected {space.shape}")
    return x


def of_image(space, most, channels_first):
    """An image, which Rust has as [channels, height, width]."""
    shape = space.shape if len(space.shape) == 3 else (1, *space.shape)
    if not channels_first:
        shape = (shape[2], *shape[:2])

    def flat(x):
        x = shaped(x, space)
        return (x if channels_first else x.transpose(2, 0, 1)).ravel()

    def element(row):
        x = row.reshape(shape)
        if np.issubdtype(space.dtype, np.integer) and (x != np.rint(x)).any():
            raise ValueError("an image whose values are not whole")
        x = x if channels_first else x.transpose(1, 2, 0)
        return x.reshape(space.shape).astype(space.dtype)

    described = {"Image": {"shape": [int(n) for n in shape], "most": float(most)}}
    return Codec(space, described, math.prod(shape), 0, flat, element)


def of_parts(space, described, parts, split, join):
    """What is put together: the parts stand one after the other."""
    ends = np.cumsum([part.size for part in parts]).tolist()
    starts = [0, *ends[:-1]]

    def element(row):
        return join([part.element(row[a:b]) for part, a, b in zip(parts, starts, ends)])

    def flat(x):
        return np.concatenate([part.flat(y) for part, y in zip(parts, split(x))])

    return Codec(space, described, ends[-1], sum(part.choices for part in parts), flat, element)


def of_space(space, acts=False):
    """A space of Gymnasium for Rust."""
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return Codec(
            space,
            {"Discrete": int(space.n)},
            1,
            int(space.n),
            lambda x: np.array([int(x) - start], np.float64),
            lambda row: space.dtype.type(int(row[0]) + start),
        )
    if isinstance(space, spaces.MultiDiscrete):
        counts = space.nvec.ravel()
        return Codec(
            space,
            {"MultiDiscrete": counts.tolist()},
            len(counts),
            int(counts.sum()),
            lambda x: (shaped(x, space) - space.start).ravel(),
            lambda row: (row.reshape(space.shape) + space.start).astype(space.dtype),
        )
    if isinstance(space, spaces.MultiBinary):
        size = math.prod(space.shape)
        return Codec(
            space,
            {"MultiBinary": size},
            size,
            2 * size,
            lambda x: shaped(x, space).ravel(),
            lambda row: row.reshape(space.shape).astype(space.dtype),
        )
    if isinstance(space, spaces.Box):
        return of_box(space, acts)
    if isinstance(space, spaces.Tuple):
        parts = [of_space(part, acts) for part in space.spaces]
        described = {"Tuple": [part.described for part in parts]}
        return of_parts(space, described, parts, lambda x: x, tuple)
    if isinstance(space, spaces.Dict):
        parts = {name: of_space(part, acts) for name, part in space.spaces.items()}
        described = {"Dict": [[name, part.described] for name, part in parts.items()]}
        names = list(parts)
        return of_parts(
            space,
            described,
            list(parts.values()),
            lambda x: [x[name] for name in names],
            lambda row: dict(zip(names, row)),
        )
    raise ValueError(f"{type(space).__name__} is a space that has no fixed count of numbers")


def from_described(described):
    """Rust's space for Gymnasium."""
    ((kind, value),) = described.items()
    if kind == "Continuous":
        low, high = (np.array([float(x) for x in value[end]]) for end in ("low", "high"))
        return of_box(spaces.Box(low, high, dtype=np.float64), True)
    if kind == "Image":
        most = value["most"]
        dtype = np.uint8 if most == int(most) and most <= 255 else np.float64
        return of_image(spaces.Box(0, most, tuple(value["shape"]), dtype), most, True)
    if kind == "Discrete":
        return of_space(spaces.Discrete(value))
    if kind == "MultiDiscrete":
        return of_space(spaces.MultiDiscrete(value))
    if kind == "MultiBinary":
        return of_space(spaces.MultiBinary(value))
    if kind == "Tuple":
        parts = [from_described(part) for part in value]
        space = spaces.Tuple([part.space for part in parts])
        return of_parts(space, described, parts, lambda x: x, tuple)
    if kind == "Dict":
        parts = {name: from_described(part) for name, part in value}
        # A list of pairs keeps its order, a dict is sorted.
        space = spaces.Dict([(name, part.space) for name, part in parts.items()])
        names = list(parts)
        return of_parts(
            space,
            described,
            list(parts.values()),
            lambda x: [x[name] for name in names],
            lambda row: dict(zip(names, row)),
        )
    raise ProtocolError(f"an unknown space, {kind!r}")


# Worlds of Python for Rust.


class Worlds:
    """The environments of a connection."""

    def __init__(self, asked):
        self.count, self.autoreset = asked["count"], asked["autoreset"]
        if not 1 <= self.count <= MOST_ENVIRONMENTS:
            raise ValueError(f"{self.count} environments, expected 1 to {MOST_ENVIRONMENTS}")
        arguments = asked.get("arguments") or {}
        make = lambda: gymnasium.make(asked["environment"], **arguments)
        self.envs = [make() for _ in range(self.count)]
        first = self.envs[0]
        self.observation = of_space(first.observation_space)
        self.action = of_space(first.action_space, acts=True)
        # As sb3-contrib's MaskablePPO asks for them.
        self.has_masks = first.has_wrapper_attr("action_masks")
        self.running = False

    def spaces(self):
        return {"observation": self.observation.described, "action": self.action.described}

    def mask(self, i, info):
        if self.has_masks:
            mask = self.envs[i].get_wrapper_attr("action_masks")()
        else:
            mask = info.get("action_mask")
        if mask is None or not self.action.choices:
            return None
        mask = np.asarray(mask).astype(bool).ravel()
        if len(mask) != self.action.choices:
            raise ValueError(f"a mask of {len(mask)} entries, expected {self.action.choices}")
        return mask

    def close(self):
        for env in self.envs:
            env.close()

    def seen(self, rows, masks):
        """Observations and masks of some."""
        body = np.ascontiguousarray(rows, "<f8").tobytes()
        if all(mask is None for mask in masks):
            return body + b"\0"
        every = np.ones(self.action.choices, bool)
        return body + b"\1" + b"".join((every if m is None else m).tobytes() for m in masks)

    def reset(self, body):
        (self.seed,) = struct.unpack("<Q", body)
        self.episodes = [0] * self.count
        rows, masks = np.empty((self.count, self.observation.size)), [None] * self.count
        for i, env in enumerate(self.envs):
            seed = mix(mix(self.seed, i), 0) if self.autoreset else self.seed
            observation, info = env.reset(seed=seed)
            rows[i], masks[i] = self.observation.flat(observation), self.mask(i, info)
        self.running = True
        return self.seen(rows, masks)

    def step(self, body):
        if not self.running:
            raise RuntimeError("the episode has ended: reset first")
        body = Body(body)
        actions = body.numbers(self.count, self.action.size)
        body.end()
        self.running = False
        rewards, flags = np.empty(self.count, "<f8"), bytearray(self.count)
        rows, masks = np.empty((self.count, self.observation.size)), [None] * self.count
        finals, infos = [], []
        for i, env in enumerate(self.envs):
            observation, reward, terminated, truncated, info = env.step(self.action.element(actions[i]))
            if np.ndim(reward) > 0:
                raise ValueError(f"the reward of environment {i} is {reward!r}, expected a number")
            rewards[i] = reward
            flags[i] = bool(terminated) | bool(truncated) << 1
            infos.append(numbers_of(info))
            if flags[i] and self.autoreset:
                mask = None if terminated else self.mask(i, info)
                finals.append(self.seen(self.observation.flat(observation), [mask]))
                self.episodes[i] += 1
                seed = mix(mix(self.seed, i), self.episodes[i])
                observation, info = env.reset(seed=seed)
            rows[i], masks[i] = self.observation.flat(observation), self.mask(i, info)
        self.running = self.autoreset or not any(flags)
        return b"".join([rewards.tobytes(), bytes(flags), self.seen(rows, masks), *finals, *infos])


def numbers_of(info):
    """What is a number in it."""
    if not info:
        return b"\0\0"
    number = (bool, int, float, np.bool_, np.integer, np.floating)
    found = {name: value for name, value in info.items() if isinstance(name, str) and isinstance(value, number)}
    parts = [struct.pack("<H", len(found))]
    for name, value in found.items():
        name = name.encode()
        parts.append(struct.pack("<H", len(name)) + name + struct.pack("<d", float(value)))
    return b"".join(parts)


def serve(sock, timeout=60.0):
    """Answers one client until it goes."""
    channel = Channel(sock, timeout)
    found = channel.receive()
    if found is None:
        return
    kind, body = found
    try:
        if kind != b"H":
            raise ProtocolError(f"it began with {kind}, expected a hello")
        asked = hello(body)
        worlds = Worlds(asked)
    except Exception as error:  # Whatever a world's making raises is said to who asked for it.
        channel.send_json(b"E", {"message": f"{type(error).__name__}: {error}"})
        return
    try:
        own = {"environment": asked["environment"], "count": worlds.count, "spaces": worlds.spaces()}
        channel.send_json(b"H", PROTOCOL | own)
        while (found := channel.receive(idle=True)) is not None:
            answer(channel, worlds, *found)
    finally:
        worlds.close()


def answer(channel, worlds, kind, body):
    """Does what a frame asks for."""
    try:
        if kind == b"R":
            channel.send(b"O", worlds.reset(body))
        elif kind == b"S":
            channel.send(b"T", worlds.step(body))
        else:
            raise ProtocolError(f"a frame of the kind {kind}")
    except OSError:
        raise
    except Exception as error:
        channel.send_json(b"E", {"message": f"{type(error).__name__}: {error}"})
        if isinstance(error, ProtocolError):
            raise


# Worlds of Rust for Python.


def address_of(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{text!r} is no address, expected HOST:PORT")
    return host, int(port)


class Link:
    """A connection to environments of Rust."""

    def __init__(self, address, count, autoreset, environment, timeout):
        self.channel = Channel(socket.create_connection(address_of(address), timeout), timeout)
        asked = {"environment": environment, "arguments": {}, "count": count, "autoreset": autoreset}
        found = hello(self.ask(b"H", json.dumps(PROTOCOL | asked).encode(), b"H"))
        if found["count"] != count:
            raise ProtocolError(f"{found['count']} environments, expected {count}")
        self.count, self.autoreset, self.name = count, autoreset, found["environment"]
        self.observation = from_described(found["spaces"]["observation"])
        self.action = from_described(found["spaces"]["action"])
        self.masks = None

    def ask(self, kind, body, expected):
        self.channel.send(kind, body)
        return parse(self.channel.receive(), expected)

    def seen(self, body, count):
        rows = body.numbers(count, self.observation.size)
        masks = body.bits(count, self.action.choices) if body.bits(1)[0] else None
        return [self.observation.element(row) for row in rows], masks

    def reset(self, seed):
        body = Body(self.ask(b"R", struct.pack("<Q", seed), b"O"))
        observations, self.masks = self.seen(body, self.count)
        body.end()
        return observations

    def step(self, actions):
        """Observations, rewards, terminated, truncated, finals by environment, infos."""
        flat = np.concatenate([self.action.flat(action) for action in actions])
        body = Body(self.ask(b"S", flat.astype("<f8").tobytes(), b"T"))
        rewards = body.numbers(self.count).copy()
        flags = np.frombuffer(body.take(self.count), np.uint8)
        observations, self.masks = self.seen(body, self.count)
        finals = {}
        if self.autoreset:
            finals = {int(i): self.seen(body, 1)[0][0] for i in np.flatnonzero(flags)}
        infos = []
        for _ in range(self.count):
            info = {}
            for _ in range(body.length()):
                name = body.take(body.length()).decode()
                info[name] = float(body.numbers(1)[0])
            infos.append(info)
        body.end()
        return observations, rewards, flags & 1 > 0, flags & 2 > 0, finals, infos

    def mask(self, i):
        if self.masks is None:
            return np.ones(self.action.choices, bool)
        return self.masks[i].copy()

    def close(self):
        self.channel.sock.close()


class UsagiEnv(gymnasium.Env):
    """One environment of a Rust program that runs `rl::gymnasium::serve`.

    Possible actions are in `action_masks()`, as sb3-contrib's MaskablePPO asks for them, and in
    `info["action_mask"]`.
    """

    metadata = {"render_modes": []}

    def __init__(self, address="127.0.0.1:5005", environment="", timeout=60.0):
        self.link = Link(address, 1, False, environment, timeout)
        self.observation_space = self.link.observation.space
        self.action_space = self.link.action.space
        self.render_mode = None

    def _info(self, info):
        if self.link.masks is not None:
            info["action_mask"] = self.link.mask(0).astype(np.int8)
        return info

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        start = int(self.np_random.integers(1 << 63)) if seed is None else seed
        return self.link.reset(start)[0], self._info({})

    def step(self, action):
        if not self.action_space.contains(action):
            raise ValueError(f"action {action!r} is not in {self.action_space}")
        observations, rewards, terminated, truncated, _, infos = self.link.step([action])
        ends = bool(terminated[0]), bool(truncated[0])
        return observations[0], float(rewards[0]), *ends, self._info(infos[0])

    def action_masks(self):
        return self.link.mask(0)

    def close(self):
        self.link.close()


class UsagiVectorEnv(VectorEnv):
    """Environments of a Rust program that runs `rl::gymnasium::serve`, stepped in one message.

    What has ended starts anew within the same step, and its last observation is in
    `infos["final_obs"]`: `AutoresetMode.SAME_STEP`.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, address="127.0.0.1:5005", num_envs=1, environment="", timeout=60.0):
        super().__init__()
        self.link = Link(address, num_envs, True, environment, timeout)
        self.num_envs = num_envs
        self.single_observation_space = self.link.observation.space
        self.single_action_space = self.link.action.space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = None

    def _batch(self, observations):
        space = self.single_observation_space
        return concatenate(space, observations, create_empty_array(space, self.num_envs))

    def _masks(self, infos):
        if self.link.masks is not None:
            infos["action_mask"] = self.link.masks.astype(np.int8)
            infos["_action_mask"] = np.ones(self.num_envs, bool)
        return infos

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        start = int(self.np_random.integers(1 << 63)) if seed is None else seed
        return self._batch(self.link.reset(start)), self._masks({})

    def step(self, actions):
        if not self.action_space.contains(actions):
            raise ValueError(f"actions {actions!r} are not in {self.action_space}")
        actions = list(iterate(self.action_space, actions))
        observations, rewards, terminated, truncated, finals, all_infos = self.link.step(actions)
        infos = {}
        for i, info in enumerate(all_infos):
            if i in finals:
                infos = self._add_info(infos, {"final_obs": finals[i], "final_info": info}, i)
            else:
                infos = self._add_info(infos, info, i)
        return self._batch(observations), rewards, terminated, truncated, self._masks(infos)

    def close_extras(self, **kwargs):
        self.link.close()


def main():
    parser = argparse.ArgumentParser(description="Serve Gymnasium's environments to a Rust program")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--connect", metavar="HOST:PORT", help="to the program that listens there")
    where.add_argument("--listen", metavar="HOST:PORT", help="to one program after the other")
    options = parser.parse_args()
    if options.connect:
        serve(socket.create_connection(address_of(options.connect), 60))
        return
    with socket.create_server(address_of(options.listen)) as listener:
        print("listening on %s:%s" % listener.getsockname()[:2], flush=True)
        while True:
            sock, peer = listener.accept()
            with sock:
                try:
                    serve(sock)
                except (ProtocolError, OSError) as error:
                    print(f"{peer[0]}:{peer[1]}: {error}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (ProtocolError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
