use model_utils::config;
use model_utils::stats::mcnemar_counts;

use crate::error::Result;

/// The smallest difference in right answers that counts, where two variants disagree on
/// `discordant` of the same examples: that for which [`mcnemar_counts`] gives a chance of at most
/// `level`. `None` where no split of so few is uneven enough (below 6 at a level of 0.05).
///
/// Divided by the number of examples it is the difference in accuracy; about `1.96·√discordant` for
/// many at a level of 0.05.
///
/// ```
/// use compress::report::smallest_significant;
///
/// // Of 10,000 images two models disagree on 100: 0.22 points count.
/// assert_eq!(smallest_significant(100, 0.05)?, Some(22));
/// assert_eq!(smallest_significant(5, 0.05)?, None);
/// # Ok::<(), compress::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) for a level outside 0…1, and for more than 10¹²
/// disagreements.
pub fn smallest_significant(discordant: u64, level: f64) -> Result<Option<u64>> {
    config::require(level > 0.0 && level < 1.0, "level", level, "a chance between 0 and 1")?;
    // The difference has the parity of the number; the chance falls as it grows.
    let difference = |half: u64| discordant % 2 + 2 * half;
    let counts = |half: u64| -> Result<bool> {
        let more = u64::midpoint(discordant, difference(half));
        Ok(mcnemar_counts(more, discordant - more)?.p_value <= level)
    };
    let (mut low, mut high) = (0, discordant / 2);
    if discordant == 0 || !counts(high)? {
        return Ok(None);
    }
    while low < high {
        let middle = u64::midpoint(low, high);
        if counts(middle)? {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Some(difference(low)))
}
