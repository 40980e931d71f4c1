//! What environments and agents refuse, and what `check` finds.
#![allow(missing_docs, clippy::items_after_statements)]

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use rl::environment::{Element, from_state, to_state};
use rl::environments::{
    Acrobot, Advertising, AdvertisingConfig, CartPole, CliffWalking, FrozenLake, GridWorld, Maze,
    MountainCar, MountainCarContinuous, Pendulum, Traffic, TrafficConfig,
};
use rl::random::Random;
use rl::vector::{Actions, NormalizedVector, SyncVectorEnvironment, VectorEnvironment};
use rl::wrappers::{
    ActionMask, ActionRange, FrameStack, Normalize, TimeLimit, TransformAction,
    TransformObservation, TransformReward,
};
use rl::{Breach, Environment, Error, Result, Space, Spaces, Step, check, evaluate};
use serde_json::Value;

/// What a [`Walk`] does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Length,
    Outside,
    NotFinite,
    NarrowActions,
    Reward,
    Info,
    MaskLength,
    MaskForbidsAll,
    TakesForbidden,
    Unseeded,
    StepAfterEnd,
    BothEnds,
    Clock,
    Restore,
    KeepsPlace,
}

/// A walk on −8..=8 from a drawn start with gusts of wind; one may not walk off the end.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Walk {
    #[serde(skip, default = "none")]
    fault: Fault,
    place: f64,
    steps: u32,
    running: bool,
    mask: Vec<bool>,
    random: Random,
}

fn none() -> Fault {
    Fault::None
}

impl Walk {
    fn new(fault: Fault) -> Self {
        let (mask, random) = (vec![true; 2], Random::new(1));
        Self { fault, place: 0.0, steps: 0, running: false, mask, random }
    }

    fn seen(&mut self) -> Vec<f64> {
        self.mask = vec![self.place > -8.0, self.place < 8.0];
        match self.fault {
            Fault::MaskLength => self.mask.push(true),
            Fault::MaskForbidsAll if self.steps == 3 => self.mask.fill(false),
            _ => {}
        }
        let late = self.steps > 2;
        let place = match self.fault {
            Fault::Outside if late => 9.5,
            Fault::NotFinite if late => f64::NAN,
            _ => self.place,
        };
        let mut seen = vec![place, f64::from(self.steps)];
        if self.fault == Fault::Length && late {
            seen.pop();
        }
        seen
    }
}

impl Environment for Walk {
    type Observation = Vec<f64>;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        let observation = Space::Continuous { low: vec![-8.0, 0.0], high: vec![8.0, 50.0] };
        let actions = if self.fault == Fault::NarrowActions { 3 } else { 2 };
        Spaces { observation, action: Space::Discrete(actions) }
    }

    fn reset(&mut self, seed: u64) -> Result<Vec<f64>> {
        if self.fault != Fault::Unseeded {
            self.random = Random::new(seed);
        }
        if self.fault != Fault::KeepsPlace {
            self.place = self.random.below(7) as f64 - 3.0;
        }
        (self.steps, self.running) = (0, true);
        Ok(self.seen())
    }

    fn step(&mut self, action: &usize) -> Result<Step<Vec<f64>>> {
        if !self.running && self.fault != Fault::StepAfterEnd {
            return Err(Error::Ended);
        }
        let possible =
            self.mask.get(*action) != Some(&false) || self.fault == Fault::TakesForbidden;
        if *action > 1 || !possible {
            let expected = "a way".to_owned();
            return Err(Error::Action { action: action.to_string(), expected });
        }
        let gust = self.random.below(3) as f64 - 1.0;
        self.place = (self.place + 2.0 * *action as f64 - 1.0 + gust).clamp(-8.0, 8.0);
        self.steps += 1;
        let arrived = self.place.abs() >= 8.0 && gust == 0.0 && self.fault != Fault::Clock;
        let late = self.steps >= 50;
        self.running = !(arrived || late);
        let reward = if self.fault == Fault::Reward { f64::INFINITY } else { 1.0 };
        let wind = if self.fault == Fault::Info { f64::NAN } else { gust };
        let step = Step::new(self.seen(), reward).info("wind", wind);
        Ok(match self.fault {
            Fault::BothEnds => step.terminated(arrived || late).truncated(late),
            Fault::Clock => step.terminated(late),
            _ => step.terminated(arrived).truncated(late && !arrived),
        })
    }

    fn mask(&self) -> Option<&[bool]> {
        // Three actions have no mask of two.
        (self.fault != Fault::NarrowActions).then_some(&self.mask)
    }

    fn state(&self) -> Result<Value> {
        let mut saved = self.clone();
        if self.fault == Fault::Restore {
            // The wind is forgotten.
            saved.random = Random::new(0);
        }
        to_state(&saved)
    }

    fn restore(&mut self, state: &Value) -> Result<()> {
        *self = Self { fault: self.fault, ..from_state(state)? };
        Ok(())
    }
}

#[test]
fn each_breach_of_the_contract_is_found_by_name() {
    assert_eq!(check(&mut Walk::new(Fault::None)), []);
    let finds = |fault: Fault, is: &dyn Fn(&Breach) -> bool, word: &str| {
        let found = check(&mut Walk::new(fault));
        let breach = found.iter().find(|breach| is(breach));
        let breach = breach.unwrap_or_else(|| panic!("{fault:?}: {found:?}"));
        assert!(breach.to_string().contains(word), "{breach}");
    };
    use Breach as B;
    finds(Fault::Length, &|b| matches!(b, B::ObservationLength(_)), "at step 3");
    finds(Fault::Outside, &|b| matches!(b, B::ObservationOutside(_)), "9.5");
    finds(Fault::NotFinite, &|b| matches!(b, B::ObservationNotFinite(_)), "NaN");
    finds(Fault::NarrowActions, &|b| matches!(b, B::ActionSpace(_)), "action 2");
    finds(Fault::Reward, &|b| matches!(b, B::Reward(_)), "inf at step 1");
    finds(Fault::Info, &|b| matches!(b, B::Info(_)), "`wind` is NaN at step 1");
    finds(Fault::MaskLength, &|b| matches!(b, B::MaskLength(_)), "3 entries after reset");
    finds(Fault::MaskForbidsAll, &|b| matches!(b, B::MaskForbidsAll(_)), "all false");
    finds(Fault::TakesForbidden, &|b| matches!(b, B::ForbiddenAccepted(_)), "mask [");
    finds(Fault::Unseeded, &|b| matches!(b, B::NotReproducible(_)), "two resets");
    finds(Fault::StepAfterEnd, &|b| matches!(b, B::StepAfterEnd(_)), "step ");
    finds(Fault::BothEnds, &|b| matches!(b, B::Ends(_)), "both at step");
    finds(Fault::Clock, &|b| matches!(b, B::Ends(_)), "every episode terminated at step 50");
    finds(Fault::Restore, &|b| matches!(b, B::Restore(_)), "step ");
    finds(Fault::KeepsPlace, &|b| matches!(b, B::ResetKeepsState(_)), "begins otherwise");
}

/// Numbers that are looked into, not taken along.
#[derive(Debug, Clone)]
struct Window(Arc<Mutex<Vec<f64>>>);

impl Element for Window {
    fn write(&self, out: &mut Vec<f64>) {
        out.extend_from_slice(&self.0.lock().unwrap());
    }

    fn read(_space: &Space, numbers: &[f64]) -> Option<Self> {
        Some(Self(Arc::new(Mutex::new(numbers.to_vec()))))
    }
}

/// A walk whose observations are a window on its state.
#[derive(Debug)]
struct Shared(Walk, Window);

impl Environment for Shared {
    type Observation = Window;
    type Action = usize;

    fn spaces(&self) -> Spaces {
        self.0.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<Window> {
        *self.1.0.lock().unwrap() = self.0.reset(seed)?;
        Ok(self.1.clone())
    }

    fn step(&mut self, action: &usize) -> Result<Step<Window>> {
        let step = self.0.step(action)?;
        Ok(step.map(|seen| {
            *self.1.0.lock().unwrap() = seen;
            self.1.clone()
        }))
    }

    fn mask(&self) -> Option<&[bool]> {
        self.0.mask()
    }
}

/// A number that is another one at each look.
#[derive(Debug, Clone)]
struct Flicker(Cell<f64>);

impl Element for Flicker {
    fn write(&self, out: &mut Vec<f64>) {
        self.0.set(-self.0.get());
        out.push(self.0.get());
    }

    fn read(_space: &Space, numbers: &[f64]) -> Option<Self> {
        Some(Self(Cell::new(numbers[0])))
    }
}

#[test]
fn observations_that_change_are_found() {
    let window = Window(Arc::new(Mutex::new(Vec::new())));
    let found = check(&mut Shared(Walk::new(Fault::None), window));
    assert!(found.iter().any(|b| matches!(b, Breach::ObservationChanges(_))), "{found:?}");
    let space = Space::symmetric(1, 10.0);
    let flicker = |seen: &Vec<f64>| Flicker(Cell::new(seen[0] + 0.5));
    let mut world = TransformObservation::new(Walk::new(Fault::None), space, flicker).unwrap();
    let found = check(&mut world);
    assert!(found.iter().any(|b| matches!(b, Breach::ObservationChanges(_))), "{found:?}");
}

#[test]
fn spaces_and_types_that_do_not_fit_are_found() {
    let halves = Space::Continuous { low: vec![1.0], high: vec![0.0] };
    let spaces = Spaces { observation: halves, action: Space::Discrete(2) };
    struct Wrong(Spaces);
    impl Environment for Wrong {
        type Observation = [f64; 1];
        type Action = [f64; 1];

        fn spaces(&self) -> Spaces {
            self.0.clone()
        }

        fn reset(&mut self, _seed: u64) -> Result<[f64; 1]> {
            Ok([0.0])
        }

        fn step(&mut self, _action: &[f64; 1]) -> Result<Step<[f64; 1]>> {
            Ok(Step::new([0.0], 0.0))
        }
    }
    let found = check(&mut Wrong(spaces.clone()));
    assert!(matches!(&found[..], [Breach::Spaces(_)]), "{found:?}");
    let error = SyncVectorEnvironment::new(vec![Wrong(spaces)], 1).err().unwrap();
    assert!(error.to_string().contains("each low at most its high"), "{error}");
    // Indices, where the type takes numbers.
    let spaces = Spaces { observation: Space::symmetric(1, 1.0), action: Space::Discrete(2) };
    let found = check(&mut Wrong(spaces.clone()));
    assert!(matches!(&found[..], [Breach::ActionSpace(_)]), "{found:?}");
    let error = SyncVectorEnvironment::new(vec![Wrong(spaces)], 1).err().unwrap();
    assert!(matches!(error, Error::Action { .. }), "{error}");
}

#[test]
fn no_alarm_on_any_world_of_the_crate() {
    let mut worlds = 0;
    let mut fine = |found: Vec<Breach>| {
        assert_eq!(found, []);
        worlds += 1;
    };
    fine(check(&mut CartPole::new()));
    fine(check(&mut MountainCar::new()));
    fine(check(&mut MountainCarContinuous::new()));
    fine(check(&mut Acrobot::new()));
    fine(check(&mut Pendulum::new()));
    fine(check(&mut FrozenLake::four_by_four().environment()));
    fine(check(&mut FrozenLake::eight_by_eight().environment()));
    fine(check(&mut CliffWalking.environment()));
    fine(check(&mut GridWorld::new(&["...G", ".#.X", "S..."]).unwrap().environment()));
    fine(check(&mut Maze::three_by_three().environment()));
    fine(check(&mut Maze::random(6, 1).unwrap().grid_mdp().unwrap().environment()));
    fine(check(&mut Traffic::new(TrafficConfig::default()).unwrap()));
    fine(check(&mut Advertising::new(AdvertisingConfig::default()).unwrap()));
    // And each wrapper.
    fine(check(&mut TimeLimit::new(FrozenLake::four_by_four().environment(), 30).unwrap()));
    fine(check(&mut FrameStack::new(CartPole::new(), 3).unwrap()));
    fine(check(&mut Normalize::new(CartPole::new()).freeze()));
    fine(check(&mut ActionRange::rescaled(Pendulum::new()).unwrap()));
    fine(check(&mut ActionRange::clipped(Pendulum::new()).unwrap()));
    fine(check(&mut TransformReward::new(CartPole::new(), |reward| 2.0 * reward)));
    let torque = |choice: &usize| [*choice as f64 - 1.0];
    fine(check(&mut TransformAction::new(Pendulum::new(), Space::Discrete(3), torque).unwrap()));
    let seen = Space::unbounded(1);
    let angle = |seen: &[f64; 4]| [seen[2]];
    fine(check(&mut TransformObservation::new(CartPole::new(), seen, angle).unwrap()));
    let inward = |_: &CartPole, seen: &[f64; 4], mask: &mut [bool]| {
        mask[usize::from(seen[0] < 0.0)] = true;
        mask[usize::from(seen[0] >= 0.0)] = seen[0].abs() < 0.1;
    };
    fine(check(&mut ActionMask::new(CartPole::new(), inward)));
    let mut boxed: Box<dyn Environment<Observation = [f64; 4], Action = usize>> =
        Box::new(CartPole::new());
    fine(check(&mut boxed));
    assert_eq!(worlds, 23);
}

fn pool(faults: &[Fault]) -> Result<SyncVectorEnvironment<Walk>> {
    SyncVectorEnvironment::new(faults.iter().map(|fault| Walk::new(*fault)).collect(), 1)
}

/// The first error of some steps.
fn trouble(pool: &mut dyn VectorEnvironment) -> Error {
    for _ in 0..20 {
        let masks = pool.masks().unwrap().to_vec();
        let actions: Vec<usize> = masks.chunks(2).map(|mask| usize::from(!mask[0])).collect();
        if let Err(error) = pool.step(Actions::Indices(&actions)) {
            return error;
        }
    }
    panic!("no error");
}

#[test]
fn pools_name_the_environment_and_the_step() {
    let text = |fault| trouble(&mut pool(&[Fault::None, fault]).unwrap()).to_string();
    let short = text(Fault::Length);
    assert!(short.contains("environment 1 at step 3 is 1 numbers, expected 2 numbers"), "{short}");
    let nan = text(Fault::NotFinite);
    assert!(nan.contains("observation of environment 1 is NaN at step 3"), "{nan}");
    assert!(text(Fault::Reward).contains("reward of environment 1 is inf at step 1"));
    assert!(text(Fault::MaskForbidsAll).contains("mask is all false"));
    let long = pool(&[Fault::MaskLength]).unwrap_err().to_string();
    assert!(long.contains("mask is 3 entries, expected 2 entries"), "{long}");
    // Beyond single precision.
    let huge = |_: &Vec<f64>| [1e39];
    let world = TransformObservation::new(Walk::new(Fault::None), Space::unbounded(1), huge);
    let error = SyncVectorEnvironment::new(vec![world.unwrap()], 1).err().unwrap().to_string();
    assert!(error.contains("observation of environment 0 is 1"), "{error}");
    // Indices beyond a discrete observation.
    let far = |_: &Vec<f64>| 5_usize;
    let world = TransformObservation::new(Walk::new(Fault::None), Space::Discrete(5), far);
    let error = SyncVectorEnvironment::new(vec![world.unwrap()], 1).err().unwrap().to_string();
    assert!(error.contains("5 at place 0, expected one of 0..5"), "{error}");
}

/// Free at odd steps, masked at even ones.
#[derive(Debug, Clone)]
struct SometimesMasked(CartPole, u32, [bool; 2]);

impl Environment for SometimesMasked {
    type Observation = [f64; 4];
    type Action = usize;

    fn spaces(&self) -> Spaces {
        self.0.spaces()
    }

    fn reset(&mut self, seed: u64) -> Result<[f64; 4]> {
        self.1 = 0;
        self.0.reset(seed)
    }

    fn step(&mut self, action: &usize) -> Result<Step<[f64; 4]>> {
        self.1 += 1;
        let mut step = self.0.step(action)?;
        step.truncated |= self.1 == 4 && !step.terminated;
        Ok(step)
    }

    fn mask(&self) -> Option<&[bool]> {
        (self.1 > 0 && self.1.is_multiple_of(2)).then_some(&self.2)
    }
}

#[test]
fn where_there_is_no_mask_all_is_possible_also_after_one() {
    let world = |mask| SometimesMasked(CartPole::new(), 0, mask);
    let worlds = vec![world([false, true]), world([true, false])];
    let mut pool = SyncVectorEnvironment::new(worlds, 1).unwrap();
    assert_eq!(pool.masks(), None);
    let actions = [[0, 0], [0, 1], [1, 0], [0, 1]];
    let mut seen = Vec::new();
    let mut last = None;
    for actions in actions {
        last = pool.step(Actions::Indices(&actions)).unwrap().final_masks.clone();
        seen.push(pool.masks().map(<[bool]>::to_vec));
    }
    let masked = Some(vec![false, true, true, false]);
    let free = Some(vec![true; 4]);
    // The first mask comes at the second step; the fourth ends the episode.
    assert_eq!(seen, [None, masked.clone(), free.clone(), free]);
    assert_eq!(last, masked);
}

/// A mask of the final observation, not of the one before.
#[test]
fn masks_of_truncated_ends_are_those_of_the_end() {
    // Only against the pole's turn: the allowed action changes at nearly each step.
    let rule = |_: &TimeLimit<CartPole>, seen: &[f64; 4], mask: &mut [bool]| {
        mask[0] = seen[3] < 0.0;
        mask[1] = seen[3] >= 0.0;
    };
    let limited = TimeLimit::new(CartPole::new(), 7).unwrap();
    let mut world = ActionMask::new(limited, rule);
    let mut changed = 0;
    for seed in 0..10 {
        let mut seen = world.reset(seed).unwrap();
        loop {
            let before = seen[3] < 0.0;
            let step = world.step(&usize::from(!before)).unwrap();
            seen = step.observation;
            let now = seen[3] < 0.0;
            assert_eq!(world.mask(), Some([now, !now].as_slice()));
            if step.ended() {
                assert!(step.truncated);
                changed += usize::from(before != now);
                break;
            }
        }
    }
    assert!(changed > 0, "no end at which the mask changed");
}

#[test]
fn pools_and_wrappers_refuse_what_is_not_their_state() {
    let mut poles = CartPole::make_vec(3, 1).unwrap();
    let state = VectorEnvironment::state(&poles).unwrap();
    for path in ["/1/columns/2", "/1/elapsed", "/1/episodes", "/1/returns", "/1/columns"] {
        let mut cut = state.clone();
        cut.pointer_mut(path).unwrap().as_array_mut().unwrap().pop();
        let error = VectorEnvironment::restore(&mut poles, &cut).unwrap_err();
        assert!(matches!(error, Error::Resume(_)), "{path}: {error}");
    }
    VectorEnvironment::restore(&mut poles, &state).unwrap();

    let mut normal = Normalize::new(CartPole::new());
    normal.reset(1).unwrap();
    let mut state = normal.state().unwrap();
    state.pointer_mut("/0/observations/mean").unwrap().as_array_mut().unwrap().pop();
    assert!(matches!(normal.restore(&state), Err(Error::Resume(_))));
    let mut cars = NormalizedVector::new(MountainCar::make_vec(2, 1).unwrap()).unwrap();
    let mut state = cars.state().unwrap();
    state.pointer_mut("/0/squares/0").map(|x| *x = Value::from(-1.0)).unwrap();
    assert!(matches!(cars.restore(&state), Err(Error::Resume(_))));

    // Where one of several is refused, all stay as they were.
    let mut walks = pool(&[Fault::None; 3]).unwrap();
    let before = walks.state().unwrap();
    walks.step(Actions::Indices(&[0, 1, 1])).unwrap();
    let after = walks.state().unwrap();
    let mut bad = before;
    *bad.pointer_mut("/cells/2/1").unwrap() = Value::Null;
    assert!(walks.restore(&bad).is_err());
    assert_eq!(walks.state().unwrap(), after);
}

/// Statistics are one for all, and go with the agent.
#[test]
fn statistics_of_a_pool_are_shared() {
    let mut cars = NormalizedVector::new(MountainCar::make_vec(16, 1).unwrap()).unwrap();
    for number in 0..300 {
        cars.step(Actions::Indices(&[number / 20 % 3; 16])).unwrap();
    }
    let moments = cars.moments().clone();
    let rows: Vec<f64> = cars.observations().iter().map(|x| f64::from(*x)).collect();
    let mean = rows.iter().step_by(2).sum::<f64>() / 16.0;
    assert!(mean.abs() < 3.0 && moments.deviation(0) < 0.5, "{mean}");
    let mut one = Normalize::frozen(MountainCar::new(), moments.clone()).unwrap();
    let seen = one.reset(5).unwrap();
    let plain = MountainCar::new().reset(5).unwrap();
    assert!((seen[0] - moments.normal(0, plain[0])).abs() < 1e-12);
    assert_eq!(one.moments(), &moments);
    assert!(Normalize::frozen(CartPole::new(), moments).is_err());
}

#[test]
fn boxes_of_environments_work_everywhere() {
    type Boxed = Box<dyn Environment<Observation = [f64; 4], Action = usize> + Send>;
    let boxed = || Box::new(CartPole::new()) as Boxed;
    let mut limited = TimeLimit::new(boxed(), 20).unwrap();
    let score = evaluate(&|_: &[f64; 4]| 0, &mut limited, 3, 1).unwrap();
    assert_eq!(score, evaluate(&|_: &[f64; 4]| 0, &mut CartPole::new(), 3, 1).unwrap());
    let many = SyncVectorEnvironment::new(vec![boxed(), boxed()], 1).unwrap();
    let mut many: Box<dyn VectorEnvironment> = Box::new(many);
    many.step(Actions::Indices(&[0, 1])).unwrap();
    let state = many.state().unwrap();
    many.restore(&state).unwrap();
}
