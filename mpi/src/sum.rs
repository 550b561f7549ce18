//! The sum of the gradients of all ranks.

use crate::element::Element;

/// The order in which gradients of the ranks are added. The same on all ranks.
///
/// Floating-point addition is not associative, so the order decides on the last bits of a sum. In each of
/// these orders, a sum has the same bits on all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reduction {
    /// `((g₀ + g₁) + g₂) + …`, the order of the ranks. The same bits in each run, and with each
    /// MPI library, for one number of ranks.
    #[default]
    RankOrder,
    /// `(g₀ + g₁) + (g₂ + g₃)`, a binary tree. If each rank adds its share of 2ⁿ micro-batches in the
    /// same tree, with [`sum_in_tree`], the sum of all has the same bits on 1, 2, 4, … 2ⁿ ranks.
    Tree,
    /// The order of the MPI library ([`Transport::reduce_scatter`](crate::Transport::reduce_scatter)).
    /// It may depend on the library, on the number of ranks and on the length of a message.
    Engine,
}

/// The use of the sum of the gradients. The same on all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Combination {
    /// The sum itself: for losses that are sums over samples.
    #[default]
    Sum,
    /// The sum divided by the number of ranks: for losses that are means over samples, where each rank
    /// has the same number of samples.
    Mean,
    /// The sum divided by a number, such as the number of samples of all ranks. It is rounded to the
    /// precision of the tensors.
    DividedBy(f64),
}

impl Combination {
    /// Returns the number by which a sum is divided; `None` for 1.
    pub(crate) fn divisor<A: Element>(self, ranks: usize) -> Option<A> {
        #[expect(clippy::cast_precision_loss, reason = "fewer ranks than 2⁵³")]
        let divisor = match self {
            Combination::Sum => return None,
            Combination::Mean => ranks as f64,
            Combination::DividedBy(divisor) => divisor,
        };
        Some(A::nearest(divisor))
    }
}

/// Adds arrays in a binary tree: `(a₀ + a₁) + (a₂ + a₃)`. The sum is left in the first of them; the
/// others are overwritten.
///
/// This is how a rank adds the gradients of its micro-batches for [`Reduction::Tree`]. All ranks must have
/// the same number of micro-batches, a power of two, for sums that do not depend on the number of ranks.
///
/// # Examples
/// ```
/// use adamax_mpi::sum_in_tree;
///
/// let mut gradients = [[1.0], [2.0], [3.0], [4.0]];
/// sum_in_tree(&mut gradients.each_mut().map(|gradient| &mut gradient[..]));
/// assert_eq!(gradients[0], [10.0]);
/// ```
pub fn sum_in_tree<A: Element>(arrays: &mut [&mut [A]]) {
    let mut step = 1;
    while step < arrays.len() {
        for group in arrays.chunks_mut(2 * step) {
            if let Some((left, right)) = group.split_at_mut_checked(step) {
                if let (Some(to), Some(from)) = (left.first_mut(), right.first()) {
                    add(to, from);
                }
            }
        }
        step *= 2;
    }
}

/// Adds the blocks of one buffer in a binary tree. The sum is left in the first.
pub(crate) fn sum_blocks_in_tree<A: Element>(blocks: &mut [A], block: usize) {
    let mut step = block.max(1);
    while step < blocks.len() {
        for group in blocks.chunks_mut(2 * step) {
            if let Some((left, right)) = group.split_at_mut_checked(step) {
                let length = block.min(left.len());
                add(left.get_mut(..length).unwrap_or_default(), right);
            }
        }
        step *= 2;
    }
}

/// Adds blocks in their order. `block` returns each of them, and `None` after the last. They have the length of
/// `sums`.
pub(crate) fn sum_in_order<'b, A: Element>(
    sums: &mut [A],
    block: impl Fn(usize) -> Option<&'b [A]>,
) {
    // The first two together, so that no sum is written twice.
    match (block(0), block(1)) {
        (Some(a), Some(b)) => {
            let addends = a.iter().zip(b);
            sums.iter_mut().zip(addends).for_each(|(sum, (a, b))| {
                *sum = *a;
                *sum += *b;
            });
        }
        (Some(only), None) => sums.copy_from_slice(only),
        (None, _) => {}
    }
    (2..).map_while(block).for_each(|block| add(sums, block));
}

/// Adds `from` to `to`, as far as both go.
pub(crate) fn add<A: Element>(to: &mut [A], from: &[A]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as it is defined, of any number of values.
    fn tree(values: &[f64]) -> f64 {
        match values {
            [] => 0.0,
            [value] => *value,
            _ => {
                let half = values.len().next_power_of_two() / 2;
                let (left, right) = values.split_at(half);
                tree(left) + tree(right)
            }
        }
    }

    #[test]
    fn blocks_are_added_in_order() {
        for count in 1..=5_u32 {
            let blocks: Vec<[f64; 2]> = (0..count)
                .map(|i| [(f64::from(i) * 1.7).sin() / 3.0, 1e16 * f64::from(i + 1).sin()])
                .collect();
            let expected = [0, 1].map(|at| {
                let mut addends = blocks.iter().map(|block| block[at]);
                let first = addends.next().unwrap();
                addends.fold(first, |sum, addend| sum + addend).to_bits()
            });
            let mut sums = [f64::NAN; 2];
            sum_in_order(&mut sums, |of| blocks.get(of).map(|block| &block[..]));
            assert_eq!(sums.map(f64::to_bits), expected, "{count}");
        }
    }

    #[test]
    fn arrays_and_blocks_are_added_in_the_tree() {
        for count in 1..=17_u32 {
            let values: Vec<f64> = (0..count).map(|i| (f64::from(i) * 1.7).sin() / 3.0).collect();
            let others: Vec<f64> = values.iter().map(|value| 1e16 * value).collect();
            let expected = [tree(&values), tree(&others)].map(f64::to_bits);

            let mut blocks: Vec<f64> =
                values.iter().zip(&others).flat_map(|(a, b)| [*a, *b]).collect();
            let mut arrays: Vec<[f64; 2]> =
                values.iter().zip(&others).map(|(a, b)| [*a, *b]).collect();
            sum_blocks_in_tree(&mut blocks, 2);
            assert_eq!([blocks[0], blocks[1]].map(f64::to_bits), expected, "{count}");

            let mut slices: Vec<&mut [f64]> = arrays.iter_mut().map(|a| &mut a[..]).collect();
            sum_in_tree(&mut slices);
            assert_eq!(arrays[0].map(f64::to_bits), expected, "{count}");
        }
        sum_in_tree::<f64>(&mut []);
    }
}
