//! Clusters of numbers.

/// Lloyd's iterations stop here where they have not settled before.
const MOST_ITERATIONS: usize = 300;

/// At most `clusters` values, ascending, that the numbers are near to: k-means in one dimension,
/// from centroids spread evenly from the least to the largest number, which Deep Compression found
/// best, as large weights matter and are few.
///
/// ```
/// use compress::share::codebook;
///
/// assert_eq!(codebook(&[1.0, 9.0, 0.0, 10.0, 2.0], 2), [1.0, 9.5]);
/// ```
///
/// Numbers that are not finite are left out; there are fewer values than clusters where there are
/// fewer different numbers, or a cluster stays empty.
pub fn codebook(numbers: &[f32], clusters: usize) -> Vec<f32> {
    let mut sorted: Vec<f32> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut different = sorted.clone();
    different.dedup();
    if clusters == 0 {
        return Vec::new();
    }
    if different.len() <= clusters {
        return different;
    }
    // Sums of the first so many numbers: a cluster is a stretch of them.
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(sorted.iter().scan(0.0, |sum, &x| {
            *sum += f64::from(x);
            Some(*sum)
        }))
        .collect();
    let (low, high) = (f64::from(sorted[0]), f64::from(sorted[sorted.len() - 1]));
    let step = (high - low) / (clusters - 1).max(1) as f64;
    let mut centroids: Vec<f64> = (0..clusters).map(|at| low + step * at as f64).collect();
    if clusters == 1 {
        centroids = vec![f64::midpoint(low, high)];
    }
    for _ in 0..MOST_ITERATIONS {
        let mut next = Vec::with_capacity(centroids.len());
        let mut from = 0;
        for (at, &centroid) in centroids.iter().enumerate() {
            let to = match centroids.get(at + 1) {
                Some(after) => {
                    let border = f64::midpoint(centroid, *after);
                    sorted.partition_point(|&x| f64::from(x) <= border)
                }
                None => sorted.len(),
            };
            if to > from {
                next.push((sums[to] - sums[from]) / (to - from) as f64);
                from = to;
            }
        }
        let settled = next == centroids;
        centroids = next;
        if settled {
            break;
        }
    }
    centroids.into_iter().map(|centroid| centroid as f32).collect()
}

/// The place of the nearest value in an ascending codebook.
pub(super) fn nearest(codebook: &[f32], number: f32) -> usize {
    let after = codebook.partition_point(|&value| value < number);
    match (after.checked_sub(1), codebook.get(after)) {
        (Some(before), Some(&above)) if number - codebook[before] <= above - number => before,
        (_, Some(_)) => after,
        (before, None) => before.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centroids_are_the_means_of_what_is_nearest() {
        let numbers: Vec<f32> =
            (0..500).map(|n| ((n * 37 % 101) as f32 / 50.0 - 1.0).powi(3)).collect();
        let found = codebook(&numbers, 8);
        assert!(found.len() <= 8 && found.is_sorted());
        for (at, &centroid) in found.iter().enumerate() {
            let own: Vec<f32> =
                numbers.iter().copied().filter(|&x| nearest(&found, x) == at).collect();
            let mean = own.iter().sum::<f32>() / own.len() as f32;
            assert!((mean - centroid).abs() < 1e-5, "{mean} {centroid}");
        }
    }

    #[test]
    fn few_numbers_are_their_own_codebook() {
        assert_eq!(codebook(&[2.0, 1.0, 2.0, f32::NAN], 4), [1.0, 2.0]);
        assert!(codebook(&[], 4).is_empty() && codebook(&[1.0], 0).is_empty());
        assert_eq!(codebook(&[1.0, 2.0, 6.0], 1), [3.0]);
        assert_eq!((nearest(&[1.0, 2.0], 9.0), nearest(&[1.0, 2.0], -3.0)), (1, 0));
    }
}
