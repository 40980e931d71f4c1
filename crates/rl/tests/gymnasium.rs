//! The environments against Gymnasium, step by step. `fixtures/gymnasium.py` made the fixture.
#![allow(missing_docs, clippy::float_cmp, clippy::print_stdout, clippy::type_complexity)]

use std::collections::BTreeMap;

use rl::environments::{
    Acrobot, CartPole, CliffWalking, ControlEnvironment, ControlVectorEnvironment, Dynamics,
    FrozenLake, Mdp, MountainCar, MountainCarContinuous, Pendulum,
};
use rl::random::mix;
use rl::vector::{Actions, VectorEnvironment as _};
use rl::{Environment as _, Error};
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Steps {
    states: Vec<Vec<f64>>,
    rewards: Vec<f64>,
    terminated: String,
}

#[derive(Deserialize)]
struct Fixture {
    tables: BTreeMap<String, Vec<(usize, usize, f64, usize, f64, bool)>>,
    #[serde(flatten)]
    control: BTreeMap<String, Steps>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/gymnasium.json")).unwrap()
}

/// The formula that the fixture's starts and actions follow.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 += 1;
        (mix(7, self.0 - 1) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn start<S: AsMut<[f64]> + Default>(&mut self, widths: &[f64], centres: &[f64]) -> S {
        let mut state = S::default();
        for ((x, w), c) in state.as_mut().iter_mut().zip(widths).zip(centres) {
            *x = c + (2.0 * self.next() - 1.0) * w;
        }
        state
    }
}

/// Steps through the fixture; the largest difference.
fn compare<D: Dynamics>(
    widths: &[f64],
    centres: &[f64],
    mut action: impl FnMut(&mut Draws) -> D::Action,
) {
    let fixture = fixture();
    let steps = &fixture.control[D::NAME];
    let mut environment = ControlEnvironment::<D>::new().limit(None);
    let mut draws = Draws(0);
    let (mut left, mut total, mut most) = (0, 0.0, 0.0_f64);
    for (number, over) in steps.terminated.bytes().enumerate() {
        if left == 0 {
            environment.start_in(draws.start(widths, centres));
            left = 20;
        }
        let step = environment.step(&action(&mut draws)).unwrap();
        assert_eq!(step.terminated, over == b'1', "{} step {number}", D::NAME);
        total += step.reward;
        left = if step.terminated { 0 } else { left - 1 };
        if number % 5 == 4 {
            let expected = &steps.states[number / 5];
            let now = environment.now();
            for (x, y) in now.as_ref().iter().zip(expected) {
                most = most.max((x - y).abs());
            }
            most = most.max((total - steps.rewards[number / 5]).abs());
            total = 0.0;
        }
    }
    assert_eq!(steps.terminated.len(), 1000);
    println!("{}: within {most:e}", D::NAME);
    assert!(most <= TOLERANCE, "{}: {most:e}", D::NAME);
}

/// The dynamics of an environment's type.
trait Has {
    type Dynamics: Dynamics;
}

impl<D: Dynamics> Has for ControlEnvironment<D> {
    type Dynamics = D;
}

type Of<E> = <E as Has>::Dynamics;

#[test]
fn a_thousand_steps_of_each_agree() {
    let index = |count: f64| move |draws: &mut Draws| (draws.next() * count) as usize;
    let number = |most: f64| move |draws: &mut Draws| [(2.0 * draws.next() - 1.0) * most];
    compare::<Of<CartPole>>(&[1.2, 1.0, 0.15, 1.0], &[0.0; 4], index(2.0));
    compare::<Of<MountainCar>>(&[0.85, 0.07], &[-0.35, 0.0], index(3.0));
    compare::<Of<MountainCarContinuous>>(&[0.8, 0.07], &[-0.4, 0.0], number(1.3));
    compare::<Of<Acrobot>>(&[3.1, 3.1, 4.0, 8.0], &[0.0; 4], index(3.0));
    compare::<Of<Pendulum>>(&[3.1, 7.0], &[0.0; 2], number(2.4));
}

fn same_table(name: &str, mdp: &Mdp) {
    let fixture = fixture();
    let mut expected = fixture.tables[name].iter();
    for state in 0..mdp.states() {
        for action in 0..mdp.actions() {
            // Gymnasium lists outcomes that lead to the same place one by one, as the crate does.
            for outcome in mdp.outcomes(state, action) {
                let (s, a, p, next, reward, over) = *expected.next().unwrap();
                assert_eq!((state, action, outcome.next), (s, a, next), "{name}");
                assert!((outcome.probability - p).abs() < 1e-12, "{name} {state} {action}");
                assert_eq!((outcome.reward, outcome.terminated), (reward, over), "{name} {state}");
            }
        }
    }
    assert!(expected.next().is_none());
}

#[test]
fn tables_of_the_frozen_lake_agree() {
    same_table("FrozenLake-v1 4x4", &FrozenLake::four_by_four().mdp());
    same_table("FrozenLake-v1 8x8", &FrozenLake::eight_by_eight().mdp());
}

#[test]
fn the_table_of_the_cliff_agrees_where_an_agent_can_be() {
    let fixture = fixture();
    let mdp = CliffWalking.mdp();
    for (state, action, p, next, reward, over) in &fixture.tables["CliffWalking-v1"] {
        // The cliff's own fields and the goal are never acted from.
        if (37..48).contains(state) {
            continue;
        }
        let [outcome] = mdp.outcomes(*state, *action) else { panic!("one outcome") };
        assert_eq!(*p, 1.0);
        let found = (outcome.next, outcome.reward, outcome.terminated);
        assert_eq!(found, (*next, *reward, *over), "state {state} action {action}");
    }
}

/// Columns and the single environment go through the same states.
#[test]
fn columns_step_as_single_environments_do() {
    let mut columns: ControlVectorEnvironment<Of<CartPole>> = CartPole::make_vec(3, 5).unwrap();
    for step in 0..2000_usize {
        let before: Vec<_> = (0..3).map(|i| columns.state_of(i)).collect();
        let actions: Vec<usize> =
            (0..3).map(|i| (mix(1, (3 * step + i) as u64) % 2) as usize).collect();
        let transitions = columns.step(Actions::Indices(&actions)).unwrap().clone();
        for i in 0..3 {
            let mut single = CartPole::new();
            single.start_in(before[i]);
            let next = single.step(&actions[i]).unwrap();
            assert_eq!(next.terminated, transitions.terminated[i]);
            let row = if transitions.ended(i) {
                &transitions.final_observations[4 * i..4 * i + 4]
            } else {
                &columns.observations()[4 * i..4 * i + 4]
            };
            for (a, b) in row.iter().zip(next.observation) {
                assert!((f64::from(*a) - b).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn actions_outside_the_space_and_steps_after_the_end_are_errors() {
    let mut pole = CartPole::new();
    assert!(matches!(pole.step(&0), Err(Error::Ended)));
    pole.reset(1).unwrap();
    let error = pole.step(&2).unwrap_err();
    assert_eq!(error.to_string(), "action 2 is not possible: expected one of 0..2");
    while !pole.step(&1).unwrap().ended() {}
    assert!(matches!(pole.step(&1), Err(Error::Ended)));
    let mut pendulum = Pendulum::new();
    pendulum.reset(1).unwrap();
    assert!(matches!(pendulum.step(&[f64::NAN]), Err(Error::Action { .. })));
    let mut lake = FrozenLake::four_by_four().environment();
    assert!(matches!(lake.step(&0), Err(Error::Ended)));
    lake.reset(1).unwrap();
    assert!(matches!(lake.step(&4), Err(Error::Action { .. })));
    let mut poles = CartPole::make_vec(2, 1).unwrap();
    assert!(matches!(poles.step(Actions::Indices(&[0, 7])), Err(Error::Action { .. })));
    assert!(matches!(poles.step(Actions::Indices(&[0])), Err(Error::Action { .. })));
    assert!(matches!(poles.step(Actions::Numbers(&[0.5, 0.0])), Err(Error::Action { .. })));
    assert!(matches!(CartPole::make_vec(0, 1), Err(Error::Config(_))));
}
