//! A tree as a graph for Graphviz.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::Tree;
use crate::game::Game;
use crate::nodes::{Proven, ROOT};
use crate::rule::Rule;

impl<G: Game, R: Rule> Tree<G, R> {
    /// The tree in the DOT language: nodes with at least `least_visits` visits and at least one,
    /// each with its visits and its value for the player who chose it (the root: who is to move),
    /// edges with the action. Thicker edges have more visits.
    pub fn dot(&self, least_visits: u32) -> String {
        let least = least_visits.max(1);
        let total = f64::from(self.visits().max(1));
        let mut dot = String::from(
            "digraph tree {\n  node [shape=box, fontname=\"sans-serif\"];\n  \
             edge [fontname=\"sans-serif\"];\n",
        );
        let mut open = vec![(ROOT, self.root.clone(), self.arena.link(ROOT).mover())];
        let mut seen = HashSet::new();
        while let Some((slot, game, chooser)) = open.pop() {
            let visits = self.arena.visits(slot);
            let link = self.arena.link(slot);
            let proven = self.arena.proven(slot, chooser).map_or("", |proven| match proven {
                Proven::Loss => "\\nloss",
                Proven::Draw => "\\ndraw",
                Proven::Win => "\\nwin",
            });
            let value = self.arena.mean(slot);
            let _ = writeln!(dot, "  n{slot} [label=\"{visits}\\n{value:+.3}{proven}\"];");
            if !link.is_expanded() {
                continue;
            }
            // Below several slots of a graph.
            let is_new = seen.insert(link.first());
            for child in link.children().rev() {
                let visits = self.arena.visits(child);
                if visits < least {
                    continue;
                }
                let action = self.arena.action(child);
                let name = game.action_name(action).replace('\\', "\\\\").replace('"', "\\\"");
                let width = 0.5 + 5.0 * f64::from(visits) / total;
                let _ =
                    writeln!(dot, "  n{slot} -> n{child} [label=\"{name}\", penwidth={width:.2}];");
                if is_new {
                    let mut next = game.clone();
                    next.play(action);
                    open.push((child, next, link.mover()));
                }
            }
        }
        dot.push_str("}\n");
        dot
    }
}
