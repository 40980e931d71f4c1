//! The golden search tree of mctx, node by node.

use mcts::rule::{Puct, Scale};
use mcts::{Action, Error, Evaluator, Game, Leaves, Result, Tree, Turn, Values};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Golden {
    c_init: f32,
    c_base: f32,
    discount: f32,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    parent: i64,
    action: Action,
    visits: u32,
    value: f32,
    raw_value: f32,
    reward: f32,
    priors: Vec<f32>,
}

/// One player walks through the nodes that mctx evaluated.
#[derive(Debug, Clone)]
struct Walk<'a> {
    golden: &'a Golden,
    node: Option<usize>,
}

impl PartialEq for Walk<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl Game for Walk<'_> {
    const REWARDS: bool = true;

    fn name(&self) -> String {
        "walk".to_owned()
    }

    fn players(&self) -> usize {
        1
    }

    fn actions(&self) -> usize {
        18
    }

    fn most_value(&self) -> f32 {
        10.0
    }

    fn turn(&self) -> Turn {
        Turn::Player(0)
    }

    fn legal_actions(&self, actions: &mut Vec<Action>) {
        actions.extend(0..18);
    }

    fn play(&mut self, action: Action) {
        let here = self.node.map(|node| node as i64);
        self.node = self
            .golden
            .nodes
            .iter()
            .position(|node| Some(node.parent) == here && node.action == action);
    }

    fn outcome(&self) -> Option<Values> {
        None
    }

    fn rewards(&self) -> Values {
        Values::from_slice(&[self.node.map_or(0.0, |node| self.golden.nodes[node].reward)])
    }
}

/// Says what mctx's model said, and remembers in which order it was asked.
#[derive(Default)]
struct Model {
    order: Vec<Option<usize>>,
}

impl Evaluator<Walk<'_>> for Model {
    fn evaluate(&mut self, leaves: &mut Leaves<Walk<'_>>) -> Result<()> {
        for leaf in 0..leaves.len() {
            let walk = leaves.game(leaf).clone();
            self.order.push(walk.node);
            let node = walk
                .node
                .map(|node| &walk.golden.nodes[node])
                .ok_or(Error::Ended { game: "a node that mctx did not evaluate".to_owned() })?;
            leaves.actions_and_priors(leaf).1.copy_from_slice(&node.priors);
            leaves.set_values(leaf, Values::from_slice(&[node.raw_value]));
        }
        Ok(())
    }
}

#[test]
fn the_golden_tree_of_mctx_is_reproduced() {
    let golden: Golden = serde_json::from_str(include_str!("fixtures/mctx_tree.json")).unwrap();
    let rule = Puct {
        c_init: golden.c_init,
        c_base: golden.c_base,
        scale: Scale::ParentAndSiblings,
        ..Puct::default()
    };
    let root = Walk { golden: &golden, node: Some(0) };
    let mut tree = Tree::new(rule, &root, 0).unwrap().with_discount(golden.discount).unwrap();
    let (mut model, mut leaves) = (Model::default(), Leaves::new());
    for _ in 0..golden.nodes.len() {
        leaves.clear();
        tree.select(&mut leaves).unwrap();
        model.evaluate(&mut leaves).unwrap();
        tree.back_up(&leaves).unwrap();
    }

    let order: Vec<_> = (0..golden.nodes.len()).map(Some).collect();
    assert_eq!(model.order, order, "nodes are evaluated in mctx's order");
    assert_eq!(tree.visits(), golden.nodes[0].visits);
    assert!((tree.children().unwrap().node_value() - golden.nodes[0].value).abs() < 1e-3);
    for node in &golden.nodes[1..] {
        let mut line = Vec::new();
        let mut up = node.parent as usize;
        while up > 0 {
            line.push(golden.nodes[up].action);
            up = golden.nodes[up].parent as usize;
        }
        line.reverse();
        let children = tree.children_after(&line).unwrap();
        let child = usize::from(node.action);
        assert_eq!(children.action(child), node.action);
        assert_eq!(children.visits(child), node.visits, "visits after {line:?}, {child}");
        let value = (children.mean(child) - node.reward) / golden.discount;
        assert!((value - node.value).abs() < 1e-3, "{value} and {} after {line:?}", node.value);
        let prior = golden.nodes[node.parent as usize].priors[child];
        assert!((children.prior(child) - prior).abs() < 1e-6);
    }
}
