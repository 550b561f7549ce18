//! Tests that the work of a step can be split: into parts of about equal length, with all elements.
//!
//! The parts that work is split into change no bit. So no other test would notice a step that uses one thread.

use std::{format, sync::Mutex, vec, vec::Vec};

use ndarray::{Array2, ArrayRef2, Axis, ShapeBuilder, Slice};

use super::{MaxNorm, Optimizer, batch::Purpose, slot::Bound};
use crate::{
    error::Error,
    par::halving::{Halving, MOST},
    rule::{Adamax, NonFinite},
    step::Outcome,
};

/// Elements of each batch.
const ELEMENTS: usize = 8192;

/// The way of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Step,
    Report,
}

/// Returns the number of runs that were split into parts of about equal length. In the other runs the work was
/// whole: that for the small tensors of a batch which has none, and norms of arrays with gaps.
fn split_runs(what: &str, runs: &[Vec<usize>]) -> usize {
    let mut count = 0;
    for lengths in runs {
        assert_eq!(lengths.iter().sum::<usize>(), ELEMENTS, "{what}: {runs:?}");
        if lengths.len() > 1 {
            // Parts are whole rows, or whole leaves of sums.
            let equal = |length: &usize| (MOST / 4..=MOST + MOST / 2).contains(length);
            assert!(lengths.iter().all(equal), "{what}: {runs:?}");
            count += 1;
        }
    }
    count
}

/// Takes a step, and returns the lengths of the parts of each run.
fn runs_of(
    optimizer: &mut Optimizer,
    batch: &mut [Bound<'_, f64>],
    way: Way,
) -> Result<Vec<Vec<usize>>, Error> {
    let runs = Mutex::default();
    match way {
        Way::Step => {
            let checked = optimizer.check_with(Halving(&runs), batch, Purpose::Step)?;
            assert_eq!(checked.apply_with(Halving(&runs)), Outcome::Applied);
        }
        Way::Report => {
            let report = optimizer.report_with(Halving(&runs), batch)?;
            assert_eq!(report.outcome(), Outcome::Applied);
        }
    }
    Ok(runs.into_inner().unwrap())
}

/// Registers tensors, and returns the lengths of the parts of each run of their step. The tensors and their
/// gradients have the elements of a batch.
fn runs(
    rule: Adamax,
    max_norm: Option<MaxNorm>,
    way: Way,
    tensors: &mut [(&mut ArrayRef2<f64>, &ArrayRef2<f64>)],
) -> Result<Vec<Vec<usize>>, Error> {
    let mut optimizer = Optimizer::new(rule);
    optimizer.set_max_norm(max_norm)?;
    let mut batch = Vec::new();
    for (index, (x, g)) in tensors.iter_mut().enumerate() {
        let slot = optimizer.register(&format!("{index}"), &**x)?;
        batch.push(slot.bind(x, *g));
    }
    runs_of(&mut optimizer, &mut batch, way)
}

fn rules() -> [Adamax; 2] {
    [NonFinite::Error, NonFinite::Propagate]
        .map(|policy| Adamax::builder().non_finite(policy).build().unwrap())
}

const NORMS: [Option<MaxNorm>; 3] =
    [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.5))];

#[test]
fn a_large_tensor_is_split_in_each_layout() -> Result<(), Error> {
    let (rows, columns) = (64, ELEMENTS / 64);
    for rule in rules() {
        for max_norm in NORMS {
            for way in [Way::Step, Way::Report] {
                for [x_order, g_order] in
                    [[false, false], [true, true], [false, true], [true, false]]
                {
                    let mut x = Array2::<f64>::zeros((rows, columns).set_f(x_order));
                    let g = Array2::ones((rows, columns).set_f(g_order));
                    let found = runs(rule, max_norm, way, &mut [(&mut x, &g)])?;
                    let what = format!("{max_norm:?} {way:?} {x_order} {g_order}");
                    let is_read = max_norm.is_some() || way == Way::Report;
                    let is_checked = rule.non_finite() == NonFinite::Error;
                    let expected = 1 + usize::from(is_read || is_checked);
                    assert_eq!(split_runs(&what, &found), expected, "{what}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_tensor_with_gaps_is_split() -> Result<(), Error> {
    // Long rows are updated in place, short ones by way of the stack.
    for columns in [128, 4] {
        let rows = ELEMENTS / columns;
        let g = Array2::ones((rows, columns));
        let mut wide = Array2::<f64>::zeros((rows, 2 * columns));
        let mut x = wide.slice_axis_mut(Axis(1), Slice::from(..).step_by(2));
        for way in [Way::Step, Way::Report] {
            let [_, propagates] = rules();
            let found = runs(propagates, None, way, &mut [(&mut x, &g)])?;
            assert_eq!(split_runs(&format!("{columns} {way:?}"), &found), 1);
        }
    }
    Ok(())
}

#[test]
fn many_small_tensors_are_distributed() -> Result<(), Error> {
    for rule in rules() {
        for max_norm in NORMS {
            for way in [Way::Step, Way::Report] {
                let mut tensors = vec![Array2::<f64>::zeros((8, 16)); ELEMENTS / 128];
                let g = Array2::ones((8, 16));
                let mut pairs: Vec<_> = tensors.iter_mut().map(|x| (&mut **x, &*g)).collect();
                let found = runs(rule, max_norm, way, &mut pairs)?;
                let what = format!("{max_norm:?} {way:?}");
                assert_eq!(split_runs(&what, &found), found.len(), "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn two_small_tensors_are_distributed() -> Result<(), Error> {
    let [_, propagates] = rules();
    for (max_norm, way) in [(Some(MaxNorm::PerTensor(0.5)), Way::Step), (None, Way::Report)] {
        let mut tensors = vec![Array2::<f64>::zeros((9, 100)); 2];
        let g = Array2::ones((9, 100));
        let mut pairs: Vec<_> = tensors.iter_mut().map(|x| (&mut **x, &*g)).collect();
        // Norms are taken, and then the step.
        assert_eq!(runs(propagates, max_norm, way, &mut pairs)?, [[900; 2]; 2], "{way:?}");
    }
    Ok(())
}

#[test]
fn rows_of_a_table_are_distributed() -> Result<(), Error> {
    for rule in rules() {
        for max_norm in NORMS {
            let mut table = Array2::<f64>::zeros((300, ELEMENTS / 128));
            let g = Array2::ones((128, ELEMENTS / 128));
            let indices: Vec<_> = (0..128).map(|row| 2 * row).collect();
            let mut optimizer = Optimizer::new(rule);
            optimizer.set_max_norm(max_norm)?;
            let rows = optimizer.register_rows("table", &table)?;
            let batch = &mut [rows.bind(&mut table, &indices, &g)];
            let found = runs_of(&mut optimizer, batch, Way::Step)?;
            let what = format!("{max_norm:?}");
            let is_read = max_norm.is_some() || rule.non_finite() == NonFinite::Error;
            assert_eq!(split_runs(&what, &found), 1 + usize::from(is_read), "{what}");
        }
    }
    Ok(())
}
