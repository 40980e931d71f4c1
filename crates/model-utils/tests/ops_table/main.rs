//! Every public operation of `ops` against a scalar oracle in float64: its outputs and its
//! gradients, on every device of this build, tracked and not, and what it says to shapes that do
//! not fit.
//!
//! A plain run takes a slice of the cases. All of them, with the table printed:
//!
//! ```console
//! $ OPS_TABLE_CASES=10000 cargo test --workspace --release --test ops_table -- --nocapture
//! ```
//!
//! One case alone, by its operation and number: `OPS_TABLE_CASE=conv2d:17`; one operation alone:
//! `OPS_TABLE_OPERATION=conv2d`; without the shapes that do not fit: `OPS_TABLE_MISFITS=0`.
#![allow(missing_docs, unreachable_pub, clippy::print_stdout)]

mod array;
mod case;
mod compare;
mod draw;
mod operations;
mod panics;
mod run;
mod table;
mod tape;

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use operations::{BURN_DIFFERS, operations};
use table::{Row, columns, report, row};

/// Cases of an operation in a plain run.
const CASES: u64 = 60;

#[test]
fn operations_agree_with_the_oracle_on_every_device() {
    let alone = env::var("OPS_TABLE_CASE").ok();
    let alone = alone.as_deref().map(|case| {
        let (name, number) = case.split_once(':').expect("operation:number");
        (name.to_owned(), number.parse::<u64>().expect("a number"))
    });
    let cases = env::var("OPS_TABLE_CASES").map_or(CASES, |cases| cases.parse().expect("a count"));
    let name = env::var("OPS_TABLE_OPERATION").ok();
    let name = alone.as_ref().map(|(name, _)| name.clone()).or(name);
    let numbers = alone.map_or(0..cases, |(_, number)| number..number + 1);

    let mut operations = operations();
    if env::var("OPS_TABLE_MISFITS").is_ok_and(|value| value == "0") {
        for operation in &mut operations {
            operation.misfit = None;
        }
    }
    operations.retain(|operation| name.as_deref().is_none_or(|name| name == operation.name));
    let columns = columns();
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(operation) = operations.get(at) else { return };
                    let row = row(operation, numbers.clone(), &columns);
                    rows.lock().expect("a row").push((at, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("the rows");
    rows.sort_by_key(|(at, _)| *at);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    println!("{}", report(&rows, &columns));
    let bad = |row: &&Row| {
        let known = BURN_DIFFERS.iter().any(|(name, _)| *name == row.name);
        row.differing.keys().any(|(column, _)| !(known && column.starts_with("Burn's")))
    };
    let bad: Vec<_> = rows.iter().filter(bad).map(|row| row.name).collect();
    assert!(bad.is_empty(), "differ: {}; the first case of each stands above", bad.join(", "));
}
