//! The keys and values of what has been decoded.

use burn::tensor::{Device, Int, Tensor};

/// Projected keys and values, `[batch, time, width]` each.
#[derive(Debug, Clone)]
pub(super) struct KeysValues {
    pub(super) keys: Tensor<3>,
    pub(super) values: Tensor<3>,
}

impl KeysValues {
    pub(super) fn select(&mut self, rows: &Tensor<1, Int>) {
        let select = |x: &mut Tensor<3>| *x = x.clone().select(0, rows.clone());
        select(&mut self.keys);
        select(&mut self.values);
    }
}

/// Positions that room is first made for.
const FIRST_ROOM: usize = 32;

/// The keys and values of a self-attention, with room for what will be decoded: each step writes
/// its own in place, and they stay there when rows change places; see [`Slots`].
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// `[slots, room, width]`, of which the first `used` positions are written.
    pub(super) kept: KeysValues,
    used: usize,
    most: usize,
}

impl Cache {
    /// Room for `most` positions.
    pub(super) fn new(rows: usize, most: usize, width: usize, device: &Device) -> Self {
        let room = || Tensor::zeros([rows, most.min(FIRST_ROOM), width], device);
        Self { kept: KeysValues { keys: room(), values: room() }, used: 0, most }
    }

    /// Writes the keys and values of the next position, `[rows, 1, width]` each, into the first slots.
    pub(super) fn push(&mut self, next: KeysValues) {
        let [slots, room, width] = self.kept.keys.dims();
        let [rows, _, _] = next.keys.dims();
        let at = self.used;
        for (kept, next) in [(&mut self.kept.keys, next.keys), (&mut self.kept.values, next.values)]
        {
            let mut all = std::mem::replace(kept, Tensor::empty([0, 0, 0], &next.device()));
            if at == room {
                let more = room.max(1).min(self.most.max(room + 1) - room);
                let more = Tensor::zeros([slots, more, width], &next.device());
                all = Tensor::cat(vec![all, more], 1);
            }
            // With no other handle on it the tensor is written in place.
            *kept = all.slice_assign([0..rows, at..at + 1, 0..width], next);
        }
        self.used += 1;
    }
}

/// In which slot of the caches each row finds what it has written at each position.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    /// `[rows][positions]`
    of_rows: Vec<Vec<u32>>,
}

impl Slots {
    pub(super) fn new(rows: usize) -> Self {
        Self { of_rows: vec![Vec::new(); rows] }
    }

    /// Each row writes one more position, into the slot of its own number.
    pub(super) fn push(&mut self) {
        for (row, slots) in self.of_rows.iter_mut().enumerate() {
            slots.push(row as u32);
        }
    }

    /// Row `i` becomes what row `rows[i]` was.
    pub(super) fn select(&mut self, rows: &[usize]) {
        self.of_rows = rows.iter().map(|&row| self.of_rows[row].clone()).collect();
    }

    /// `[rows · positions]`
    pub(super) fn all(&self) -> Vec<u32> {
        self.of_rows.concat()
    }
}
