//! What a model looks at: Grad-CAM and feature maps, as pictures.

use burn::tensor::{Int, Tensor};
use model_utils::config;
use model_utils::image::Image;
use model_utils::ops;

use crate::classifier::Classifier;
use crate::error::Result;

/// How much of the picture is left under a heat map.
const PICTURE_SHARE: f32 = 0.5;

/// Grad-CAM (Selvaraju et al. 2017, <https://arxiv.org/abs/1610.02391>): where in each image the
/// last feature map A speaks for a class,
///
/// ```math
/// L = \mathrm{relu}\Big(\sum_k \alpha_k A_k\Big), \qquad
/// \alpha_k = \frac1{HW} \sum_{i,j} \frac{\partial y_c}{\partial A_{k,i,j}}
/// ```
///
/// with the logit y of the class. `[batch, channels, height, width]` and a class an image →
/// `[batch, map_height, map_width]`, scaled so that the largest value of each image is 1 (or all
/// are 0). The model is not touched, whatever its device; it is looked at in inference.
///
/// # Errors
///
/// [`Error::Images`](crate::Error::Images) for images that the model cannot take, [`Error::Config`](crate::Error::Config) for another number of
/// classes than images or a class that there is not.
pub fn grad_cam<M: Classifier>(
    model: &M,
    images: Tensor<4>,
    classes: &[usize],
) -> Result<Tensor<3>> {
    model.check(&images)?;
    let [batch, ..] = images.dims();
    let expected = format!("{batch}, one an image");
    config::require(classes.len() == batch, "classes", classes, expected)?;
    let known = classes.iter().all(|&class| class < model.classes());
    config::require(known, "classes", classes, format!("each below {}", model.classes()))?;
    let still = model.valid();
    let images = if images.device().is_autodiff() { images.inner() } else { images };
    let map = still.forward_features(images);

    // Only the head is differentiated, with dropout off.
    let head = still.train().freeze();
    let live = Tensor::from_inner(map.clone()).require_grad();
    let classes: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
    let classes = Tensor::<1, Int>::from_ints(classes.as_slice(), &live.device());
    let chosen = head.forward_head(live.clone()).gather(1, classes.unsqueeze_dim(1)).sum();
    let gradient = live.grad(&chosen.backward()).unwrap_or_else(|| map.zeros_like());
    let weights = gradient.mean_dims(&[2, 3]);
    let heat = (map * weights).sum_dim(1).clamp_min(0.0).squeeze_dim::<3>(1);
    let largest = heat.clone().max_dim(1).max_dim(2).clamp_min(f32::MIN_POSITIVE);
    Ok(heat / largest)
}

/// A picture with one image's heat map over it: `[map_height, map_width]`, 0 to 1.
///
/// # Errors
///
/// An error of [`Image`] for a map of NaN.
pub fn overlay(image: &Image, heat: Tensor<2>) -> Result<Image> {
    let [height, width] = heat.dims();
    let heat = Image::from_planes(&ops::to_vec(heat), [1, height, width], 0.0, 1.0)?;
    let heat = heat.resize(image.width(), image.height());
    let image = image.to_rgb();
    let pixels = image.pixels().chunks_exact(3).zip(heat.pixels()).flat_map(|(pixel, &value)| {
        let color = warm(f32::from(value) / 255.0);
        std::array::from_fn::<u8, 3, _>(|channel| {
            let under = PICTURE_SHARE * f32::from(pixel[channel]);
            (under + (1.0 - PICTURE_SHARE) * 255.0 * color[channel] + 0.5) as u8
        })
    });
    Ok(Image::new(image.width(), image.height(), 3, pixels.collect())?)
}

/// From blue over green and yellow to red, each channel a tent.
fn warm(value: f32) -> [f32; 3] {
    [0.75, 0.5, 0.25].map(|peak| (1.5 - 4.0 * (value - peak).abs()).clamp(0.0, 1.0))
}

/// The `count` channels of one image's feature map with the highest mean, each as a gray picture
/// from its least to its largest value: `[batch, channels, height, width]` and the image's place
/// in the batch → channel and picture.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for an image that is not in the batch.
pub fn feature_maps(maps: Tensor<4>, image: usize, count: usize) -> Result<Vec<(usize, Image)>> {
    let [batch, channels, height, width] = maps.dims();
    config::require(image < batch, "image", image, format!("below {batch}"))?;
    let values = ops::to_vec(maps.narrow(0, image, 1));
    let planes: Vec<&[f32]> = values.chunks_exact(height * width).collect();
    let mut order: Vec<usize> = (0..channels).collect();
    let sum = |channel: usize| planes[channel].iter().sum::<f32>();
    order.sort_by(|&a, &b| sum(b).total_cmp(&sum(a)));
    order
        .into_iter()
        .take(count)
        .map(|channel| {
            let plane = planes[channel];
            let low = plane.iter().copied().fold(f32::INFINITY, f32::min);
            let high = plane.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            // A map of one value is black.
            let high = if high > low { high } else { low + 1.0 };
            Ok((channel, Image::from_planes(plane, [1, height, width], low, high)?))
        })
        .collect()
}
