use super::*;
use crate::error::Error;

#[test]
fn an_item_is_always_the_same_and_parts_are_disjoint() {
    let [train, test] = [Split::Train, Split::Test].map(|split| Shapes::new(split, 50));
    for i in 0..50 {
        assert_eq!(train.get(i).unwrap(), train.get(i).unwrap());
        assert_ne!(train.get(i).unwrap().image, test.get(i).unwrap().image);
    }
    let other = ShapesConfig::new().with_seed(1).init(Split::Train, 50).unwrap();
    assert_ne!(other.get(0).unwrap().image, train.get(0).unwrap().image);
    let classification = train.clone().classification();
    assert_eq!(classification.get(9).unwrap().image, train.get(9).unwrap().image);
    assert_eq!(classification.classes().len(), Shape::ALL.len());
    assert!(matches!(train.get(50), Err(Error::Data { .. })));
}

#[test]
fn boxes_masks_and_labels_belong_together() {
    for (size, channels, objects) in [(16, 1, 1..=1), (32, 3, 1..=3), (64, 3, 3..=8)] {
        let config = ShapesConfig::new().with_size(size).with_channels(channels);
        let shapes = config.with_objects(objects.clone()).init(Split::Train, 60).unwrap();
        let mut most = 0;
        for i in 0..60 {
            let Scene { image, label, boxes, mask } = shapes.get(i).unwrap();
            assert_eq!((image.width(), image.channels(), mask.channels()), (size, channels, 1));
            assert!(!boxes.is_empty() && boxes.len() <= *objects.end());
            assert!(boxes.iter().any(|found| found.class == label));
            most = most.max(boxes.len());
            for (at, &value) in mask.pixels().iter().enumerate().filter(|(_, v)| **v > 0) {
                let (x, y) = ((at % size) as f32, (at / size) as f32);
                let within = |b: &BoundingBox| {
                    b.class + 1 == usize::from(value)
                        && (b.x_min..b.x_max).contains(&x)
                        && (b.y_min..b.y_max).contains(&y)
                };
                assert!(boxes.iter().any(within), "pixel ({x}, {y}) of item {i}");
            }
            for found in &boxes {
                assert_eq!(*found, found.clipped(size, size));
                assert!(found.area() >= 9.0, "{found:?} of item {i}");
                let column = |x: f32| {
                    let rows = found.y_min as usize..found.y_max as usize;
                    rows.into_iter().any(|y| mask.pixel(x as usize, y)[0] > 0)
                };
                assert!(column(found.x_min) && column(found.x_max - 1.0), "tight: {found:?}");
            }
        }
        assert!(most > objects.end() / 2, "{most} of {objects:?}");
    }
}

#[test]
fn objects_stand_out_in_gray() {
    let config = ShapesConfig::new().with_channels(1).with_noise(0.0);
    let shapes = config.init(Split::Test, 200).unwrap();
    for i in 0..200 {
        let Scene { image, mask, .. } = shapes.get(i).unwrap();
        let mean = |object: bool| {
            let values = image.pixels().iter().zip(mask.pixels());
            let values: Vec<f32> =
                values.filter(|(_, m)| (**m > 0) == object).map(|(v, _)| f32::from(*v)).collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        assert!((mean(true) - mean(false)).abs() > 25.0, "item {i}");
    }
}

#[test]
fn every_class_comes_about_equally_often() {
    let shapes = Shapes::new(Split::Train, 1000).classification();
    let mut counts = [0; 10];
    for i in 0..1000 {
        counts[shapes.get(i).unwrap().label] += 1;
    }
    assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
}

#[test]
fn outlines_lie_within_the_unit_circle() {
    for shape in Shape::ALL {
        let mut reach = 0.0_f32;
        let mut area = 0;
        for i in 0..300 * 300 {
            let (x, y) = ((i % 300) as f32 / 100.0 - 1.5, (i / 300) as f32 / 100.0 - 1.5);
            if shape.distance(x, y) < 0.0 {
                reach = reach.max(x.hypot(y));
                area += 1;
            }
        }
        assert!((0.85..=1.01).contains(&reach), "{} reaches {reach}", shape.name());
        assert!((0.6..2.6).contains(&(area as f32 / 10_000.0)), "{}: {area}", shape.name());
    }
}

#[test]
fn refuses_what_cannot_be_drawn() {
    let config = ShapesConfig::new;
    for (field, config) in [
        ("size", config().with_size(15)),
        ("channels", config().with_channels(2)),
        ("objects", config().with_objects(0..=1)),
        ("objects", config().with_objects(17..=17)),
        ("noise", config().with_noise(f32::NAN)),
    ] {
        let text = config.init(Split::Train, 1).unwrap_err().to_string();
        assert!(text.contains(&format!("`{field}`")), "{text}");
    }
}
