"""Self-play games an hour of OpenSpiel's AlphaZero (Python, JAX): the peer of `mcts_alphazero`.

    pip install open_spiel jax flax chex optax orbax-checkpoint
    python benches/mcts_alphazero_peer.py [processes] [seconds] [simulations] [width] [depth]

Connect Four, a residual net of that width and depth with fresh weights, that many simulations a move,
Dirichlet noise at the root, each process an actor as OpenSpiel starts them; the first game of each, in
which its net is compiled, is not counted. Prints games and positions an hour of all together.
"""

import multiprocessing
import sys
import tempfile
import time


def actor(seconds, simulations, width, depth, results):
    import pyspiel
    from open_spiel.python.algorithms.alpha_zero import alpha_zero, evaluator, utils

    class Quiet:
        def print(self, *_):
            pass

        opt_print = print

    game = pyspiel.load_game("connect_four")
    config = alpha_zero.Config(
        game="connect_four", path=tempfile.mkdtemp(), learning_rate=1e-3, weight_decay=1e-4,
        decouple_weight_decay=True, train_batch_size=128, replay_buffer_size=1024,
        replay_buffer_reuse=3, max_steps=0, checkpoint_freq=1, actors=1, evaluators=0,
        evaluation_window=1, eval_levels=1, uct_c=2, max_simulations=simulations, policy_alpha=1.0,
        policy_epsilon=0.25, temperature=1, temperature_drop=10, nn_model="resnet", nn_width=width,
        nn_depth=depth, observation_shape=tuple(game.observation_tensor_shape()),
        output_size=game.num_distinct_actions(), verbose=False, quiet=True)
    model = alpha_zero._init_model_from_config(config)
    judge = evaluator.AlphaZeroEvaluator(game, model)
    bots = [alpha_zero._init_bot(config, game, judge, False) for _ in range(2)]

    def play(number):
        return len(alpha_zero._play_game(Quiet(), number, game, bots, 1, 10).states)

    play(0)
    games, positions, started = 0, 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        positions += play(games + 1)
        games += 1
    results.put((games, positions, time.perf_counter() - started))


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    processes, seconds, simulations, width, depth = given + [2, 60, 16, 32, 4][len(given):]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    actors = [context.Process(target=actor, args=(seconds, simulations, width, depth, results))
              for _ in range(processes)]
    for process in actors:
        process.start()
    found = [results.get() for _ in actors]
    for process in actors:
        process.join()
    games, positions = (sum(3600 * row[at] / row[2] for row in found) for at in (0, 1))
    print(f"{processes} processes, {simulations} simulations a move, net {width} x {depth}: "
          f"{games:.0f} games/h, {positions:.0f} positions/h")
