"""Holds both ways over the socket against Gymnasium itself.

    cargo build --workspace --release --example rl_gymnasium
    python crates/rl/tests/gymnasium_bridge.py            # from the root; target/ or CARGO_TARGET_DIR

Ran with gymnasium 1.4.0, stable-baselines3 2.9.2, numpy 2.4.6.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "examples/gymnasium/usagi_gymnasium.py"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


class Cart(gymnasium.ObservationWrapper):
    """CartPole that shows its state in double precision."""

    def __init__(self):
        super().__init__(gymnasium.make("CartPole-v1"))
        self.observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)

    def observation(self, observation):
        return np.array(self.unwrapped.state, np.float64)


class Parts(gymnasium.Env):
    """A space of every kind."""

    picture = np.zeros((2, 4, 3), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = 1, np.arange(8).reshape(2, 4), 255

    def __init__(self):
        rest = spaces.Tuple([spaces.MultiBinary(2), spaces.MultiDiscrete([2, 3])])
        image = spaces.Box(0, 255, (2, 4, 3), np.uint8)
        self.observation_space = spaces.Dict({"a": spaces.Discrete(3, start=5), "picture": image, "rest": rest})
        self.action_space = spaces.Discrete(3, start=-1)

    def seen(self):
        rest = np.array([0, 1], np.int8), np.array([1, 2])
        return {"a": np.int64(7), "picture": self.picture, "rest": rest}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return self.seen(), float(action), False, True, {"twice": 2 * action, "text": "not sent"}


class Words(gymnasium.Env):
    """A space that has no fixed count of numbers."""

    observation_space, action_space = spaces.Text(5), spaces.Discrete(2)


for name, entry in (("Cart-v0", Cart), ("Parts-v0", Parts), ("Words-v0", Words)):
    gymnasium.register(name, entry)


def served(world, port):
    """A program that serves a world."""
    out = f"/tmp/gymnasium_bridge_{port}"
    command = [TARGET / "release/examples/rl_gymnasium", "--serve", world, "--port", str(port), "--out", out]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return program
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{command} does not serve")


def equal(usagi):
    """CartPole of Rust, step by step beside Gymnasium's."""
    there, here = usagi.UsagiEnv("127.0.0.1:5105"), gymnasium.make("CartPole-v1")
    rng, steps, most, episode = np.random.default_rng(7), 0, 0.0, 0
    while steps < 1000:
        start, _ = there.reset(seed=episode)
        here.reset(seed=0)
        here.unwrapped.state = start.copy()
        ended = False
        while not ended:
            action = rng.integers(2)
            seen, *found = there.step(action)
            _, *expected = here.step(action)
            assert found[:3] == expected[:3], (steps, found, expected)
            most = max(most, np.abs(seen - np.array(here.unwrapped.state)).max())
            ended = found[1] or found[2]
            steps, episode = steps + 1, episode + 1
    assert most < 1e-9, most
    print(f"CartPole of Rust in Python: {steps} steps, {most:.1e} apart at most")


def vector(usagi):
    """Many of Rust at once are its single ones: autoreset in the same step."""
    many = usagi.UsagiVectorEnv("127.0.0.1:5105", 3)
    seen, _ = many.reset(seed=11)
    ones = [usagi.UsagiEnv("127.0.0.1:5105") for _ in range(3)]
    episodes, ends = [0, 0, 0], 0
    seed = lambda i: usagi.mix(usagi.mix(11, i), episodes[i])
    expected = [one.reset(seed=seed(i))[0] for i, one in enumerate(ones)]
    rng = np.random.default_rng(2)
    for step in range(300):
        assert (seen == np.stack(expected)).all(), step
        actions = rng.integers(2, size=3)
        seen, rewards, terminated, truncated, infos = many.step(actions)
        for i, one in enumerate(ones):
            expected[i], *found, _ = one.step(actions[i])
            assert found == [rewards[i], terminated[i], truncated[i]]
            if found[1] or found[2]:
                ends += 1
                assert (infos["final_obs"][i] == expected[i]).all() and infos["_final_obs"][i]
                episodes[i] += 1
                expected[i], _ = one.reset(seed=seed(i))
    assert ends > 20
    print(f"UsagiVectorEnv: {ends} episodes as UsagiEnv has them")


def main():
    sys.path.insert(0, str(SCRIPT.parent))
    import usagi_gymnasium as usagi
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3 import PPO
    from stable_baselines3.common.evaluation import evaluate_policy

    worlds = ["cart_pole", "pendulum", "frozen_lake"]
    programs = [served(world, 5105 + i) for i, world in enumerate(worlds)]
    try:
        equal(usagi)
        vector(usagi)
        for i, world in enumerate(worlds):
            check_env(usagi.UsagiEnv(f"127.0.0.1:{5105 + i}", world), skip_render_check=True)
            print(f"check_env: {world}")
        env = usagi.UsagiEnv("127.0.0.1:5105")
        before, _ = evaluate_policy(PPO("MlpPolicy", env, seed=1), env, 20, warn=False)
        agent = PPO("MlpPolicy", env, seed=1, n_steps=256).learn(8000)
        after, _ = evaluate_policy(agent, env, 20, warn=False)
        assert after > 2 * before, (before, after)
        print(f"stable-baselines3's PPO on cart_pole of Rust: {before:.1f}, after 8,000 steps {after:.1f}")
    finally:
        for program in programs:
            program.terminate()
            program.wait()
    own = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    subprocess.run(
        "cargo test --release -p rl --no-default-features --features gymnasium --test gymnasium_bridge "
        "-- --ignored".split(),
        cwd=ROOT,
        env=os.environ | {"BRIDGE_PYTHON": sys.executable, "BRIDGE_SCRIPT": str(SCRIPT), "PYTHONPATH": own},
        check=True,
    )
    print("worlds of Python in Rust: as those of Rust")


if __name__ == "__main__":
    main()
