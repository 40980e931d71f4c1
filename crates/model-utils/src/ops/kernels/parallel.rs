//! Loops over planes and channels, on all cores where there is enough to do.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

/// Fewer numbers than this are not worth waking another thread for.
pub(in crate::ops) const WORTH_SHARING: usize = 1 << 16;

/// Numbers of a task, about.
const A_TASK: usize = 1 << 13;

/// Channels that one task sums together: their planes lie side by side in each image.
const CHANNELS_A_TASK: usize = 8;

/// Sums are kept in this many lanes, so that they come out the same on every processor.
pub(in crate::ops) const LANES: usize = 16;

/// A vector whose chunks of `chunk` numbers `write(index, chunk)` writes; until then they are zero.
pub(in crate::ops) fn written(
    len: usize,
    chunk: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(len);
    let room = &mut numbers.spare_capacity_mut()[..len];
    let a_task = if len < WORTH_SHARING { len } else { A_TASK.next_multiple_of(chunk) };
    let write = |(task, room): (usize, &mut [MaybeUninit<f32>])| {
        for number in &mut *room {
            number.write(0.0);
        }
        // SAFETY: the loop wrote each of them.
        let numbers = unsafe { room.assume_init_mut() };
        vectorised(|| {
            for (index, numbers) in numbers.chunks_mut(chunk).enumerate() {
                write(task * a_task / chunk + index, numbers);
            }
        });
    };
    if len < WORTH_SHARING {
        write((0, room));
    } else {
        room.par_chunks_mut(a_task).enumerate().for_each(write);
    }
    // SAFETY: `write` filled all chunks, and they are all of the `len` numbers.
    unsafe { numbers.set_len(len) };
    numbers
}

/// Calls `write(index, chunk)` for each chunk of `chunk` numbers.
pub(in crate::ops) fn for_each_chunk(
    numbers: &mut [f32],
    chunk: usize,
    write: impl Fn(usize, &mut [f32]) + Sync,
) {
    if numbers.len() < WORTH_SHARING {
        vectorised(|| {
            for (index, chunk) in numbers.chunks_mut(chunk).enumerate() {
                write(index, chunk);
            }
        });
        return;
    }
    let a_task = A_TASK.div_ceil(chunk);
    numbers.par_chunks_mut(a_task * chunk).enumerate().for_each(|(task, numbers)| {
        vectorised(|| {
            for (index, chunk) in numbers.chunks_mut(chunk).enumerate() {
                write(task * a_task + index, chunk);
            }
        });
    });
}

/// For each channel of `[batch, channels, space]` the sums of what `plane(channel, range)` gives
/// for the channel's planes, taken in the order of the batch whatever the number of threads.
pub(in crate::ops) fn channel_sums<const K: usize>(
    [batch, channels, space]: [usize; 3],
    plane: impl Fn(usize, Range<usize>) -> [f32; K] + Sync,
) -> Vec<[f64; K]> {
    let mut sums = vec![[0.0; K]; channels];
    let add = |(task, sums): (usize, &mut [[f64; K]])| {
        vectorised(|| {
            for image in 0..batch {
                for (at, sum) in sums.iter_mut().enumerate() {
                    let channel = task * CHANNELS_A_TASK + at;
                    let start = (image * channels + channel) * space;
                    let addends = plane(channel, start..start + space);
                    for (sum, addend) in sum.iter_mut().zip(addends) {
                        *sum += f64::from(addend);
                    }
                }
            }
        });
    };
    if batch * channels * space < WORTH_SHARING {
        sums.chunks_mut(CHANNELS_A_TASK).enumerate().for_each(add);
    } else {
        sums.par_chunks_mut(CHANNELS_A_TASK).enumerate().for_each(add);
    }
    sums
}

/// Runs `work`, and what is inlined into it, with the widest vectors that the processor has.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Lets the processor bring `count` numbers to its first cache, from `at` on, those of them that are
/// there.
#[inline(always)]
pub(in crate::ops) fn fetch(numbers: &[f32], at: usize, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (at..at + count).step_by(LANES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        if let Some(number) = numbers.get(line) {
            // SAFETY: a hint that reads nothing, and every x86-64 processor has it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(number).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (numbers, at, count);
}

/// The sums of what `term` gives for each pair.
#[inline(always)]
pub(in crate::ops) fn sum_pairs<const K: usize>(
    a: &[f32],
    b: &[f32],
    term: impl Fn(f32, f32) -> [f32; K],
) -> [f32; K] {
    let mut lanes = [[0.0; LANES]; K];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            let terms = term(a[lane], b[lane]);
            for k in 0..K {
                lanes[k][lane] += terms[k];
            }
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        let terms = term(a, b);
        for k in 0..K {
            lanes[k][lane] += terms[k];
        }
    }
    lanes.map(|lanes| lanes.iter().sum())
}
