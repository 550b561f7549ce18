//! The auto traits and derived traits of every public type. A new private field could remove an
//! auto trait, which would break users.

use adamax::{
    Adamax, AdamaxBuilder, Average, Averages, BiasCorrection, Bound, BoundAverage,
    EpsilonPlacement, Error, ErrorKind, GradientCheck, Group, MaxNorm, NonFinite, Objective,
    Optimizer, Outcome, Slot, Slots, Snapshot, State, Stop, StopBuilder, StopReason, StopVerdict,
    Unmatched, WeightDecay,
    schedule::{Amplitude, ReduceOnPlateau, ReduceOnPlateauBuilder, Schedule, Threshold},
};
use ndarray::{Ix2, IxDyn};
use std::{
    fmt::Debug,
    hash::Hash,
    panic::{RefUnwindSafe, UnwindSafe},
};

/// Requires that `T` can be sent and shared between threads, is unwind safe and borrows nothing.
fn is_free<T: Debug + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>() {}

/// The same for types that borrow from the caller. A mutable borrow is not unwind safe.
fn is_loan<T: Debug + Send + Sync + Unpin + RefUnwindSafe>() {}

fn is_value<T: Clone + PartialEq>() {}
fn is_small_value<T: Copy + PartialEq>() {}
fn is_key<T: Copy + Eq + Hash>() {}

/// A `Slot` has these traits for every `D`, because it stores `D` as a marker only.
fn slots_are_free_in<D: 'static>() {
    is_free::<Slot<D>>();
    is_key::<Slot<D>>();
}

#[test]
fn every_type_has_its_auto_traits() {
    is_free::<Adamax>();
    is_free::<AdamaxBuilder>();
    is_free::<Amplitude>();
    is_free::<Average<f32>>();
    is_free::<Average<f64>>();
    is_free::<Average<f32, f64>>();
    is_free::<Averages<f32, f64>>();
    is_free::<Averages<f64>>();
    is_free::<BiasCorrection>();
    is_free::<EpsilonPlacement>();
    is_free::<Error>();
    is_free::<ErrorKind>();
    is_free::<GradientCheck>();
    is_free::<Group>();
    is_free::<MaxNorm>();
    is_free::<NonFinite>();
    is_free::<Objective>();
    is_free::<Optimizer<f32>>();
    is_free::<Optimizer<f64>>();
    is_free::<Outcome>();
    is_free::<ReduceOnPlateau>();
    is_free::<ReduceOnPlateauBuilder>();
    is_free::<Schedule>();
    is_free::<Slots>();
    is_free::<Snapshot<f32>>();
    is_free::<Snapshot<f64>>();
    is_free::<State<f32>>();
    is_free::<State<f64>>();
    is_free::<Stop>();
    is_free::<StopBuilder>();
    is_free::<StopReason>();
    is_free::<Unmatched>();
    is_free::<StopVerdict>();
    is_free::<Threshold>();
    is_free::<WeightDecay>();
    slots_are_free_in::<Ix2>();
    slots_are_free_in::<IxDyn>();
    slots_are_free_in::<std::rc::Rc<std::cell::Cell<u8>>>();

    is_loan::<Bound<'_, f32>>();
    is_loan::<Bound<'_, f64>>();
    is_loan::<BoundAverage<'_, f32>>();
    is_loan::<BoundAverage<'_, f64>>();
    is_loan::<BoundAverage<'_, f32, f64>>();
}

#[test]
fn values_copy_and_compare() {
    is_small_value::<Adamax>();
    is_small_value::<Amplitude>();
    is_small_value::<MaxNorm>();
    is_small_value::<Threshold>();
    is_small_value::<StopVerdict>();
    is_small_value::<WeightDecay>();
    is_key::<BiasCorrection>();
    is_key::<EpsilonPlacement>();
    is_key::<ErrorKind>();
    is_key::<Group>();
    is_key::<NonFinite>();
    is_key::<Objective>();
    is_key::<Outcome>();
    is_key::<StopReason>();

    is_value::<Average<f32>>();
    is_value::<Average<f64>>();
    is_value::<Average<f32, f64>>();
    is_value::<Averages<f32, f64>>();
    is_value::<Averages<f64>>();
    is_value::<GradientCheck>();
    is_value::<ReduceOnPlateau>();
    is_value::<Schedule>();
    is_value::<Slots>();
    is_value::<Snapshot<f32>>();
    is_value::<Snapshot<f64>>();
    is_value::<State<f32>>();
    is_value::<State<f64>>();
    is_value::<Stop>();
    is_value::<Unmatched>();
}

/// Types without an explicit precision use `f64`.
#[test]
fn f64_is_the_default() {
    fn is<T>(_: fn(T), _: fn(T)) {}
    is(|_: State| {}, |_: State<f64>| {});
    is(|_: Optimizer| {}, |_: Optimizer<f64>| {});
    is(|_: Snapshot| {}, |_: Snapshot<f64>| {});
    is(|_: Average| {}, |_: Average<f64>| {});
    is(|_: Averages| {}, |_: Averages<f64>| {});
}

#[cfg(feature = "argmin")]
#[test]
fn the_solver_has_its_auto_traits() {
    is_free::<adamax::argmin::AdamaxSolver<f32>>();
    is_free::<adamax::argmin::AdamaxSolver<f64>>();
    is_value::<adamax::argmin::AdamaxSolver<f32>>();
    is_value::<adamax::argmin::AdamaxSolver<f64>>();
}

#[cfg(feature = "safetensors")]
#[test]
fn a_checkpoint_has_its_auto_traits() {
    is_free::<adamax::Checkpoint<f32>>();
    is_free::<adamax::Checkpoint<f64>>();
    is_value::<adamax::Checkpoint<f32>>();
    is_value::<adamax::Checkpoint<f64>>();
}
