use mcts::go::{Go, Knowledge, Rules};
use mcts::rule::{Fpu, Puct, Rave, Rule};
use mcts::{Game as _, Limits, Search};
use std::time::Instant;
fn go<R: Rule>(s: &mut Search<Go, R, Knowledge>, g: &Go, sims: u64) -> (u16, f64) {
    let t = Instant::now();
    let f = s.run(g, Limits::simulations(sims)).unwrap();
    (f.best(), t.elapsed().as_secs_f64())
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let games: u64 = a[1].parse().unwrap();
    let s1: u64 = a[2].parse().unwrap();
    let s2: u64 = a[3].parse().unwrap();
    let c: f32 = a[4].parse().unwrap();
    let eq: f32 = a[5].parse().unwrap();
    let fpu: f32 = a[6].parse().unwrap();
    let start: u64 = a.get(7).map_or(0, |x| x.parse().unwrap());
    let (mut wins, mut t1, mut t2, mut m) = (0.0, 0.0, 0.0, 0u64);
    for i in start..start + games {
        let rave = Rave { c, equivalence: eq, fpu: Fpu::Reduction(fpu), virtual_loss: 1 };
        let puct = Puct { c_init: 1.1, fpu: Fpu::Reduction(0.1), ..Puct::default() };
        let mut x = Search::new(rave, Knowledge::new(i)).with_seed(i);
        let mut y = Search::new(puct, Knowledge::new(i + 1000)).with_seed(i + 1000);
        let mut g = Go::new(9, Rules::computer()).unwrap();
        let mut first = i % 2 == 0;
        let black = first;
        while g.outcome().is_none() && g.moves().len() < 120 {
            let (mv, t) = if first { go(&mut x, &g, s1) } else { go(&mut y, &g, s2) };
            if first {
                t1 += t
            } else {
                t2 += t
            };
            m += 1;
            first = !first;
            g.play(mv);
            x.advance(mv).unwrap();
            y.advance(mv).unwrap();
        }
        let s = g.score();
        let won = (s > 0.0) == black;
        wins += won as u8 as f32;
    }
    println!(
        "rave c {c} eq {eq} fpu {fpu} sims {s1}/{s2}: wins {wins}/{games}, time a move {:.1} vs {:.1} ms",
        t1 * 2e3 / m as f64,
        t2 * 2e3 / m as f64
    );
}
