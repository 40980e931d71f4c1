//! Changes of pictures, tested by values.
#![cfg(feature = "data")]

use std::f32::consts::FRAC_PI_2;

use model_utils_core::data::{
    Augment, BoundingBox, BoxedImage, Geometry, Labelled, MaskedImage, Transform,
};
use model_utils_core::error::Error;
use model_utils_core::image::Image;
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng as _};

fn gray(rows: &[&[u8]]) -> Image {
    Image::new(rows[0].len(), rows.len(), 1, rows.concat()).unwrap()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn boxed(x_min: f32, y_min: f32, x_max: f32, y_max: f32) -> BoundingBox {
    BoundingBox { class: 3, x_min, y_min, x_max, y_max, difficult: true }
}

fn edges(found: &BoundingBox) -> [f32; 4] {
    [found.x_min, found.y_min, found.x_max, found.y_max]
}

#[test]
fn fixed_changes() {
    let image = gray(&[&[1, 2, 3], &[4, 5, 6], &[7, 8, 9]]);
    let resized = Transform::resize(5, 2).apply(&image, &mut rng(0)).unwrap();
    assert_eq!(resized, image.resize(5, 2));
    let middle = Transform::center_crop(1, 3).apply(&image, &mut rng(0)).unwrap();
    assert_eq!(middle, gray(&[&[2], &[5], &[8]]));
}

#[test]
fn random_crops_reach_every_place() {
    let image = gray(&[&[1, 2], &[3, 4]]);
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let part = Transform::random_crop(2, 2, 1).apply(&image, &mut rng(seed)).unwrap();
        seen.insert(part.into_pixels());
    }
    let expected = [
        [0, 0, 0, 1],
        [0, 0, 1, 2],
        [0, 0, 2, 0],
        [0, 1, 0, 3],
        [0, 3, 0, 0],
        [1, 2, 3, 4],
        [2, 0, 4, 0],
        [3, 4, 0, 0],
        [4, 0, 0, 0],
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn flips_as_often_as_asked_for() {
    let image = gray(&[&[1, 2]]);
    let count = |probability| {
        let flip = Transform::RandomFlip { probability };
        let flipped = |seed| flip.apply(&image, &mut rng(seed)).unwrap().pixels() == [2, 1];
        (0..200).filter(|&seed| flipped(seed)).count()
    };
    assert_eq!((count(0.0), count(1.0)), (0, 200));
    assert!((70..130).contains(&count(0.5)));
}

#[test]
fn turns_shifts_and_scales() {
    let image = gray(&[&[1, 2, 3], &[4, 5, 6], &[7, 8, 9]]);
    let affine =
        |angle, scale, shift_x, shift_y| Geometry::Affine { angle, scale, shift_x, shift_y };
    assert_eq!(affine(0.0, 1.0, 0.0, 0.0).image(&image), image);
    // A quarter turn clockwise.
    let turned = gray(&[&[7, 4, 1], &[8, 5, 2], &[9, 6, 3]]);
    assert_eq!(affine(FRAC_PI_2, 1.0, 0.0, 0.0).image(&image), turned);
    assert_eq!(affine(FRAC_PI_2, 1.0, 0.0, 0.0).mask(&image), turned);
    let shifted = gray(&[&[0, 0, 0], &[0, 1, 2], &[0, 4, 5]]);
    assert_eq!(affine(0.0, 1.0, 1.0, 1.0).image(&image), shifted);
    // By half a pixel: means, of which half is from outside at the border.
    let row = gray(&[&[10, 20, 40]]);
    assert_eq!(affine(0.0, 1.0, 0.5, 0.0).image(&row).pixels(), [5, 15, 30]);
    // Twice as large: the middle fills the picture, and masks are not mixed.
    let row = gray(&[&[0, 10, 30, 0]]);
    assert_eq!(affine(0.0, 2.0, 0.0, 0.0).mask(&row).pixels(), [10, 10, 30, 30]);
    let color = Image::new(1, 1, 3, vec![10, 20, 30]).unwrap();
    assert_eq!(affine(1.0, 1.0, 0.0, 0.0).image(&color), color);
}

#[test]
fn masks_and_boxes_go_along() {
    let image = gray(&[&[1, 2, 3, 4], &[5, 6, 7, 8]]);
    let mask = gray(&[&[0, 0, 1, 2], &[0, 0, 3, 4]]);
    let flip = Transform::RandomFlip { probability: 1.0 };
    let item = MaskedImage { image: image.clone(), mask };
    let flipped = flip.augment(item.clone(), &mut rng(0)).unwrap();
    assert_eq!(flipped.image, image.flip_horizontal());
    assert_eq!(flipped.mask.pixels(), [2, 1, 0, 0, 4, 3, 0, 0]);
    let small = Transform::resize(2, 1).augment(item, &mut rng(0)).unwrap();
    assert_eq!(small.mask.pixels(), [0, 4]);

    let item = BoxedImage { image, boxes: vec![boxed(0.0, 1.0, 1.0, 2.0)] };
    let flipped = flip.augment(item.clone(), &mut rng(0)).unwrap();
    assert_eq!(flipped.boxes, [boxed(3.0, 1.0, 4.0, 2.0)]);
    let large = Transform::resize(8, 6).augment(item.clone(), &mut rng(0)).unwrap();
    assert_eq!(large.boxes, [boxed(0.0, 3.0, 2.0, 6.0)]);
    let cut = Transform::center_crop(2, 2).augment(item, &mut rng(0)).unwrap();
    assert!(cut.boxes.is_empty(), "nothing of it is left");

    let crop = Geometry::Crop { x: 2, y: -1, width: 4, height: 9 };
    let boxes = [boxed(0.0, 0.0, 4.0, 4.0), boxed(0.0, 0.0, 2.5, 4.0)];
    let cut = crop.boxes(&boxes, [10, 10]);
    assert_eq!(cut.iter().map(edges).collect::<Vec<_>>(), [[0.0, 1.0, 2.0, 5.0]]);
    let quarter = Geometry::Affine { angle: FRAC_PI_2, scale: 1.0, shift_x: 0.0, shift_y: 0.0 };
    let turned = quarter.boxes(&[boxed(0.0, 0.0, 2.0, 1.0)], [10, 10])[0];
    let expected = [9.0, 0.0, 10.0, 2.0];
    assert!(edges(&turned).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{turned:?}");
}

#[test]
fn several_in_a_row_and_functions() {
    let item = Labelled { image: gray(&[&[1, 2, 3, 4]]), label: 7 };
    let flip = Transform::RandomFlip { probability: 1.0 };
    let changes = vec![Transform::center_crop(2, 1), flip];
    let changed = changes.augment(item.clone(), &mut rng(0)).unwrap();
    assert_eq!((changed.image.pixels(), changed.label), (&[3, 2][..], 7));
    let relabel = |item: Labelled, _: &mut dyn Rng| Ok(Labelled { label: 1, ..item });
    assert_eq!(relabel.augment(item, &mut rng(0)).unwrap().label, 1);
}

#[test]
fn the_generator_decides_alone() {
    let image = Image::new(8, 8, 1, (0..64).map(|i| i * 4).collect()).unwrap();
    let change = Transform::random_affine(20.0, 0.2, 0.2);
    let apply = |seed| change.apply(&image, &mut rng(seed)).unwrap();
    assert_eq!(apply(1), apply(1));
    assert_ne!(apply(1), apply(2));
}

#[test]
fn refuses_what_cannot_be_done() {
    let image = gray(&[&[1, 2], &[3, 4]]);
    let refused = |change: Transform| change.apply(&image, &mut rng(0)).unwrap_err();
    for change in [
        Transform::center_crop(3, 1),
        Transform::random_crop(5, 2, 1),
        Transform::random_crop(usize::MAX, 1, 0),
    ] {
        assert!(matches!(refused(change), Error::Shape { .. }), "{change:?}");
    }
    for change in [
        Transform::resize(0, 1),
        Transform::center_crop(1, 0),
        Transform::random_crop(0, 1, 0),
        Transform::RandomFlip { probability: 1.5 },
        Transform::random_affine(f32::NAN, 0.0, 0.0),
        Transform::random_affine(0.0, f32::INFINITY, 0.0),
        Transform::random_affine(0.0, 0.0, 1.0),
    ] {
        assert!(matches!(refused(change), Error::Config(_)), "{change:?}");
    }
}
