//! Embeddings.

use burn::nn::Embedding;
use burn::tensor::{Int, Tensor};

use super::host::{self, Array, Host, Kernel, one};
use super::indices;

/// Rows of a table. `[batch, length]` of indices → `[batch, length, features]`.
///
/// # Panics
///
/// As [`embed`].
pub fn embedding(embedding: &Embedding, x: Tensor<2, Int>) -> Tensor<3> {
    embed(embedding.weight.val(), x)
}

/// The function behind [`embedding()`], on a table `[rows, features]`.
///
/// # Panics
///
/// On `flex` and `ndarray`, where an index is not one of a row; other devices do not look, since
/// that would have to wait for them.
pub fn embed(table: Tensor<2>, x: Tensor<2, Int>) -> Tensor<3> {
    let ([batch, length], [rows, features]) = (x.dims(), table.dims());
    if !host::holds(&table) {
        return burn::tensor::module::embedding(table, x);
    }
    let lookup =
        Lookup { indices: indices("embedding", x, rows), shape: [batch, length, features] };
    one(lookup, table).expect("it was asked")
}

#[derive(Debug, Clone)]
struct Lookup {
    indices: Vec<u32>,
    /// Of the output.
    shape: [usize; 3],
}

impl Kernel<1> for Lookup {
    /// Rows and columns of the table.
    type Saved<B: Host> = [usize; 2];

    fn forward<B: Host>(
        &self,
        [table]: [Array<B>; 1],
        saves: bool,
    ) -> (Array<B>, Option<[usize; 2]>) {
        let [rows, features] = table.dims();
        let numbers = table.numbers();
        let mut found = Vec::with_capacity(self.indices.len() * features);
        for &index in &self.indices {
            found.extend_from_slice(&numbers[index as usize * features..][..features]);
        }
        (Array::new(found, self.shape), saves.then_some([rows, features]))
    }

    fn backward<B: Host>(
        &self,
        [rows, features]: [usize; 2],
        gradient: Array<B>,
        _: [bool; 1],
    ) -> [Option<Array<B>>; 1] {
        let gradient = gradient.numbers();
        let mut of_table = vec![0.0; rows * features];
        for (at, &index) in self.indices.iter().enumerate() {
            let row = &mut of_table[index as usize * features..][..features];
            let gradient = &gradient[at * features..][..features];
            row.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
        }
        [Some(Array::new(of_table, [rows, features]))]
    }
}
