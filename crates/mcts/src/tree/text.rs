//! A tree as indented lines.

use std::fmt::Write as _;

use super::Tree;
use crate::game::{Action, Game};
use crate::rule::Rule;

/// The most children of a node that are shown.
const BROAD: usize = 5;

impl<G: Game, R: Rule> Tree<G, R> {
    /// The tree in lines, `depth` actions deep: of each node the five most visited children that were
    /// visited at all, each with its visits, its value for who chooses it, its prior, and what is
    /// proven. Empty before the root was judged.
    pub fn text(&self, depth: usize) -> String {
        let mut text = String::new();
        self.add_lines(&mut text, &self.root, &mut Vec::new(), depth);
        text
    }

    fn add_lines(&self, text: &mut String, game: &G, line: &mut Vec<Action>, depth: usize) {
        let Some(children) = self.children_after(line).filter(|_| line.len() < depth) else {
            return;
        };
        let mut order: Vec<_> =
            (0..children.len()).filter(|&child| children.visits(child) > 0).collect();
        order.sort_by_key(|&child| std::cmp::Reverse(children.visits(child)));
        for &child in order.iter().take(BROAD) {
            let action = children.action(child);
            let name =
                format!("{:indent$}{}", "", game.action_name(action), indent = 2 * line.len());
            let (visits, value) = (children.visits(child), children.mean(child));
            let prior = children.prior(child);
            let _ = write!(text, "{name:<20} {visits:>9} {value:>+7.3} {prior:>6.3}");
            let proven =
                children.proven(child).map(|proven| format!("  {proven:?}").to_lowercase());
            let _ = writeln!(text, "{}", proven.unwrap_or_default());
            let mut next = game.clone();
            next.play(action);
            line.push(action);
            self.add_lines(text, &next, line, depth);
            line.pop();
        }
        if let Some(more) = order.len().checked_sub(BROAD).filter(|&more| more > 0) {
            let _ = writeln!(text, "{:indent$}and {more} more", "", indent = 2 * line.len());
        }
    }
}
