//! Batches: their order, their variations, taking them up again, and what goes wrong on the way.
#![cfg(feature = "data")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model_utils_core::ConfigError;
use model_utils_core::data::{
    Dataset, ImageBatch, InMemory, Labelled, Loader, Normalize, Position, Shapes, Split, Transform,
};
use model_utils_core::error::{Error, Result};
use model_utils_core::image::Image;
use rand::{Rng, RngExt as _};

/// Numbers, some of which are broken, and a count of how often one was asked for.
#[derive(Clone, Default)]
struct Numbers {
    len: usize,
    error_at: Option<usize>,
    panic_at: Option<usize>,
    pause: Duration,
    asked: Arc<AtomicUsize>,
}

impl Dataset for Numbers {
    type Item = usize;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<usize> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        thread::sleep(self.pause);
        assert_ne!(Some(index), self.panic_at, "broken on purpose");
        if Some(index) == self.error_at {
            return Err(Error::format("some/file.png", "image", "it is broken"));
        }
        Ok(index)
    }
}

fn numbers(len: usize) -> Numbers {
    Numbers { len, ..Numbers::default() }
}

type NumberLoader = Loader<Numbers, Vec<usize>>;

fn loader(dataset: Numbers, batch_size: usize) -> NumberLoader {
    let collate = |items: Vec<(usize, usize)>| Ok(items.into_iter().map(|(_, n)| n).collect());
    Loader::with_collate(dataset, batch_size, collate).unwrap()
}

fn all(loader: &NumberLoader, epoch: u64, first: usize) -> Vec<Vec<usize>> {
    loader.epoch(epoch, first).collect::<Result<_>>().unwrap()
}

#[test]
fn in_order_every_item_once() {
    let batches = all(&loader(numbers(10), 4), 0, 0);
    assert_eq!(batches, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    let dropping = loader(numbers(10), 4).drop_last(true);
    assert_eq!((all(&dropping, 3, 0).len(), dropping.batches()), (2, 2));
    assert_eq!(all(&loader(numbers(3), 4).drop_last(true), 0, 0), Vec::<Vec<usize>>::new());
    let shuffled = loader(numbers(10), 4).shuffle(7);
    let mut items = all(&shuffled, 0, 0).concat();
    assert_ne!(items, (0..10).collect::<Vec<_>>());
    assert_ne!(items, all(&shuffled, 1, 0).concat());
    assert_ne!(items, all(&loader(numbers(10), 4).shuffle(8), 0, 0).concat());
    items.sort_unstable();
    assert_eq!(items, (0..10).collect::<Vec<_>>());
}

#[test]
fn the_same_batches_from_any_place_with_any_number_of_workers() {
    let with = |workers| {
        loader(numbers(103), 8).shuffle(3).workers(workers).augment(
            |n: usize, rng: &mut dyn Rng| Ok(n * 1_000_000 + rng.random_range(0..1_000_000)),
        )
    };
    let expected = all(&with(0), 5, 0);
    assert_eq!(expected.len(), 13);
    for workers in [0, 1, 2, 7, 40] {
        let loader = with(workers);
        for first in [0, 1, 6, 12, 13, 99] {
            assert_eq!(all(&loader, 5, first), expected[first.min(13)..], "{workers}, {first}");
        }
    }
    // Variations change with the epoch.
    let varied = |epoch| {
        let mut items = all(&with(1), epoch, 0).concat();
        items.sort_unstable();
        items
    };
    assert_ne!(varied(5), varied(6));
}

#[test]
fn a_position_leads_back() {
    let loader = loader(numbers(20), 3).shuffle(1).workers(2);
    let expected = all(&loader, 4, 0);
    let mut epoch = loader.epoch(4, 0);
    assert_eq!(epoch.position(), Position { epoch: 4, batch: 0 });
    epoch.by_ref().take(3).for_each(|batch| drop(batch.unwrap()));
    let text = serde_json::to_string(&epoch.position()).unwrap();
    assert_eq!(text, r#"{"epoch":4,"batch":3}"#);
    let Position { epoch, batch } = serde_json::from_str(&text).unwrap();
    assert_eq!(all(&loader, epoch, batch), expected[3..]);
}

#[test]
fn an_error_comes_in_its_place_and_is_the_last() {
    for workers in [0, 1, 4] {
        for (broken, parts) in [
            (Numbers { error_at: Some(7), ..numbers(40) }, ["item 7", "some/file.png"]),
            (Numbers { panic_at: Some(7), ..numbers(40) }, ["item 7", "broken on purpose"]),
        ] {
            let mut epoch = loader(broken, 3).workers(workers).epoch(0, 0);
            assert_eq!(epoch.next().unwrap().unwrap(), [0, 1, 2]);
            assert_eq!(epoch.next().unwrap().unwrap(), [3, 4, 5]);
            let text = epoch.next().unwrap().unwrap_err().to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
            assert!(epoch.next().is_none() && epoch.next().is_none());
            assert_eq!(epoch.position().batch, 2);
        }
        // The functions of the caller may panic as well.
        let collate = |_: Vec<(usize, usize)>| -> Result<()> { panic!("while collating") };
        let loader = Loader::with_collate(numbers(5), 2, collate).unwrap().workers(workers);
        let text = loader.epoch(0, 0).next().unwrap().unwrap_err().to_string();
        assert!(text.contains("while collating"), "{text}");
    }
}

#[test]
fn dropping_it_early_stops_its_threads() {
    let slow = Numbers { pause: Duration::from_millis(5), ..numbers(100_000) };
    let asked = Arc::clone(&slow.asked);
    let loader = loader(slow, 1000).workers(3);
    let start = Instant::now();
    let epoch = loader.epoch(0, 0);
    thread::sleep(Duration::from_millis(30));
    drop(epoch);
    // A batch alone would take five seconds.
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let after = asked.load(Ordering::Relaxed);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(asked.load(Ordering::Relaxed), after, "no thread is left");
}

#[test]
fn workers_do_not_run_far_ahead() {
    let set = numbers(10_000);
    let asked = Arc::clone(&set.asked);
    let mut epoch = loader(set, 10).workers(2).epoch(0, 0);
    epoch.next().unwrap().unwrap();
    thread::sleep(Duration::from_millis(100));
    // One was taken; each worker may have two more waiting.
    assert!(asked.load(Ordering::Relaxed) <= 50, "{asked:?}");
}

#[test]
fn workers_work_at_the_same_time() {
    let slow = Numbers { pause: Duration::from_millis(4), ..numbers(100) };
    let start = Instant::now();
    assert_eq!(all(&loader(slow, 5).workers(8), 0, 0).len(), 20);
    // One after the other they would take 400 ms.
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
}

#[test]
fn refuses_what_gives_no_batch() {
    let shapes = |len| Shapes::new(Split::Train, len).classification();
    assert!(matches!(
        Loader::new(shapes(3), 0),
        Err(Error::Config(ConfigError { field: "batch_size", .. }))
    ));
    let text = Loader::new(shapes(0), 3).unwrap_err().to_string();
    assert!(text.contains("empty"), "{text}");
}

#[test]
fn pictures_become_one_block() {
    let item = |pixels: [u8; 6], label| Labelled {
        image: Image::new(2, 1, 3, pixels.to_vec()).unwrap(),
        label,
    };
    let set: InMemory<_> =
        [item([0, 51, 102, 153, 204, 255], 4), item([255; 6], 2)].into_iter().collect();
    let only = |loader: &Loader<InMemory<Labelled>, ImageBatch>| {
        loader.epoch(0, 0).next().unwrap().unwrap()
    };
    let batch = only(&Loader::new(set.clone(), 2).unwrap());
    assert_eq!((batch.shape, &batch.labels[..]), ([2, 3, 1, 2], &[4, 2][..]));
    assert_eq!(batch.indices, [0, 1]);
    assert_eq!(batch.images[..6], [0.0, 0.6, 0.2, 0.8, 0.4, 1.0]);
    let normalize = Normalize::new(&[0.0, 0.2, 0.4], &[1.0, 0.5, 0.1]).unwrap();
    let batch = only(&Loader::new(set.clone(), 2).unwrap().normalize(normalize));
    let expected = [0.0, 0.6, 0.0, 1.2, 0.0, 6.0];
    assert!(batch.images.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6));
    let batch = only(&Loader::new(set, 1).unwrap().normalize(Normalize::symmetric()));
    assert!((batch.images[0] + 1.0).abs() < 1e-6 && (batch.images[5] - 1.0).abs() < 1e-6);
}

#[test]
fn pictures_that_do_not_fit_together() {
    let item = |width, color: &[u8]| Labelled { image: Image::filled(width, 1, color), label: 0 };
    let first = |items: Vec<Labelled>, normalize| {
        let loader = Loader::new(InMemory::from(items), 8).unwrap().normalize(normalize);
        loader.epoch(0, 0).next().unwrap()
    };
    for other in [item(3, &[0]), item(2, &[0, 0, 0])] {
        let error = first(vec![item(2, &[0]), other], Normalize::unit()).unwrap_err();
        assert!(error.to_string().contains("image of item 1"), "{error}");
        assert!(matches!(error, Error::Shape { .. }));
    }
    let error = first(vec![item(2, &[0])], Normalize::imagenet()).unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError { field: "mean", .. })), "{error}");
    assert!(ImageBatch::collate(&[], &Normalize::unit()).is_err());
    assert!(Normalize::new(&[0.0], &[0.0]).is_err());
    assert!(Normalize::new(&[0.0; 2], &[1.0; 2]).is_err());
    assert!(Normalize::new(&[f32::NAN], &[1.0]).is_err());
    assert!(Normalize::new(&[0.0; 3], &[1.0]).is_err());
    let read = serde_json::from_str::<Normalize>;
    assert_eq!(read(r#"{"mean":[0.5],"std":[0.5]}"#).unwrap(), Normalize::symmetric());
    for bad in [r#"{"mean":[],"std":[]}"#, r#"{"mean":[0],"std":[0]}"#] {
        assert!(read(bad).unwrap_err().to_string().contains("invalid configuration"), "{bad}");
    }
}

#[test]
fn augmented_pictures_are_the_same_for_any_number_of_workers() {
    let with = |workers| {
        let change = vec![
            Transform::random_crop(28, 28, 2),
            Transform::random_flip(),
            Transform::random_affine(15.0, 0.1, 0.2),
        ];
        let set = Shapes::new(Split::Train, 70).classification();
        let loader = Loader::new(set, 16).unwrap().shuffle(9).workers(workers).augment(change);
        loader.epoch(2, 0).collect::<Result<Vec<ImageBatch>>>().unwrap()
    };
    assert_eq!(with(0), with(3));
    assert_eq!(with(0)[0].shape, [16, 3, 28, 28]);
}
