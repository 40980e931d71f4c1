//! Whether an environment keeps the contract that agents rely on.

use std::fmt;

use model_utils_core::random::{Random, mix};

use crate::environment::{Element, Environment, Step, action, check_reward};
use crate::error::Error;
use crate::space::{Misfit, Spaces};

/// Episodes that are played.
const EPISODES: u64 = 8;
/// Steps of an episode that are looked at.
const STEPS: usize = 1000;
/// Steps that are played a second time.
const AGAIN: usize = 64;
/// From this length on, episodes that all terminate at the same step look like a clock's work.
const CLOCK: usize = 20;

/// A way in which an environment breaks the contract.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Breach {
    /// Spaces without elements.
    Spaces(String),
    /// An observation of another length than its space says.
    ObservationLength(String),
    /// An observation outside its space.
    ObservationOutside(String),
    /// An observation with NaN or an infinity.
    ObservationNotFinite(String),
    /// An observation that cannot be made of its numbers again.
    ObservationUnreadable(String),
    /// An observation that changes when it is looked at, or when the world goes on.
    ObservationChanges(String),
    /// Actions of the action space that the environment does not take.
    ActionSpace(String),
    /// A reward that is NaN, infinite, or beyond single precision.
    Reward(String),
    /// A number beside a step that is NaN or infinite.
    Info(String),
    /// A mask of another length than the action space's choices.
    MaskLength(String),
    /// A mask that leaves no choice.
    MaskForbidsAll(String),
    /// An action that was taken although the mask forbids it.
    ForbiddenAccepted(String),
    /// Episodes that do not follow from seed and actions.
    NotReproducible(String),
    /// A reset that keeps something of the episode before.
    ResetKeepsState(String),
    /// A step that was taken after the end of an episode.
    StepAfterEnd(String),
    /// An end that is called both terminated and truncated, or a clock's end that is called terminated.
    Ends(String),
    /// A saved state from which the episode does not go on as it did.
    Restore(String),
    /// An error where none was to be expected.
    Failed(String),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, detail) = match self {
            Self::Spaces(detail) => ("spaces without elements", detail),
            Self::ObservationLength(detail) => ("an observation of another length", detail),
            Self::ObservationOutside(detail) => ("an observation outside its space", detail),
            Self::ObservationNotFinite(detail) => ("an observation that is not finite", detail),
            Self::ObservationUnreadable(detail) => ("an observation that cannot be read", detail),
            Self::ObservationChanges(detail) => ("an observation that changes", detail),
            Self::ActionSpace(detail) => ("an action space that does not fit", detail),
            Self::Reward(detail) => ("a reward that is not finite", detail),
            Self::Info(detail) => ("info that is not finite", detail),
            Self::MaskLength(detail) => ("a mask of another length", detail),
            Self::MaskForbidsAll(detail) => ("a mask that forbids all", detail),
            Self::ForbiddenAccepted(detail) => ("a forbidden action is taken", detail),
            Self::NotReproducible(detail) => ("not reproducible from its seed", detail),
            Self::ResetKeepsState(detail) => ("reset keeps state", detail),
            Self::StepAfterEnd(detail) => ("a step after the end is taken", detail),
            Self::Ends(detail) => ("terminated and truncated are confused", detail),
            Self::Restore(detail) => ("save and restore are not exact", detail),
            Self::Failed(detail) => ("an error", detail),
        };
        write!(f, "{what}: {detail}")
    }
}

/// Plays an environment at random for some episodes and reports what breaks the contract of
/// [`Environment`]; nothing where it is kept. Each kind of breach is reported once.
///
/// An environment that says it cannot save itself breaks nothing.
///
/// ```
/// use rl::environments::CartPole;
///
/// assert_eq!(rl::check(&mut CartPole::new()), []);
/// ```
pub fn check<E: Environment + ?Sized>(environment: &mut E) -> Vec<Breach>
where
    E::Observation: Element,
    E::Action: Element,
{
    let mut checker = Checker { spaces: environment.spaces(), found: Vec::new() };
    if let Err(error) = checker.spaces.check() {
        checker.report(Breach::Spaces(error.to_string()));
        return checker.found;
    }
    // What stops the play was reported.
    let _ = checker.play(environment);
    checker.found
}

struct Checker {
    spaces: Spaces,
    found: Vec<Breach>,
}

/// The play cannot go on.
struct Stuck;

/// What was seen of a step, to be compared.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    observation: Vec<u64>,
    mask: Option<Vec<bool>>,
    outcome: Option<(u64, bool, bool)>,
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// A step with what it was taken for and how it was seen.
struct Taken<O> {
    step: Step<O>,
    seen: Seen,
}

impl Checker {
    fn report(&mut self, breach: Breach) {
        let kind = std::mem::discriminant(&breach);
        if self.found.iter().all(|known| std::mem::discriminant(known) != kind) {
            self.found.push(breach);
        }
    }

    fn play<E: Environment + ?Sized>(&mut self, environment: &mut E) -> Result<(), Stuck>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let mut random = Random::new(7);
        let any = self.spaces.action.sample(None, &mut random);
        if let Err(error) = action::<E::Action>(&any, &self.spaces.action) {
            self.report(Breach::ActionSpace(format!("the actions' type is another: {error}")));
            return Err(Stuck);
        }
        let mut lengths = Vec::new();
        for episode in 0..EPISODES {
            let seed = mix(3, episode);
            self.resets(environment, seed, &mut random)?;
            self.saves(environment, &mut random)?;
            lengths.push(self.episode(environment, seed, &mut random)?);
        }
        let first = lengths[0];
        if let Some((length, true)) = first
            && length >= CLOCK
            && lengths.iter().all(|other| *other == first)
        {
            self.report(Breach::Ends(format!(
                "every episode terminated at step {length}, whatever was done: where a clock ended \
                 it, it is truncated"
            )));
        }
        Ok(())
    }

    fn reset<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
    ) -> Result<(E::Observation, Seen), Stuck>
    where
        E::Observation: Element,
    {
        match environment.reset(seed) {
            Ok(observation) => {
                let seen = self.look(environment, &observation, None, "after reset");
                Ok((observation, seen))
            }
            Err(error) => {
                self.report(Breach::Failed(format!("reset({seed}): {error}")));
                Err(Stuck)
            }
        }
    }

    /// Looks at an observation and the mask beside it.
    fn look<E: Environment + ?Sized>(
        &mut self,
        environment: &E,
        observation: &E::Observation,
        outcome: Option<(u64, bool, bool)>,
        at: &str,
    ) -> Seen
    where
        E::Observation: Element,
    {
        let numbers = observation.numbers();
        if bits(&observation.numbers()) != bits(&numbers) {
            self.report(Breach::ObservationChanges(format!("{numbers:?} at first, {at}")));
        }
        let space = self.spaces.observation.clone();
        let detail = format!("{observation:?} {at}, expected {space}");
        match space.misfit(&numbers) {
            None => {
                let read = E::Observation::read(&space, &numbers).map(|again| again.numbers());
                if read.is_none_or(|again| bits(&again) != bits(&numbers)) {
                    self.report(Breach::ObservationUnreadable(detail));
                }
            }
            Some(Misfit::Length(_)) => self.report(Breach::ObservationLength(detail)),
            Some(Misfit::NotFinite(_)) => self.report(Breach::ObservationNotFinite(detail)),
            Some(Misfit::Outside { .. }) => self.report(Breach::ObservationOutside(detail)),
        }
        let mask = environment.mask().map(<[bool]>::to_vec);
        if let Some(mask) = &mask {
            let choices = self.spaces.action.choices();
            // What is possible after the end of the task does not matter.
            let ended = outcome.is_some_and(|(_, terminated, _)| terminated);
            if mask.len() != choices {
                let detail = format!("{} entries {at}, expected {choices}", mask.len());
                self.report(Breach::MaskLength(detail));
            } else if !ended && let Err(error) = self.spaces.check_mask(mask) {
                self.report(Breach::MaskForbidsAll(format!("{error} {at}")));
            }
        }
        Seen { observation: bits(&numbers), mask, outcome }
    }

    /// An action that the mask allows, where it is one.
    fn draw(&self, mask: Option<&[bool]>, random: &mut Random) -> Vec<f64> {
        let mask = mask.filter(|mask| self.spaces.check_mask(mask).is_ok());
        self.spaces.action.sample(mask, random)
    }

    fn step<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        numbers: &[f64],
        at: &str,
    ) -> Result<Taken<E::Observation>, Stuck>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let Ok(action) = action::<E::Action>(numbers, &self.spaces.action) else {
            return Err(Stuck);
        };
        let step = match environment.step(&action) {
            Ok(step) => step,
            Err(error @ Error::Action { .. }) => {
                self.report(Breach::ActionSpace(format!("{at}: {error}")));
                return Err(Stuck);
            }
            Err(error) => {
                self.report(Breach::Failed(format!("{at}: {error}")));
                return Err(Stuck);
            }
        };
        if check_reward(step.reward, 0, 0).is_err() {
            self.report(Breach::Reward(format!("{} {at}", step.reward)));
        }
        if let Some((name, value)) = step.info.iter().find(|(_, value)| !value.is_finite()) {
            self.report(Breach::Info(format!("`{name}` is {value} {at}")));
        }
        if step.terminated && step.truncated {
            self.report(Breach::Ends(format!("both {at}: a task that has ended was not cut off")));
        }
        let outcome = Some((step.reward.to_bits(), step.terminated, step.truncated));
        let seen = self.look(environment, &step.observation, outcome, at);
        Ok(Taken { step, seen })
    }

    /// Some steps by given actions, or drawn ones that are written down.
    fn steps<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        first: &Seen,
        actions: &mut Vec<Vec<f64>>,
        random: &mut Random,
    ) -> Result<Vec<Seen>, Stuck>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let known = actions.len();
        let mut all = vec![first.clone()];
        for at in 0..if known > 0 { known } else { AGAIN } {
            if known == 0 {
                actions.push(self.draw(all[at].mask.as_deref(), random));
            }
            let numbers = actions[at].clone();
            let taken = self.step(environment, &numbers, &format!("at step {}", at + 1))?;
            let ended = taken.step.ended();
            all.push(taken.seen);
            if ended {
                break;
            }
        }
        Ok(all)
    }

    /// Whether an episode follows from its seed alone.
    fn resets<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
        random: &mut Random,
    ) -> Result<(), Stuck>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let (_, first) = self.reset(environment, seed)?;
        let (_, second) = self.reset(environment, seed)?;
        if first != second {
            let detail = format!("two resets with {seed} begin differently");
            self.report(Breach::NotReproducible(detail));
            return Ok(());
        }
        let mut actions = Vec::new();
        let one = self.steps(environment, &second, &mut actions, random)?;
        let (_, third) = self.reset(environment, seed)?;
        if third != second {
            let detail = format!("reset({seed}) begins otherwise after {} steps", one.len() - 1);
            self.report(Breach::ResetKeepsState(detail));
            return Ok(());
        }
        let other = self.steps(environment, &third, &mut actions, random)?;
        if let Some(at) = (0..one.len()).find(|at| one.get(*at) != other.get(*at)) {
            let detail = format!("with {seed} and the same actions step {at} is another");
            self.report(Breach::NotReproducible(detail));
        }
        Ok(())
    }

    /// Whether a saved state goes on as it did.
    fn saves<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        random: &mut Random,
    ) -> Result<(), Stuck>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let mut walk = random.below(AGAIN);
        // Where an episode ends on the way, a shorter one; without a step one is always there.
        let mask = 'walks: loop {
            let (_, first) = self.reset(environment, random.below(1 << 30) as u64)?;
            let mut mask = first.mask.clone();
            let mut gone = 0;
            while gone < walk {
                let numbers = self.draw(mask.as_deref(), random);
                let taken = self.step(environment, &numbers, &format!("at step {}", gone + 1))?;
                if taken.step.ended() {
                    walk = gone;
                    continue 'walks;
                }
                mask = taken.seen.mask;
                gone += 1;
            }
            break mask;
        };
        let Ok(state) = environment.state() else { return Ok(()) };
        // As it comes back from a file.
        let Ok(state) = serde_json::from_str(&state.to_string()) else { return Ok(()) };
        let first = Seen { observation: Vec::new(), mask, outcome: None };
        let mut actions = Vec::new();
        let one = self.steps(environment, &first, &mut actions, random)?;
        if let Err(error) = environment.restore(&state) {
            self.report(Breach::Restore(format!("its own state is refused: {error}")));
            return Ok(());
        }
        let again = environment.mask().map(<[bool]>::to_vec);
        if again != first.mask {
            self.report(Breach::Restore("the mask is another".to_owned()));
            return Ok(());
        }
        let other = self.steps(environment, &first, &mut actions, random)?;
        if let Some(at) = (0..one.len()).find(|at| one.get(*at) != other.get(*at)) {
            self.report(Breach::Restore(format!("step {at} after it is another")));
        }
        Ok(())
    }

    /// An episode to its end; its length, and whether it terminated.
    fn episode<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        seed: u64,
        random: &mut Random,
    ) -> Result<Option<(usize, bool)>, Stuck>
    where
        E::Observation: Element,
        E::Action: Element,
    {
        let (mut before, seen) = self.reset(environment, seed)?;
        let (mut mask, mut known) = (seen.mask, seen.observation);
        for length in 1..=STEPS {
            if self.forbidden(environment, mask.as_deref(), random) {
                // It has moved on: what was seen is no longer true.
                return Ok(None);
            }
            let numbers = self.draw(mask.as_deref(), random);
            let taken = self.step(environment, &numbers, &format!("at step {length}"))?;
            if bits(&before.numbers()) != known {
                let detail = format!("that before step {length} is {before:?} after it");
                self.report(Breach::ObservationChanges(detail));
            }
            if taken.step.ended() {
                let again = action::<E::Action>(&numbers, &self.spaces.action);
                if again.is_ok_and(|action| environment.step(&action).is_ok()) {
                    let detail = format!("step {} of an episode of {length}", length + 1);
                    self.report(Breach::StepAfterEnd(detail));
                }
                return Ok(Some((length, taken.step.terminated)));
            }
            (before, mask, known) =
                (taken.step.observation, taken.seen.mask, taken.seen.observation);
        }
        Ok(None)
    }

    /// Whether a forbidden action was taken.
    fn forbidden<E: Environment + ?Sized>(
        &mut self,
        environment: &mut E,
        mask: Option<&[bool]>,
        random: &mut Random,
    ) -> bool
    where
        E::Action: Element,
    {
        let space = &self.spaces.action;
        let Some(mask) = mask.filter(|mask| self.spaces.check_mask(mask).is_ok()) else {
            return false;
        };
        let drawn = (0..8).map(|_| space.sample(None, random)).collect::<Vec<_>>();
        let Some(numbers) = drawn.into_iter().find(|numbers| !space.allows(numbers, mask)) else {
            return false;
        };
        let Ok(action) = action::<E::Action>(&numbers, space) else { return false };
        let taken = environment.step(&action).is_ok();
        if taken {
            self.report(Breach::ForbiddenAccepted(format!("{action:?} with the mask {mask:?}")));
        }
        taken
    }
}
