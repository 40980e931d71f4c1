//! Metrics, extractors and what is made of random numbers.
#![cfg(feature = "flex")]
#![allow(missing_docs)]

use burn::tensor::{Device, Tensor, TensorData};
use gan::metrics::{
    Extracted, Extractor, FeatureCache, Features, Figures, Judge, JudgeConfig, Report, class_score,
    frechet_distance, kernel_distance, prdc,
};
use gan::noise::{Noise, Prior};
use gan::sample::{linear_path, mean_latent, nearest, spherical_path};
use gan::{Error, Images, Mixture};
use model_utils::data::Labelled;
use model_utils::image::Image;
use model_utils::train::{Silent, Stop};
use model_utils::weights::Stored as _;

/// Bars, upright or lying, of some brightness.
fn bars(count: usize, first: usize) -> Images {
    let items = (first..first + count).map(|at| {
        let pixels = (0..144).map(|i| {
            let (x, y) = (i % 12, i / 12);
            let place = if at % 2 == 0 { x } else { y };
            if (2 + at / 2 % 8..4 + at / 2 % 8).contains(&place) {
                150 + (at % 100) as u8
            } else {
                0
            }
        });
        Labelled { image: Image::new(12, 12, 1, pixels.collect()).unwrap(), label: at % 2 }
    });
    Images::new(items, vec!["upright".into(), "lying".into()]).unwrap()
}

fn tensor(images: &Images, indices: std::ops::Range<usize>) -> Tensor<4> {
    images.select(&indices.collect::<Vec<_>>(), &Device::flex()).unwrap().0
}

/// Of some identity, and sees nothing.
struct Blind(String);
impl Extractor for Blind {
    fn identity(&self) -> String {
        self.0.clone()
    }

    fn extract(&self, _: Tensor<4>) -> gan::Result<Extracted> {
        Err(Error::Metric { metric: "blind", reason: "sees nothing".into() })
    }
}

#[test]
fn a_classifier_learns_is_stored_and_judges() {
    let device = Device::flex();
    let (train, test) = (bars(1024, 0), bars(300, 5000));
    let config = JudgeConfig::new(12, 1, 2).with_width(4).with_features(16).with_epochs(6);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("classifier.safetensors");
    let load = || Judge::load_or_train(&path, &config, &train, &device, &mut Silent).unwrap();
    let classifier = load();
    assert!(classifier.accuracy(&test).unwrap() > 0.95);
    let again = load();
    assert_eq!(classifier.identity(), again.identity());
    let other = JudgeConfig { features: 17, ..config.clone() };
    let error = Judge::load_or_train(&path, &other, &train, &device, &mut Silent);
    assert!(error.unwrap_err().to_string().contains("features"));
    assert_eq!(Judge::load(&path, &device).unwrap().config(), &config);

    // What was seen once is read; images of another set are not taken for it.
    let cache = FeatureCache::open(folder.path().join("features")).unwrap();
    let real = cache.extract(&classifier, &train, 300, &device).unwrap();
    let blind = Blind(classifier.identity());
    assert_eq!(cache.extract(&blind, &train, 300, &device).unwrap(), real);
    assert!(cache.extract(&blind, &test, 300, &device).is_err());
    assert!(cache.extract(&Blind("other".into()), &train, 300, &device).is_err());

    let mut stop = Stop::new();
    stop.stop();
    // What was extracted before needs no extractor.
    assert_eq!(cache.extract(&stop.around(&classifier), &train, 300, &device).unwrap(), real);
    let error = cache.extract(&stop.around(&classifier), &test, 300, &device).unwrap_err();
    assert!(matches!(error, Error::Utils(model_utils::Error::Stopped { .. })), "{error}");
    let path = folder.path().join("stopped.safetensors");
    let config = JudgeConfig::new(12, 1, 2);
    let error = Judge::load_or_train(&path, &config, &train, &device, &mut stop).unwrap_err();
    assert!(matches!(error, Error::Utils(model_utils::Error::Stopped { .. })), "{error}");
    assert!(!path.exists(), "a classifier that was not trained to its end");

    let others = cache.extract(&classifier, &test, 300, &device).unwrap();
    let report = Report::new(&classifier, &tensor(&train, 300..600), &real, &others).unwrap();
    let mut noise = Noise::new(1, 0);
    let even = Prior::Uniform.draw(&mut noise, 300, 144, &device).reshape([300, 1, 12, 12]);
    let far = Report::new(&classifier, &even, &real, &others).unwrap();
    assert!(far.samples.fid > 20.0 * report.samples.fid, "{far}\n{report}");
    assert!(far.samples.prdc.coverage < 0.2 && report.samples.prdc.coverage > 0.8);
    assert_eq!(far.floor, report.floor);
    let text = report.to_string();
    assert!(text.contains("n = 300") && text.contains("not Inception"), "{text}");
    let few = Report::new(&classifier, &tensor(&train, 0..200), &real, &others);
    assert!(few.unwrap_err().to_string().contains("200 samples, 300 real images"));
    let wrong = classifier.extract(Tensor::zeros([1, 1, 16, 16], &device));
    assert!(wrong.unwrap_err().to_string().contains("expected [1, 12, 12]"));
}

fn cloud(seed: u64, rows: usize, width: usize, shift: f32) -> Features {
    let mut values = Noise::new(seed, 0).normal(rows * width);
    for value in &mut values {
        *value += shift;
    }
    Features::new(values, width).unwrap()
}

#[test]
fn distances_are_those_of_gaussians() {
    let (a, b) = (cloud(1, 4000, 6, 0.0), cloud(2, 4000, 6, 0.5));
    assert!(frechet_distance(&a, &a).unwrap() < 1e-9);
    // Equal covariances: the distance of the means, 6 · 0.5².
    let far = frechet_distance(&a, &b).unwrap();
    assert!((far - 1.5).abs() < 0.1, "{far}");
    assert!((far - frechet_distance(&b, &a).unwrap()).abs() < 1e-9);
    // A deviation of 2 in place of 1 without covariance: 6 · (2 − 1)².
    let wide = Features::new(a.values().iter().map(|x| 2.0 * x).collect(), 6).unwrap();
    let far = frechet_distance(&a, &wide).unwrap();
    assert!((far - 6.0).abs() < 0.2, "{far}");

    let floor = kernel_distance(&a, &cloud(3, 4000, 6, 0.0), 20, 200, 0).unwrap();
    assert!(floor.mean.abs() < 3.0 * floor.deviation, "{floor:?}");
    let far = kernel_distance(&a, &b, 20, 200, 0).unwrap();
    assert!(far.mean > 0.2 && far.mean > 10.0 * floor.mean.abs(), "{far:?} {floor:?}");
}

#[test]
fn a_collapsed_generator_has_precision_without_recall() {
    let real = cloud(1, 500, 4, 0.0);
    let narrow: Vec<f32> = cloud(2, 500, 4, 0.0).values().iter().map(|x| 0.05 * x).collect();
    let found = prdc(&real, &Features::new(narrow, 4).unwrap(), 5).unwrap();
    assert!(found.precision > 0.95 && found.recall < 0.05 && found.coverage < 0.2, "{found:?}");
    let far = prdc(&real, &cloud(2, 500, 4, 50.0), 5).unwrap();
    assert_eq!((far.precision, far.recall, far.density, far.coverage), (0.0, 0.0, 0.0, 0.0));
}

#[test]
fn the_class_score_lies_between_one_and_the_number_of_classes() {
    let sure: Vec<f32> = (0..50 * 5).map(|i| if i / 5 % 5 == i % 5 { 30.0 } else { 0.0 }).collect();
    let sure = Features::new(sure, 5).unwrap();
    assert!((class_score(&sure, 1).unwrap() - 5.0).abs() < 1e-6);
    let unsure = Features::new(vec![1.0; 50], 5).unwrap();
    assert!((class_score(&unsure, 2).unwrap() - 1.0).abs() < 1e-9);
    assert!(class_score(&unsure, 11).is_err());
}

#[test]
fn features_that_cannot_be_compared_are_refused() {
    let refused = |error: Error, word: &str| assert!(error.to_string().contains(word), "{error}");
    refused(Features::new(vec![1.0; 5], 2).unwrap_err(), "5 numbers in rows of 2");
    refused(Features::new(vec![1.0; 4], 0).unwrap_err(), "rows of 0");
    refused(Features::new(vec![1.0, f32::NAN], 1).unwrap_err(), "row 1 holds NaN");
    let (a, b) = (cloud(1, 10, 3, 0.0), cloud(1, 10, 4, 0.0));
    refused(frechet_distance(&a, &b).unwrap_err(), "3 and 4");
    refused(kernel_distance(&a, &b, 1, 5, 0).unwrap_err(), "3 and 4");
    refused(kernel_distance(&a, &a, 0, 5, 0).unwrap_err(), "`subsets` is 0");
    refused(prdc(&a, &a, 10).unwrap_err(), "10 rows, expected at least 11");
    refused(prdc(&a, &a, 0).unwrap_err(), "`k` is 0");
    refused(frechet_distance(&a.head(1), &a).unwrap_err(), "1 rows");
}

#[test]
fn modes_are_found_where_samples_are_near() {
    let ring = Mixture::ring();
    let mut noise = Noise::new(1, 1);
    let own: Vec<[f32; 2]> = (0..20_000).map(|_| ring.draw(&mut noise)).collect();
    let found = ring.coverage(&own).unwrap();
    assert_eq!(found.modes, 8);
    // 1 − exp(−9/2) of a round Gaussian lies within three deviations.
    assert!((found.good - 0.9889).abs() < 0.003, "{found:?}");
    let one = ring.coverage(&[[1.0, 0.0], [0.0, 0.0]]).unwrap();
    assert_eq!((one.modes, one.good, one.of_mode[0]), (1, 0.5, 1));
    assert!(ring.coverage(&[]).is_err());
    assert_eq!(Mixture::grid().means.len(), 25);
}

#[test]
fn walks_keep_their_ends_and_the_arc_keeps_its_radius() {
    let device = Device::flex();
    let (from, to) = (Noise::new(1, 0).normal(64), Noise::new(2, 0).normal(64));
    let rows = |path: Tensor<2>| -> Vec<Vec<f32>> {
        path.into_data().iter::<f32>().collect::<Vec<_>>().chunks(64).map(<[f32]>::to_vec).collect()
    };
    let norm = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    for path in [linear_path, spherical_path] {
        let path = rows(path(&from, &to, 5, &device).unwrap());
        assert!(path.len() == 5 && close(&path[0], &from) && close(&path[4], &to));
    }
    let arc = rows(spherical_path(&from, &to, 5, &device).unwrap());
    let line = rows(linear_path(&from, &to, 5, &device).unwrap());
    let least = norm(&from).min(norm(&to));
    assert!(norm(&arc[2]) > 0.95 * least && norm(&line[2]) < 0.85 * least);
    assert!(linear_path(&from, &to[1..], 5, &device).is_err());
    assert!(spherical_path(&from, &to, 1, &device).is_err());
    // Nearly the same ends have no arc to divide by.
    assert!(
        rows(spherical_path(&from, &from, 3, &device).unwrap()).iter().all(|row| close(row, &from))
    );
    let two = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 6.0]], &device);
    assert_eq!(mean_latent(two).unwrap().into_data().iter::<f32>().collect::<Vec<_>>(), [2.0, 4.0]);
}

#[test]
fn random_numbers_follow_from_seed_and_index() {
    assert_eq!(Noise::new(1, 2).normal(5), Noise::new(1, 2).normal(5));
    assert_ne!(Noise::new(1, 2).normal(5), Noise::new(1, 3).normal(5));
    let many = Noise::new(7, 0).normal(100_000);
    let mean = many.iter().sum::<f32>() / 1e5;
    let variance = many.iter().map(|x| x * x).sum::<f32>() / 1e5;
    assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    let device = Device::flex();
    let cut = Prior::Normal.draw_truncated(&mut Noise::new(1, 0), 50, 20, 0.5, &device).unwrap();
    let largest = cut.into_data().iter::<f32>().fold(0.0, |most: f32, x| most.max(x.abs()));
    assert!(largest <= 0.5 && largest > 0.45, "{largest}");
    assert!(Prior::Normal.draw_truncated(&mut Noise::new(1, 0), 1, 1, 0.0, &device).is_err());
}

/// Where a call was stopped.
fn stopped_at<T>(result: gan::Result<T>) -> String {
    match result.err() {
        Some(Error::Utils(model_utils::Error::Stopped { at, .. })) => at,
        other => panic!("expected a stop, found {other:?}"),
    }
}

#[test]
fn grading_and_clustering_are_stopped() {
    let after = Stop::after;
    let (a, b) = (cloud(1, 60, 6, 0.0), cloud(2, 60, 6, 1.0));
    for (asked, part) in ["the first covariance", "the second covariance"].into_iter().enumerate() {
        assert_eq!(stopped_at(frechet_distance(after(asked).around(&a), &b)), part);
    }
    assert_eq!(stopped_at(frechet_distance(after(3).around(&a), &b)), "the root of the product");
    let whole = frechet_distance(after(4).around(&a), &b).unwrap();
    assert!((whole - frechet_distance(&a, &b).unwrap()).abs() < 1e-12);
    let kid = kernel_distance(after(7).around(&a), &b, 20, 30, 0);
    assert_eq!(stopped_at(kid), "subset 7 of 20");
    // Rows are looked at on all cores: twice each set's neighbours, and each set once more.
    assert!(stopped_at(prdc(after(100).around(&a), &b, 5)).starts_with("the neighbours of row"));
    assert!(stopped_at(prdc(after(150).around(&a), &b, 5)).starts_with("real row"));
    assert!(stopped_at(prdc(after(239).around(&a), &b, 5)).starts_with("sample"));
    assert_eq!(prdc(after(240).around(&a), &b, 5).unwrap(), prdc(&a, &b, 5).unwrap());
    // 4 parts of FID, 20 subsets of KID, then the neighbours.
    let seen = |features: &Features| Extracted { features: features.clone(), logits: None };
    let figures = Figures::new(after(24).around(&seen(&a)), &seen(&b));
    assert!(stopped_at(figures).starts_with("the neighbours"));

    let reals = bars(40, 0);
    let samples = tensor(&reals, 5..8);
    assert_eq!(stopped_at(nearest(samples, after(7).around(&reals))), "image 7");
    assert_eq!(stopped_at(reals.resized(24, &after(9))), "image 9 of 40");
    // The images are 12 pixels wide and need no scaling.
    assert_eq!(stopped_at(reals.clustered(4, 1, &after(3))), "centre 3 of 4");
    assert_eq!(stopped_at(reals.clustered(4, 1, &after(9))), "round 5 of 40");
    let classifier = JudgeConfig::new(12, 1, 2).init(&Device::flex()).unwrap();
    let images = bars(300, 0);
    assert_eq!(stopped_at(classifier.accuracy(after(2).around(&images))), "image 256");
}

#[test]
fn the_nearest_real_image_is_found() {
    let reals = bars(40, 0);
    let device = Device::flex();
    let found = nearest(tensor(&reals, 5..8), &reals).unwrap();
    assert_eq!(found, [(5, 0.0), (6, 0.0), (7, 0.0)]);
    let off = tensor(&reals, 5..6) + 0.002;
    let (at, distance) = nearest(off, &reals).unwrap()[0];
    assert!(at == 5 && (distance - 0.002).abs() < 1e-5, "{at} {distance}");
    let other = Tensor::from_data(TensorData::zeros::<f32, _>([1, 3, 12, 12]), &device);
    assert!(nearest(other, &reals).is_err());
}

#[test]
fn clusters_are_of_like_images_and_even() {
    // Four bars apart from each other, of many shades: the places are the clusters.
    let place = |at: usize| at * 7 % 4;
    let items = (0..400).map(|at| {
        let bar = 3 * place(at)..3 * place(at) + 2;
        let shade = 150 + (at % 100) as u8;
        let pixels = (0..144).map(|i| if bar.contains(&(i % 12)) { shade } else { 0 }).collect();
        Labelled { image: Image::new(12, 12, 1, pixels).unwrap(), label: 0 }
    });
    let images = Images::new(items, Vec::new()).unwrap();
    let clustered = images.clustered(4, 1, &Stop::new()).unwrap();
    assert_eq!(clustered.class_names().len(), 4);
    let of_place = |wanted: usize| -> Vec<usize> {
        (0..400).filter(|&at| place(at) == wanted).map(|at| clustered.labels()[at]).collect()
    };
    let mut found: Vec<usize> = (0..4).map(|place| of_place(place)[0]).collect();
    for (wanted, cluster) in found.iter().enumerate() {
        assert!(of_place(wanted).iter().all(|label| label == cluster));
    }
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 3]);
    assert_eq!(clustered.image(7).unwrap(), images.image(7).unwrap());

    // A cloud that is denser at one end: by squared distances alone they have 214 to 318.
    let mut noise = Noise::new(3, 0);
    let items = (0..2000).map(|_| {
        let light = (60.0 * noise.uniform().powi(3)) as usize;
        let pixels = (0..64).map(|_| (light + noise.below(150)) as u8).collect();
        Labelled { image: Image::new(8, 8, 1, pixels).unwrap(), label: 0 }
    });
    let images = Images::new(items.collect::<Vec<_>>(), Vec::new()).unwrap();
    let clustered = images.clustered(8, 1, &Stop::new()).unwrap();
    assert_eq!(clustered.labels(), images.clustered(8, 1, &Stop::new()).unwrap().labels());
    for cluster in 0..8 {
        let size = clustered.labels().iter().filter(|&&label| label == cluster).count();
        assert!((220..=280).contains(&size), "{size} of 2000 in one of 8 clusters");
    }

    for clusters in [0, 1, 501] {
        let error = images.clustered(clusters, 1, &Stop::new()).unwrap_err().to_string();
        assert!(error.contains("clusters") && error.contains("2 to 500"), "{error}");
    }
}
