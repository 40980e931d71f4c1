//! What structured pruning changed.

use std::fmt;

use serde::Serialize;

use super::rules::LeftAlone;

/// Group by group the channels before and after. Printed as a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PruneReport {
    /// Every group, in the order of the graph.
    pub groups: Vec<GroupChange>,
    /// Where channels were met that cannot be removed, and why.
    pub left_alone: Vec<LeftAlone>,
    /// Multiply–adds of the graph at a batch of one.
    pub multiply_adds_before: u64,
    /// Those of the smaller graph.
    pub multiply_adds_after: u64,
    /// Learnable parameters of the graph.
    pub parameters_before: usize,
    /// Those of the smaller graph.
    pub parameters_after: usize,
}

/// The channels of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupChange {
    /// The layer that gives them.
    pub name: String,
    /// The parameters along which they lie.
    pub members: Vec<String>,
    /// How many there were.
    pub before: usize,
    /// How many are left.
    pub after: usize,
    /// Why the group was left whole, where it was.
    pub left_for: Option<String>,
    /// Whether a layer normalisation takes statistics over them, which change with what is left.
    pub is_normalised_over: bool,
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| name.chars().count()).max().unwrap_or(0).max(14)
        };
        let name = width(&mut self.groups.iter().map(|group| group.name.as_str()));
        writeln!(f, "{:<name$}  {:>6}  {:>6}", "group", "before", "after")?;
        for group in &self.groups {
            write!(f, "{:<name$}  {:>6}  {:>6}", group.name, group.before, group.after)?;
            match &group.left_for {
                Some(reason) => writeln!(f, "  {reason}")?,
                None => writeln!(f)?,
            }
        }
        let (before, after) = (self.multiply_adds_before, self.multiply_adds_after);
        writeln!(f, "{:<name$}  {before} → {after}", "multiply-adds")?;
        let (before, after) = (self.parameters_before, self.parameters_after);
        writeln!(f, "{:<name$}  {before} → {after}", "parameters")?;
        for left in &self.left_alone {
            writeln!(f, "left alone: {} ({}): {}", left.node, left.op, left.reason)?;
        }
        Ok(())
    }
}
