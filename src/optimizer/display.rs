//! An optimizer as text: a table for people, and a structure for debugging. Neither shows moments, which
//! may be large.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use super::{
    Optimizer,
    places::{Places, Tensor},
    slot::Group,
};
use crate::{
    error::{Abbreviated, escaped},
    real::Real,
    state::State,
};

/// A table of the tensors, with a line for all of them together. Of rows with their own
/// [counters](State::row_steps), the steps are from the least to the largest, as in `0 to 7 by row`.
///
/// ```
/// use adamax::{Adamax, Optimizer};
/// use ndarray::{Array1, Array2};
///
/// let mut optimizer = Optimizer::<f64>::new(Adamax::default());
/// let plain = optimizer.add_group(Adamax::keras());
/// optimizer.register("weights", &Array2::zeros((784, 128)))?;
/// optimizer.register_in(plain, "bias", &Array1::zeros(128))?;
/// assert_eq!(optimizer.to_string(), "\
/// tensor     shape       parameters  group  steps
/// weights    [784, 128]      100352      0      0
/// bias       [128]              128      1      0
/// 2 tensors                  100480
/// ");
/// # Ok::<(), adamax::Error>(())
/// ```
impl<A: Real> fmt::Display for Optimizer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["tensor", "shape", "parameters", "group", "steps"].map(String::from);
        let lines: Vec<_> = core::iter::once(head).chain(self.tensors().map(line)).collect();
        let total: usize = self.tensors().map(|(_, _, state)| state.len()).sum();
        let last = match self.tensors.len() {
            1 => String::from("1 tensor"),
            count => format!("{count} tensors"),
        };
        let widths: [usize; 5] = core::array::from_fn(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        });
        let [name, shape, parameters, group, steps] = widths;
        let name = name.max(last.len());
        for [a, b, c, d, e] in &lines {
            writeln!(f, "{a:name$}  {b:shape$}  {c:>parameters$}  {d:>group$}  {e:>steps$}")?;
        }
        writeln!(f, "{last:name$}  {:shape$}  {total:>parameters$}", "")
    }
}

fn line<A: Real>((name, group, state): (&str, Group, &State<A>)) -> [String; 5] {
    [
        escaped(Abbreviated::name(name)),
        format!("{:?}", state.first_moment().shape()),
        format!("{}", state.len()),
        format!("{}", group.index),
        Steps(state).to_string(),
    ]
}

/// The steps of a tensor in short: one number, or the range of the counters of its rows.
struct Steps<'a, A>(&'a State<A>);

impl<A: Real> fmt::Display for Steps<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Steps(state) = self;
        let largest = state.steps();
        match state.row_steps().map(|counters| counters.iter().min()) {
            None => write!(f, "{largest}"),
            Some(Some(least)) if *least < largest => write!(f, "{least} to {largest} by row"),
            Some(_) => write!(f, "{largest} by row"),
        }
    }
}

impl<A: Real> fmt::Debug for Steps<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The settings, and the tensors by name.
impl<A: Real> fmt::Debug for Optimizer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<_> = self.groups.iter().map(super::GroupRule::rule).collect();
        f.debug_struct("Optimizer")
            .field("groups", &rules)
            .field("tensors", &self.tensors)
            .field("lr_scale", &self.lr_scale)
            .field("max_norm", &self.max_norm)
            .finish_non_exhaustive()
    }
}

impl<A: Real> fmt::Debug for Places<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|tensor| (&tensor.name, tensor))).finish()
    }
}

impl<A: Real> fmt::Debug for Tensor<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("group", &self.group)
            .field("shape", &self.state.first_moment().shape())
            .field("steps", &Steps(&self.state))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec, vec::Vec};

    use ndarray::ArrayD;

    use super::Optimizer;
    use crate::{error::Error, rule::Adamax, state::State};

    #[test]
    fn a_table_shows_the_range_of_its_counters() -> Result<(), Error> {
        let mut optimizer = Optimizer::new(Adamax::default());
        optimizer.register("whole", &ArrayD::<f64>::zeros(vec![3]))?;
        let tables: [(&str, Vec<u64>); 5] = [
            ("some", vec![3, 0, 7]),
            ("equal", vec![7, 7]),
            ("new", vec![0, 0]),
            ("empty", vec![]),
            ("last", vec![u64::MAX, u64::MAX - 1]),
        ];
        for (name, counters) in tables {
            let zeros = ArrayD::zeros(vec![counters.len(), 2]);
            let slot = optimizer.register(name, &zeros)?;
            let state = State::from_row_parts(counters, zeros.clone(), zeros)?;
            optimizer.tensors.own_mut(slot)?.state = state;
        }
        assert_eq!(
            optimizer.to_string(),
            "\
tensor     shape   parameters  group                                                steps
whole      [3]              3      0                                                    0
some       [3, 2]           6      0                                        0 to 7 by row
equal      [2, 2]           4      0                                             7 by row
new        [2, 2]           4      0                                             0 by row
empty      [0, 2]           0      0                                             0 by row
last       [2, 2]           4      0  18446744073709551614 to 18446744073709551615 by row
6 tensors                  21
"
        );
        let debug = format!("{optimizer:?}");
        assert!(debug.contains("shape: [3, 2], steps: 0 to 7 by row, .."), "{debug}");
        assert!(debug.contains("shape: [3], steps: 0, .."), "{debug}");
        Ok(())
    }
}
