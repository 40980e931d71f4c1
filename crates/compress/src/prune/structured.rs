//! Whole channels removed.

use std::fmt;

use derive_setters::Setters;
use model_utils::config;
use model_utils::graph::Graph;
use model_utils::train::{Asks as _, Stop, Stoppable};

use super::group::Dependencies;
use super::importance::Importance;
use super::report::{GroupChange, PruneReport};
use crate::error::{ConfigError, Error, Result};

/// Structured pruning: which share of the channels or multiply–adds goes, and how they are ranked.
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::activation::relu;
/// use compress::prune::{Importance, Structured};
/// use model_utils::device::DeviceSpec;
/// use model_utils::graph::Graph;
///
/// let device = "flex".parse::<DeviceSpec>()?.open()?;
/// let layers = vec![LinearConfig::new(8, 64).init(&device), LinearConfig::new(64, 2).init(&device)];
/// let graph = Graph::trace(&layers, [1, 8], |layers: &Vec<Linear>, x| {
///     layers[1].forward(relu(layers[0].forward(x)))
/// })?;
/// let pruned = Structured::half().with_importance(Importance::L2).prune(&graph)?;
/// println!("{}", pruned.report);
/// assert_eq!(pruned.graph.summary(1)?.multiply_adds, (8 + 2) * 32);
/// # Ok::<(), compress::Error>(())
/// ```
#[derive(Debug, Clone, Setters)]
#[setters(prefix = "with_")]
pub struct Structured {
    #[setters(skip)]
    target: Target,
    /// Sets how channels are ranked; [`Importance::L1`] by default.
    importance: Importance,
    /// Sets whether the channels of all groups are ranked together; by default every group loses
    /// the same share.
    global_ranking: bool,
    /// Leaves a multiple of this many channels in a group, where it had as many; 1 by default.
    round_to: usize,
    /// Leaves at least this many channels in a group; 1 by default.
    least: usize,
    /// Takes at most this share of a group; 1 by default, which leaves the least number.
    most: f64,
    #[setters(skip)]
    excluded: Vec<String>,
}

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// This share of the channels.
    Channels(f64),
    /// So much that this share of the multiply–adds is left.
    MultiplyAdds(f64),
}

/// What pruning gave.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pruned {
    /// The smaller graph.
    pub graph: Graph,
    /// What went.
    pub report: PruneReport,
}

impl Structured {
    /// Half of the multiply–adds is left.
    pub fn half() -> Self {
        Self::multiply_adds(0.5)
    }

    /// At most this share of the multiply–adds is left, between 0 and 1.
    pub fn multiply_adds(share: f64) -> Self {
        Self::new(Target::MultiplyAdds(share))
    }

    /// This share of the channels goes, from 0 to below 1.
    pub fn channels(share: f64) -> Self {
        Self::new(Target::Channels(share))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            importance: Importance::default(),
            global_ranking: false,
            round_to: 1,
            least: 1,
            most: 1.0,
            excluded: Vec::new(),
        }
    }

    /// Leaves groups alone that lie in a layer of this name or below it (`blocks.0`).
    #[must_use]
    pub fn with_excluded(mut self, layer: impl Into<String>) -> Self {
        self.excluded.push(layer.into());
        self
    }

    /// Prunes a graph.
    ///
    /// The result computes what is left, with weights as they are: it is to be trained on. A
    /// group is never emptied: [`with_least`](Self::with_least) channels stay. `stop.around(&graph)` ends
    /// it between two groups, or two looks for the share that goes.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a share that cannot be (above all: a share of the multiply–adds below
    /// what is left when every group has its least), and a layer of [`with_excluded`](Self::with_excluded)
    /// that has no channels; [`Error::Node`] where no group can be ranked in this way;
    /// [`Stopped`](model_utils::Error::Stopped).
    pub fn prune<'a>(&self, graph: impl Into<Stoppable<&'a Graph>>) -> Result<Pruned> {
        self.check()?;
        let (graph, stop) = graph.into().into_parts();
        let dependencies = Dependencies::new(graph);
        let groups = dependencies.groups();
        for layer in &self.excluded {
            let is_known = groups.iter().any(|group| group.is_within(layer));
            config::require(is_known, "excluded", layer, "a layer with channels that can go")?;
        }
        let mut scores = self.importance.scores(graph, groups, &stop)?;
        if scores.iter().all(Option::is_none) {
            let reason = if groups.is_empty() {
                "no channel of it can be removed".to_owned()
            } else {
                format!("no group of channels can be ranked by {}", self.importance)
            };
            return Err(Error::node("the graph", reason));
        }
        let mut kept_for: Vec<Option<String>> = vec![None; groups.len()];
        for (at, group) in groups.iter().enumerate() {
            if self.excluded.iter().any(|layer| group.is_within(layer)) {
                scores[at] = None;
                kept_for[at] = Some("left out by the caller".to_owned());
            } else if scores[at].is_none() {
                kept_for[at] = Some(format!("not ranked by {}", self.importance));
            }
        }
        let removed = self.chosen(&dependencies, &scores, &stop)?;
        let smaller = dependencies.without(&removed)?;
        let changes =
            groups.iter().zip(&removed).zip(kept_for).map(|((group, removed), kept)| GroupChange {
                name: group.name.clone(),
                members: group.members.iter().map(|member| member.name.clone()).collect(),
                before: group.channels(),
                after: group.channels() - removed.len(),
                left_for: kept,
                is_normalised_over: group.is_normalised_over,
            });
        let report = PruneReport {
            groups: changes.collect(),
            left_alone: dependencies.left_alone().to_vec(),
            multiply_adds_before: graph.summary(1)?.multiply_adds,
            multiply_adds_after: smaller.summary(1)?.multiply_adds,
            parameters_before: graph.learnable_parameters(),
            parameters_after: smaller.learnable_parameters(),
        };
        Ok(Pruned { graph: smaller, report })
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.target {
            Target::Channels(share) => {
                config::share_below_one("channels", share)?;
            }
            Target::MultiplyAdds(share) => {
                config::share_above_zero("multiply_adds", share)?;
            }
        }
        config::at_least("round_to", self.round_to, 1)?;
        config::at_least("least", self.least, 1)?;
        config::share("most", self.most)
    }

    /// The most channels that a group may lose, of those that are to go.
    fn allowed(&self, channels: usize, wanted: usize) -> usize {
        let most = (channels as f64 * self.most).floor() as usize;
        let left = (channels - wanted.min(most)).max(self.least);
        channels - left.next_multiple_of(self.round_to).min(channels)
    }

    /// For each group the channels that go.
    fn chosen(
        &self,
        dependencies: &Dependencies,
        scores: &[Option<Vec<f64>>],
        stop: &Stop,
    ) -> Result<Vec<Vec<usize>>> {
        let ranked = Ranking::new(scores, self.global_ranking);
        let at = |amount: f64| {
            let wanted = ranked.first(amount);
            let lists = wanted.into_iter().zip(scores).zip(&ranked.orders);
            let lists = lists.map(|((wanted, scores), order)| {
                let channels = scores.as_ref().map_or(0, Vec::len);
                let mut list = order[..self.allowed(channels, wanted)].to_vec();
                list.sort_unstable();
                list
            });
            lists.collect::<Vec<Vec<usize>>>()
        };
        let share = match self.target {
            Target::Channels(share) => return Ok(at(share)),
            Target::MultiplyAdds(share) => share,
        };
        let whole = dependencies.multiply_adds_without(&at(0.0))?;
        let most = (share * whole as f64).floor() as u64;
        let least = dependencies.multiply_adds_without(&at(1.0))?;
        if least > most {
            let expected = format!(
                "{:.4} or more: so many are left when every group has its least channels",
                least as f64 / whole.max(1) as f64
            );
            return Err(ConfigError::new("multiply_adds", share, expected).into());
        }
        // What is left falls with the share that goes: the least share that is enough.
        let (mut low, mut high) = (0.0, 1.0);
        if whole <= most {
            return Ok(at(0.0));
        }
        for look in 0..32 {
            stop.check("pruning", format_args!("look {look} for the share that goes"))?;
            let middle = f64::midpoint(low, high);
            if dependencies.multiply_adds_without(&at(middle))? <= most {
                high = middle;
            } else {
                low = middle;
            }
        }
        // One step of the share can move many groups, above all with rounding: those that need not
        // go keep what they have just above the target, from the last on.
        let (more, mut removed) = (at(low), at(high));
        for group in (0..removed.len()).rev() {
            stop.check("pruning", format_args!("what group {group} keeps"))?;
            let fewer = std::mem::replace(&mut removed[group], more[group].clone());
            if dependencies.multiply_adds_without(&removed)? > most {
                removed[group] = fewer;
            }
        }
        Ok(removed)
    }
}

/// Channels from the least important.
struct Ranking {
    /// Of each group.
    orders: Vec<Vec<usize>>,
    /// The groups of all channels together, where they are ranked so.
    global: Option<Vec<usize>>,
}

impl Ranking {
    fn new(scores: &[Option<Vec<f64>>], global_ranking: bool) -> Self {
        let orders = scores.iter().map(|scores| {
            let scores = scores.as_deref().unwrap_or_default();
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            order
        });
        let global = global_ranking.then(|| {
            let of_group = |(group, scores): (usize, &Option<Vec<f64>>)| {
                let scores = scores.clone().unwrap_or_default();
                scores.into_iter().map(move |score| (score, group)).collect::<Vec<_>>()
            };
            let mut all: Vec<(f64, usize)> = scores.iter().enumerate().flat_map(of_group).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            all.into_iter().map(|(_, group)| group).collect()
        });
        Self { orders: orders.collect(), global }
    }

    /// How many of each group are among the first of a share of all.
    fn first(&self, share: f64) -> Vec<usize> {
        match &self.global {
            None => {
                let part = |order: &Vec<usize>| (order.len() as f64 * share).floor() as usize;
                self.orders.iter().map(part).collect()
            }
            Some(groups) => {
                let mut counts = vec![0; self.orders.len()];
                let part = (groups.len() as f64 * share).floor() as usize;
                for &group in &groups[..part] {
                    counts[group] += 1;
                }
                counts
            }
        }
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "L1 norm",
            Self::L2 => "L2 norm",
            Self::BatchNormScale => "the scale of its batch normalisation",
            Self::GeometricMedian => "distance to the geometric median",
            Self::Taylor(_) => "first-order Taylor expansion",
            Self::Random { .. } => "chance",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_keeps_its_least_and_multiples() {
        let rule = Structured::channels(0.5).with_round_to(8).with_least(4);
        assert_eq!(rule.allowed(64, 32), 32);
        assert_eq!(rule.allowed(64, 33), 32);
        assert_eq!(rule.allowed(64, 64), 56);
        assert_eq!(rule.allowed(6, 6), 0);
        assert_eq!(Structured::half().with_most(0.25).allowed(10, 9), 2);
        assert_eq!(Structured::half().allowed(10, 10), 9);
    }

    #[test]
    fn a_global_ranking_takes_the_least_of_all() {
        let scores = [Some(vec![3.0, 0.1, 0.2]), None, Some(vec![2.0, 0.15])];
        let ranking = Ranking::new(&scores, true);
        assert_eq!(ranking.first(0.6), [2, 0, 1]);
        assert_eq!(ranking.orders, [vec![1, 2, 0], vec![], vec![1, 0]]);
        assert_eq!(Ranking::new(&scores, false).first(0.5), [1, 0, 1]);
    }
}
