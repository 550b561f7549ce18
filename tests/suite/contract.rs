//! Fixes all names and signatures of the public API. If this file does not compile, the API has
//! changed.
//!
//! Each function is assigned to a function pointer of the promised type. The assignment fails if an
//! argument or the result changes.

#![expect(clippy::type_complexity, reason = "this file tests complete signatures")]

use adamax::ndarray::{
    Array, Array1, Array2, Array4, ArrayD, ArrayRef, ArrayView, ArrayViewD, ArrayViewMut,
    Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn, RemoveAxis, s,
};
use adamax::{
    Adamax, AdamaxBuilder, Average, Averages, BiasCorrection, Bound, BoundAverage, Checked,
    EpsilonPlacement, Error, ErrorKind, Findings, Group, MaxNorm, NonFinite, Objective, Operand,
    Optimizer, Outcome, Part, Real, Report, RowSlot, Slot, Slots, Snapshot, State, Stop,
    StopBuilder, StopReason, StopVerdict, Tensors, Unmatched, Visitor, VisitorMut, WeightDecay,
    adamax_step,
    schedule::{Amplitude, ReduceOnPlateau, ReduceOnPlateauBuilder, Schedule, Threshold},
    sum_rows,
};
use std::ops::Range;

// ---------------------------------------------------------------- layer 1

#[test]
fn the_textbook_function() {
    fn takes<T: Operand>() {
        let _: fn(T, &T, T, T, u64, &Adamax) -> Result<(T, T, T), Error> = adamax_step::<T>;
    }
    fn takes_arrays<A: Real>() {
        takes::<Array<A, Ix0>>();
        takes::<Array<A, Ix1>>();
        takes::<Array<A, Ix2>>();
        takes::<Array<A, Ix3>>();
        takes::<Array<A, Ix4>>();
        takes::<Array<A, Ix5>>();
        takes::<Array<A, Ix6>>();
        takes::<Array<A, IxDyn>>();
    }
    takes::<f64>();
    takes::<f32>();
    takes_arrays::<f64>();
    takes_arrays::<f32>();
}

// ---------------------------------------------------------------- layer 2

#[test]
fn the_rule() {
    let _: fn() -> Adamax = Default::default;
    let _: fn(f64) -> Result<Adamax, Error> = Adamax::new;
    let _: fn() -> AdamaxBuilder = Adamax::builder;
    let _: fn(&Adamax) -> AdamaxBuilder = Adamax::to_builder;

    let _: fn() -> Adamax = Adamax::paper;
    let _: fn() -> Adamax = Adamax::pytorch;
    let _: fn() -> Adamax = Adamax::keras;
    let _: fn() -> Adamax = Adamax::paddle;
    let _: fn(f64) -> Result<Adamax, Error> = Adamax::optax;
    let _: fn(f64) -> Result<Adamax, Error> = Adamax::mlx;

    let _: fn(&Adamax) -> f64 = Adamax::learning_rate;
    let _: fn(&Adamax) -> f64 = Adamax::beta1;
    let _: fn(&Adamax) -> f64 = Adamax::beta2;
    let _: fn(&Adamax) -> f64 = Adamax::epsilon;
    let _: fn(&Adamax) -> EpsilonPlacement = Adamax::epsilon_placement;
    let _: fn(&Adamax) -> BiasCorrection = Adamax::bias_correction;
    let _: fn(&Adamax) -> WeightDecay = Adamax::weight_decay;
    let _: fn(&Adamax) -> f64 = Adamax::clip_value;
    let _: fn(&Adamax) -> (f64, f64) = Adamax::bounds;
    let _: fn(&Adamax) -> Objective = Adamax::objective;
    let _: fn(&Adamax) -> NonFinite = Adamax::non_finite;
}

#[test]
fn the_builder() {
    let _: fn(AdamaxBuilder, f64) -> AdamaxBuilder = AdamaxBuilder::learning_rate;
    let _: fn(AdamaxBuilder, f64) -> AdamaxBuilder = AdamaxBuilder::beta1;
    let _: fn(AdamaxBuilder, f64) -> AdamaxBuilder = AdamaxBuilder::beta2;
    let _: fn(AdamaxBuilder, f64) -> AdamaxBuilder = AdamaxBuilder::epsilon;
    let _: fn(AdamaxBuilder, EpsilonPlacement) -> AdamaxBuilder = AdamaxBuilder::epsilon_placement;
    let _: fn(AdamaxBuilder, BiasCorrection) -> AdamaxBuilder = AdamaxBuilder::bias_correction;
    let _: fn(AdamaxBuilder, WeightDecay) -> AdamaxBuilder = AdamaxBuilder::weight_decay;
    let _: fn(AdamaxBuilder, f64) -> AdamaxBuilder = AdamaxBuilder::clip_value;
    let _: fn(AdamaxBuilder, f64, f64) -> AdamaxBuilder = AdamaxBuilder::bounds;
    let _: fn(AdamaxBuilder, Objective) -> AdamaxBuilder = AdamaxBuilder::objective;
    let _: fn(AdamaxBuilder, NonFinite) -> AdamaxBuilder = AdamaxBuilder::non_finite;
    let _: fn(AdamaxBuilder) -> Result<Adamax, Error> = AdamaxBuilder::build;
}

/// Each setting has the value that the builder was given, and the defaults are as documented.
#[test]
fn settings_are_read_back() -> Result<(), Error> {
    let default = Adamax::builder().build()?;
    assert_eq!(default, Adamax::default());
    let settings = |rule: &Adamax| {
        (
            [rule.learning_rate(), rule.beta1(), rule.beta2(), rule.epsilon(), rule.clip_value()],
            rule.epsilon_placement(),
            rule.bias_correction(),
            rule.weight_decay(),
            rule.bounds(),
            rule.objective(),
            rule.non_finite(),
        )
    };
    assert_eq!(
        settings(&default),
        (
            [0.002, 0.9, 0.999, 1e-8, f64::INFINITY],
            EpsilonPlacement::Outside,
            BiasCorrection::On,
            WeightDecay::None,
            (f64::NEG_INFINITY, f64::INFINITY),
            Objective::Minimize,
            NonFinite::Error,
        )
    );
    let rule = Adamax::builder()
        .learning_rate(0.1)
        .beta1(0.2)
        .beta2(0.3)
        .epsilon(0.4)
        .clip_value(0.5)
        .epsilon_placement(EpsilonPlacement::Accumulated)
        .bias_correction(BiasCorrection::Off)
        .weight_decay(WeightDecay::L2(0.6))
        .bounds(-0.7, 0.8)
        .objective(Objective::Maximize)
        .non_finite(NonFinite::Propagate)
        .build()?;
    assert_eq!(
        settings(&rule),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            EpsilonPlacement::Accumulated,
            BiasCorrection::Off,
            WeightDecay::L2(0.6),
            (-0.7, 0.8),
            Objective::Maximize,
            NonFinite::Propagate,
        )
    );
    assert_eq!(rule.to_builder().build()?, rule);
    Ok(())
}

#[test]
fn variants() {
    let _ = [EpsilonPlacement::Outside, EpsilonPlacement::InsideMax, EpsilonPlacement::Accumulated];
    let _ = [BiasCorrection::On, BiasCorrection::Off];
    let _ = [WeightDecay::None, WeightDecay::L2(0.1), WeightDecay::Decoupled(0.1)];
    let _ = [Objective::Minimize, Objective::Maximize];
    let _ = [NonFinite::Error, NonFinite::Skip, NonFinite::Propagate];
    let _ = [Outcome::Applied, Outcome::Skipped];
    let _ = [MaxNorm::Global(1.0), MaxNorm::PerTensor(1.0)];
}

/// The type of the steps of one tensor that return a `T`.
type Step<A, D, T> =
    fn(&Adamax, &mut State<A>, &mut ArrayRef<A, D>, &ArrayRef<A, D>) -> Result<T, Error>;

#[test]
fn a_step() {
    fn takes<A: Real, D: Dimension>() {
        let _: Step<A, D, Outcome> = Adamax::step::<A, D>;
        let _: Step<A, D, Report> = Adamax::step_with_report::<A, D>;
        #[cfg(feature = "rayon")]
        let _: Step<A, D, Outcome> = Adamax::par_step::<A, D>;
        #[cfg(feature = "rayon")]
        let _: Step<A, D, Report> = Adamax::par_step_with_report::<A, D>;
    }
    takes::<f64, Ix0>();
    takes::<f32, IxDyn>();
}

#[test]
fn the_report() {
    fn is_plain_data<T: Copy + std::fmt::Debug + PartialEq>() {}
    is_plain_data::<Report>();
    let _: fn(&Report) -> Outcome = Report::outcome;
    let _: fn(&Report) -> f64 = Report::gradient_norm;
    let _: fn(&Report) -> f64 = Report::clip_factor;
    let _: fn(&Report) -> f64 = Report::max_gradient;
    let _: fn(&Report) -> f64 = Report::max_step;
    let _: fn(&mut Report, &Report) = Report::join;
    let _: fn(&Report) -> [u64; 5] = Report::to_words;
    let _: fn(&[u64]) -> Option<Report> = Report::from_words;
}

#[test]
fn the_projected_gradient() {
    fn takes<A: Real, D: Dimension>() {
        let _: fn(&Adamax, &ArrayRef<A, D>, &ArrayRef<A, D>) -> Result<f64, Error> =
            Adamax::projected_gradient_norm::<A, D>;
    }
    takes::<f64, Ix0>();
    takes::<f32, IxDyn>();
}

#[test]
fn the_end_of_a_run() {
    let _: fn() -> StopBuilder = Stop::builder;
    let _: fn(&mut Stop, f64) -> StopVerdict = Stop::observe;
    let _: fn(&Stop, &Report) -> Option<StopReason> = Stop::judge_step;
    let _: fn(&Stop, f64) -> Option<StopReason> = Stop::judge_gradient;
    let _: fn(&Stop) -> Option<StopReason> = Stop::reason;
    let _: fn(&Stop) -> Option<f64> = Stop::best;
    let _: fn(&Stop) -> Option<f64> = Stop::smoothed;
    let _: fn(StopVerdict) -> bool = StopVerdict::is_best;
    let _: fn(StopVerdict) -> Option<StopReason> = StopVerdict::reason;

    let _: fn(StopBuilder, Objective) -> StopBuilder = StopBuilder::objective;
    let _: fn(StopBuilder, u64) -> StopBuilder = StopBuilder::patience;
    let _: fn(StopBuilder, Threshold) -> StopBuilder = StopBuilder::threshold;
    let _: fn(StopBuilder, f64) -> StopBuilder = StopBuilder::smoothing;
    let _: fn(StopBuilder, f64) -> StopBuilder = StopBuilder::step_tolerance;
    let _: fn(StopBuilder, f64) -> StopBuilder = StopBuilder::gradient_tolerance;
    let _: fn(StopBuilder) -> Result<Stop, Error> = StopBuilder::build;

    let _ = [StopReason::Patience, StopReason::Step, StopReason::Gradient];
}

#[test]
fn the_state() {
    fn holds<A: Real, D: Dimension>() {
        type Moments<A> = ArrayD<A>;
        let _: fn(&ArrayRef<A, D>) -> State<A> = State::zeros_like::<D>;
        let _: fn(u64, Moments<A>, Moments<A>) -> Result<State<A>, Error> = State::from_parts;
        let _: fn(State<A>) -> (u64, Moments<A>, Moments<A>) = State::into_parts;
        let _: fn(&State<A>) -> u64 = State::steps;
        let _: fn(&State<A>) -> ArrayViewD<'_, A> = State::first_moment;
        let _: fn(&State<A>) -> ArrayViewD<'_, A> = State::inf_norm;
        let _: fn(&mut State<A>) = State::reset;
        let _: fn(State<A>, &ArrayRef<A, D>) -> Result<State<A>, Error> =
            State::with_layout_of::<D>;
    }
    holds::<f64, Ix2>();
    holds::<f32, IxDyn>();
}

/// A reset state equals a new state.
#[test]
fn a_reset_state_is_a_new_one() -> Result<(), Error> {
    let mut x = Array2::<f64>::ones((3, 4)).reversed_axes();
    let new = State::zeros_like(&x);
    let mut state = new.clone();
    Adamax::default().step(&mut state, &mut x, &Array2::ones((4, 3)))?;
    assert_ne!(state, new);
    state.reset();
    assert_eq!(state, new);
    assert_eq!(state.inf_norm().strides(), x.strides());
    Ok(())
}

/// A step accepts everything that ndarray coerces to an `ArrayRef`: arrays, views and slices.
#[test]
fn arrays_and_views_coerce() -> Result<(), Error> {
    let (mut matrix, g) = (Array2::<f64>::ones((3, 4)), Array2::ones((3, 4)));
    let rule = Adamax::default();
    let mut state = State::zeros_like(&matrix);
    rule.step(&mut state, &mut matrix, &g)?;
    rule.step(&mut state, &mut matrix, &g.view())?;
    rule.step(&mut state, &mut matrix.view_mut(), &g)?;
    let mut column = State::zeros_like(&matrix.column(0));
    rule.step(&mut column, &mut matrix.slice_mut(s![.., 0]), &g.slice(s![.., 1]))?;
    assert_eq!((state.steps(), column.steps()), (3, 1));
    Ok(())
}

// ---------------------------------------------------------------- layer 3

#[test]
fn the_optimizer() {
    fn holds<A: Real, D: Dimension>() {
        type Opt<A> = Optimizer<A>;
        let _: fn(Adamax) -> Opt<A> = Optimizer::new;
        let _: fn(&Opt<A>) -> Group = Optimizer::default_group;
        let _: fn(&mut Opt<A>, Adamax) -> Group = Optimizer::add_group;
        let _: fn(&mut Opt<A>, &str, &ArrayRef<A, D>) -> Result<Slot<D>, Error> =
            Optimizer::register::<D>;
        let _: fn(&mut Opt<A>, Group, &str, &ArrayRef<A, D>) -> Result<Slot<D>, Error> =
            Optimizer::register_in::<D>;
        let _: fn(&mut Opt<A>, &mut [Bound<'_, A>]) -> Result<Outcome, Error> = Optimizer::step;
        #[cfg(feature = "rayon")]
        let _: fn(&mut Opt<A>, &mut [Bound<'_, A>]) -> Result<Outcome, Error> = Optimizer::par_step;
        let _: fn(&mut Opt<A>, &mut [Bound<'_, A>]) -> Result<Report, Error> =
            Optimizer::step_with_report;
        #[cfg(feature = "rayon")]
        let _: fn(&mut Opt<A>, &mut [Bound<'_, A>]) -> Result<Report, Error> =
            Optimizer::par_step_with_report;
        let _: fn(&Opt<A>, Slot<D>) -> Option<Report> = Optimizer::report::<D>;
        let _: fn(&Opt<A>, Group) -> Option<&Adamax> = Optimizer::rule;
        let _: fn(&mut Opt<A>, Group, Adamax) -> Result<(), Error> = Optimizer::set_rule;
        let _: fn(&mut Opt<A>, f64) -> Result<(), Error> = Optimizer::set_lr_scale;
        let _: fn(&mut Opt<A>, Option<MaxNorm>) -> Result<(), Error> = Optimizer::set_max_norm;
        let _: fn(&Opt<A>, Slot<D>) -> Option<&State<A>> = Optimizer::state::<D>;
        let _: fn(&Opt<A>, Slot<D>) -> Option<Group> = Optimizer::group::<D>;
        let _: fn(&Opt<A>, &str) -> Option<Slot<D>> = Optimizer::slot::<D>;
        let _: fn(&mut Opt<A>, Slot<D>, &State<A>) -> Result<(), Error> = Optimizer::set_state::<D>;
        let _: fn(&mut Opt<A>, Slot<D>) -> Result<State<A>, Error> = Optimizer::remove::<D>;
        let _: fn(&mut Opt<A>, Slot<D>, Group) -> Result<(), Error> = Optimizer::move_to::<D>;
        let _: fn(&mut Opt<A>, &mut [Bound<'_, A>]) -> Result<Outcome, Error> = Optimizer::step_all;
        let _: fn(&mut Opt<A>, &[Bound<'_, A>]) -> Result<(), Error> = Optimizer::check_complete;
        let _ = |optimizer: &Opt<A>| -> Vec<(String, Group, State<A>)> {
            let owned = |(name, group, state): (&str, Group, &State<A>)| {
                (String::from(name), group, state.clone())
            };
            optimizer.tensors().map(owned).collect()
        };
        let _: fn(&mut Opt<A>, Group, &str, &Part, &ArrayRef<A, Ix1>) -> Result<Slot<Ix1>, Error> =
            Optimizer::register_part;
        let _: fn(&Opt<A>) -> Snapshot<A> = Optimizer::snapshot;
        let _: fn(&mut Opt<A>, &Snapshot<A>) -> Result<(), Error> = Optimizer::restore;
        let _: fn(&mut Opt<A>, &Snapshot<A>) -> Result<Unmatched, Error> =
            Optimizer::restore_matching;
        let _: for<'a> fn(&'a Unmatched) -> &'a [String] = Unmatched::missing;
        let _: for<'a> fn(&'a Unmatched) -> &'a [String] = Unmatched::unexpected;
        let _: for<'a> fn(Slot<D>, &'a mut ArrayRef<A, D>, &'a ArrayRef<A, D>) -> Bound<'a, A> =
            Slot::bind;
        let _: for<'a> fn(Slot<D>, ArrayViewMut<'a, A, D>, ArrayView<'a, A, D>) -> Bound<'a, A> =
            Slot::bind_view;
    }
    holds::<f64, Ix2>();
    holds::<f32, IxDyn>();
}

// ---------------------------------------------------------------- rows of tables

#[test]
fn rows() {
    type Opt<A> = Optimizer<A>;
    fn holds<A: Real, D: RemoveAxis>() {
        let _: fn(&mut Opt<A>, &str, &ArrayRef<A, D>) -> Result<RowSlot<D>, Error> =
            Optimizer::register_rows;
        let _: fn(&mut Opt<A>, Group, &str, &ArrayRef<A, D>) -> Result<RowSlot<D>, Error> =
            Optimizer::register_rows_in;
        let _: fn(&Opt<A>, &str) -> Option<RowSlot<D>> = Optimizer::row_slot;
        let _: fn(RowSlot<D>) -> Slot<D> = RowSlot::slot;
        let _: for<'a> fn(
            RowSlot<D>,
            &'a mut ArrayRef<A, D>,
            &'a [usize],
            &'a ArrayRef<A, D>,
        ) -> Bound<'a, A> = RowSlot::bind;
        let _: for<'a> fn(
            RowSlot<D>,
            ArrayViewMut<'a, A, D>,
            &'a [usize],
            ArrayView<'a, A, D>,
        ) -> Bound<'a, A> = RowSlot::bind_view;
        let _: fn(&[usize], &ArrayRef<A, D>) -> Result<(Vec<usize>, Array<A, D>), Error> = sum_rows;
        let _: for<'a> fn(&'a State<A>) -> Option<&'a [u64]> = State::row_steps;
        let _: fn(State<A>) -> Result<State<A>, Error> = State::into_rows;
        let _: fn(Vec<u64>, ArrayD<A>, ArrayD<A>) -> Result<State<A>, Error> =
            State::from_row_parts;
    }
    holds::<f64, Ix2>();
    holds::<f32, IxDyn>();
    let _ = ErrorKind::Rows;
}

// ---------------------------------------------------------------- several processes

#[test]
fn processes() {
    fn holds<'s, 'a: 's, A: Real>() {
        let _: fn(
            &'s mut Optimizer<A>,
            &'s mut [Bound<'a, A>],
        ) -> Result<Checked<'s, 'a, A>, Error> = Optimizer::check;
        let _: fn(
            &'s mut Optimizer<A>,
            &'s mut [Bound<'a, A>],
        ) -> Result<Checked<'s, 'a, A>, Error> = Optimizer::check_for_report;
        let _: fn(Checked<'s, 'a, A>) -> Outcome = Checked::apply;
        let _: fn(Checked<'s, 'a, A>, &Findings) -> Result<Outcome, Error> = Checked::apply_agreed;
        let _: fn(Checked<'s, 'a, A>, &Findings) -> Result<Report, Error> =
            Checked::apply_agreed_with_report;
        let _: fn(&Result<Checked<'s, 'a, A>, Error>) -> Findings = Findings::of::<A>;
        let _ = |snapshot: &Snapshot<A>| -> Result<Snapshot<f32>, ()> {
            snapshot.map_states(|_: &str, _: &State<A>| Err(()))
        };
    }
    holds::<f64>();
    holds::<f32>();
    let _: fn(&[usize], usize, usize) -> Result<Part, Error> = Part::new;
    let _: fn(&Part) -> &[usize] = Part::shape;
    let _: fn(&Part) -> Range<usize> = Part::range;
    let _: fn(&Part) -> usize = Part::len;
    let _: fn(&Part) -> bool = Part::is_empty;
}

// ---------------------------------------------------------------- whole models

#[test]
fn models() {
    fn holds<A: Real, T: Tensors<A>, G: Tensors<A>>() {
        let _: fn(&mut Optimizer<A>, &T) -> Result<Slots, Error> = Optimizer::register_all::<T>;
        let _: fn(&mut Optimizer<A>, &T, fn(&str) -> Group) -> Result<Slots, Error> =
            Optimizer::register_all_in::<T>;
        let _: fn(&Optimizer<A>, &T) -> Result<Slots, Error> = Optimizer::slots::<T>;
        let _: for<'a> fn(&Slots, &'a mut T, &'a G) -> Vec<Bound<'a, A>> = Slots::bind::<A, T, G>;
        let _: for<'a> fn(&Slots, &'a mut T, &'a G, fn(&str) -> bool) -> Vec<Bound<'a, A>> =
            Slots::bind_where::<A, T, G>;
        let _: fn(f64, &T) -> Result<Averages<A>, Error> = Averages::new::<T>;
        let _: fn(&T) -> Result<Averages<A>, Error> = Averages::equal::<T>;
    }
    fn visits<'v, 'a: 'v, A: Real, T: Tensors<A> + 'a>() {
        let _: fn(&mut Visitor<'v, 'a, A>, &'static str, &'a T) = Visitor::field::<T>;
        let _: fn(&mut Visitor<'v, 'a, A>, usize, &'a T) = Visitor::item::<T>;
        let _: fn(&mut Visitor<'v, 'a, A>, &'a ArrayD<A>) = Visitor::array;
        let _: fn(&mut Visitor<'v, 'a, A>, &'a A) = Visitor::number;
        let _: fn(&mut VisitorMut<'v, 'a, A>, &'static str, &'a mut T) = VisitorMut::field::<T>;
        let _: fn(&mut VisitorMut<'v, 'a, A>, usize, &'a mut T) = VisitorMut::item::<T>;
        let _: fn(&mut VisitorMut<'v, 'a, A>, &'a mut ArrayD<A>) = VisitorMut::array;
        let _: fn(&mut VisitorMut<'v, 'a, A>, &'a mut A) = VisitorMut::number;
    }
    fn averages<A: Real + Into<M>, M: Real, T: Tensors<A>>() {
        let _: fn(Averages<A, M>) -> Averages<A, f64> = Averages::in_f64;
        let _: fn(&mut Averages<A, M>, &T) -> Result<(), Error> = Averages::update::<T>;
        let _: fn(&Averages<A, M>, &mut T) -> Result<(), Error> = Averages::assign_to::<T>;
        let _: for<'a> fn(&'a Averages<A, M>, &str) -> Option<&'a Average<A, M>> = Averages::get;
        let _ = |averages: &Averages<A, M>| {
            averages.iter().map(|(name, _): (&str, &Average<A, M>)| name.len()).len()
        };
    }
    let _ = |slots: &Slots| -> usize { slots.names().map(str::len).len() };
    holds::<f64, f64, ArrayD<f64>>();
    holds::<f32, Vec<(f32, Box<Array1<f32>>)>, [Option<ArrayViewMut<'_, f32, Ix2>>; 2]>();
    visits::<f64, ArrayD<f64>>();
    averages::<f64, f64, f64>();
    averages::<f32, f64, Box<dyn Tensors<f32>>>();
    let _ = ErrorKind::Model;
}

/// The macro takes a struct, in each of its forms.
#[test]
fn the_macro() {
    struct Plain {
        bias: f64,
    }
    struct Generic<'a, A, const N: usize> {
        weights: ArrayViewMut<'a, A, Ix2>,
        scales: [A; N],
        name: &'a str,
    }
    struct Empty;
    adamax::tensors!(Plain { bias });
    adamax::tensors!(impl<A: Real + Tensors<A>, const N: usize> Tensors<A> for Generic<'_, A, N> {
        weights,
        scales,
        name: _,
    });
    adamax::tensors!(impl Tensors<f32> for Empty {});
    fn is_model<A: Real, T: Tensors<A>>(_: &T) {}
    is_model::<f64, _>(&Plain { bias: 1.0 });
    let mut weights = Array2::<f32>::zeros((1, 1));
    let generic = Generic { weights: weights.view_mut(), scales: [1.0; 2], name: "generic" };
    is_model::<f32, _>(&generic);
    is_model::<f32, _>(&Empty);
    assert_eq!(generic.name, "generic");
}

// ---------------------------------------------------------------- averages

#[test]
fn averages() {
    fn of<A: Real + Into<M>, M: Real>() {
        let _: fn(Average<A, M>) -> Average<A, f64> = Average::in_f64;
        let _: fn(f64, u64, ArrayD<M>) -> Result<Average<A, M>, Error> = Average::from_parts;
        let _: fn(Average<A, M>) -> (f64, u64, ArrayD<M>) = Average::into_parts;
        let _: fn(&mut Average<A, M>, &ArrayRef<A, Ix2>) -> Result<(), Error> = Average::update;
        let _: for<'a> fn(&'a mut Average<A, M>, &'a ArrayRef<A, Ix2>) -> BoundAverage<'a, A, M> =
            Average::bind;
        let _: fn(&mut [BoundAverage<'_, A, M>]) -> Result<(), Error> = Average::update_all;
        let _: fn(&Average<A, M>) -> &ArrayD<M> = Average::mean;
        let _: fn(&Average<A, M>, &mut ArrayRef<A, Ix2>) -> Result<(), Error> = Average::assign_to;
        let _: fn(&Average<A, M>) -> u64 = Average::updates;
        let _: fn(&Average<A, M>) -> f64 = Average::decay;
    }
    fn made<A: Real>() {
        let _: fn(f64, &ArrayRef<A, Ix2>) -> Result<Average<A>, Error> = Average::new;
        let _: fn(&ArrayRef<A, Ix2>) -> Result<Average<A>, Error> = Average::equal;
    }
    made::<f32>();
    made::<f64>();
    of::<f32, f32>();
    of::<f32, f64>();
    of::<f64, f64>();
}

// ---------------------------------------------------------------- schedules

type Made = Result<Schedule, Error>;

#[test]
fn schedules() {
    let _: fn(&Schedule, u64) -> f64 = Schedule::scale;

    let _: fn(f64) -> Made = Schedule::constant;
    let _: fn(u64, f64) -> Made = Schedule::step;
    let _: fn([u64; 2], f64) -> Made = Schedule::multi_step;
    let _: fn(u64, f64) -> Made = Schedule::exponential;
    let _: fn(u64, f64) -> Made = Schedule::inverse_time;
    let _: fn(u64) -> Made = Schedule::noam;
    let _: fn(u64, f64, f64) -> Made = Schedule::linear;
    let _: fn(u64, f64, f64) -> Made = Schedule::polynomial;
    let _: fn(u64, f64) -> Made = Schedule::cosine;
    let _: fn(u64, f64, f64, f64) -> Made = Schedule::one_cycle;
    let _: fn([(u64, f64); 2]) -> Made = Schedule::piecewise_constant;
    let _: fn([(u64, f64); 2]) -> Made = Schedule::piecewise_linear;
    let _: fn(u64, u64, f64) -> Made = Schedule::cosine_warm_restarts;
    let _: fn(u64, u64, f64, f64) -> Made = Schedule::cosine_decay_restarts;
    let _: fn(u64, u64, f64, Amplitude) -> Made = Schedule::cyclic;

    let _: fn(Schedule, u64, f64) -> Made = Schedule::warm_up;
    let _: fn([(u64, Schedule); 2], Schedule) -> Made = Schedule::sequence;
    let _: fn(Schedule, f64) -> Made = Schedule::scaled;
    let _: fn(Schedule, Schedule) -> Made = Schedule::times;

    let _ = [Amplitude::Constant, Amplitude::Halving, Amplitude::Decaying(0.9)];
}

#[test]
fn reduction_on_a_plateau() {
    type Builder = ReduceOnPlateauBuilder;
    let _: fn(&mut ReduceOnPlateau, f64) -> f64 = ReduceOnPlateau::observe;
    let _: fn(&ReduceOnPlateau) -> f64 = ReduceOnPlateau::scale;
    let _: fn(&ReduceOnPlateau) -> Option<f64> = ReduceOnPlateau::best;

    let _: fn() -> Builder = ReduceOnPlateau::builder;
    let _: fn(Builder, Objective) -> Builder = Builder::objective;
    let _: fn(Builder, f64) -> Builder = Builder::factor;
    let _: fn(Builder, u64) -> Builder = Builder::patience;
    let _: fn(Builder, Threshold) -> Builder = Builder::threshold;
    let _: fn(Builder, u64) -> Builder = Builder::cooldown;
    let _: fn(Builder, f64) -> Builder = Builder::min_scale;
    let _: fn(Builder, f64) -> Builder = Builder::epsilon;
    let _: fn(Builder) -> Result<ReduceOnPlateau, Error> = Builder::build;

    let _ = [Threshold::Relative(0.1), Threshold::Absolute(0.1)];
}

// ---------------------------------------------------------------- errors

#[test]
fn errors() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    is_error::<Error>();
    let _: fn(&Error) -> ErrorKind = Error::kind;
    let _ = (ErrorKind::Memory, ErrorKind::Missing);
    let _: for<'a> fn(&'a Error) -> Option<&'a str> = Error::tensor;
}

// ---------------------------------------------------------------- everything imported

/// The module `argmin` and the framework of that name stay apart, as the documentation says.
#[cfg(feature = "argmin")]
mod everything_imported {
    use adamax::*;

    #[test]
    fn the_solver_is_found() {
        use ::argmin::core::Solver;
        fn is_solver<O, S: Solver<O, I>, I: ::argmin::core::State>(_: &S, _: &I) {}

        struct Problem;
        impl ::argmin::core::CostFunction for Problem {
            type Param = ndarray::Array1<f64>;
            type Output = f64;
            fn cost(&self, x: &Self::Param) -> Result<f64, ::argmin::core::Error> {
                Ok(x.sum())
            }
        }
        impl ::argmin::core::Gradient for Problem {
            type Param = ndarray::Array1<f64>;
            type Gradient = ndarray::Array1<f64>;
            fn gradient(&self, x: &Self::Param) -> Result<Self::Param, ::argmin::core::Error> {
                Ok(x.mapv(|_| 1.0))
            }
        }
        type State =
            ::argmin::core::IterState<ndarray::Array1<f64>, ndarray::Array1<f64>, (), (), (), f64>;
        let solver = self::argmin::AdamaxSolver::<f64>::new(Adamax::default());
        let bounded = solver.clone().with_bounds(&[0.0], &[1.0]).unwrap();
        let bounded = bounded.with_bounds(&ndarray::arr1(&[0.0]), &ndarray::arr1(&[1.0])).unwrap();
        is_solver::<Problem, _, State>(&bounded, &::argmin::core::State::new());
        let stop = Stop::builder().build().unwrap();
        let _: Option<&Stop> = bounded.with_stop(stop).stop();
        is_solver::<Problem, _, State>(&solver, &::argmin::core::State::new());
    }
}

// ---------------------------------------------------------------- a user's program

struct Model {
    w1: Array2<f64>,
    conv: Array4<f64>,
    b1: Array1<f64>,
}

/// A complete user program, with the gradients of a quadratic function.
#[test]
fn a_users_program() -> Result<(), Box<dyn std::error::Error>> {
    let mut model =
        Model { w1: Array2::ones((2, 3)), conv: Array4::ones((2, 1, 3, 3)), b1: Array1::ones(3) };
    let gradients =
        |model: &Model| Model { w1: &model.w1 * 2.0, conv: &model.conv * 2.0, b1: &model.b1 * 2.0 };
    let cosine = Schedule::cosine(1_000, 0.0)?;

    let rule =
        Adamax::builder().learning_rate(0.01).weight_decay(WeightDecay::Decoupled(1e-4)).build()?;
    let mut opt = Optimizer::new(rule);
    let plain = opt.add_group(rule.to_builder().weight_decay(WeightDecay::None).build()?);
    let w1 = opt.register("w1", &model.w1)?;
    let conv = opt.register("conv", &model.conv)?;
    let b1 = opt.register_in(plain, "b1", &model.b1)?;
    opt.set_max_norm(Some(MaxNorm::Global(1.0)))?;
    for t in 0..1_000 {
        let g = gradients(&model);
        opt.set_lr_scale(cosine.scale(t))?;
        opt.step(&mut [
            w1.bind(&mut model.w1, &g.w1),
            b1.bind(&mut model.b1, &g.b1),
            conv.bind(&mut model.conv, &g.conv),
        ])?;
    }
    let all = model.w1.iter().chain(&model.conv).chain(&model.b1);
    assert!(all.into_iter().all(|value| value.abs() < 1e-3), "should be close to the minimum");
    Ok(())
}

#[cfg(feature = "safetensors")]
#[test]
fn a_whole_run_in_a_file() {
    use adamax::Checkpoint;
    type Added<'a, A> = Result<&'a mut Checkpoint<A>, Error>;
    type Model = [(f32, ArrayD<f32>); 2];
    fn of<A: Real, B: Real + Into<M>, M: Real, D: Dimension>() {
        let _: for<'a> fn(&'a mut Checkpoint<A>, &str, &ArrayRef<B, D>) -> Added<'a, A> =
            Checkpoint::add_parameter::<B, D>;
        let _: for<'a> fn(&'a mut Checkpoint<A>, &str, &Average<B, M>) -> Added<'a, A> =
            Checkpoint::add_average::<B, M>;
        let _: fn(&Checkpoint<A>, &str, &ArrayRef<B, D>) -> Result<Average<B, M>, Error> =
            Checkpoint::average::<B, M, D>;
        let _: for<'a> fn(&'a mut Checkpoint<A>, &str, &ReduceOnPlateau) -> Added<'a, A> =
            Checkpoint::add_value::<ReduceOnPlateau>;
        let _: fn(&Checkpoint<A>, &str) -> Result<Schedule, Error> = Checkpoint::value::<Schedule>;
        let _: for<'a> fn(&'a mut Checkpoint<A>, &Model) -> Added<'a, A> =
            Checkpoint::add_parameters::<f32, Model>;
        let _: fn(&Checkpoint<A>, &mut Model) -> Result<(), Error> =
            Checkpoint::assign_parameters::<f32, Model>;
        let _: for<'a> fn(&'a mut Checkpoint<A>, &Averages<f32, f64>) -> Added<'a, A> =
            Checkpoint::add_averages;
        let _: fn(&Checkpoint<A>, &Model) -> Result<Averages<f32, f64>, Error> =
            Checkpoint::averages::<f32, f64, Model>;
        let _: fn(&Checkpoint<A>, &str) -> Result<u64, Error> = Checkpoint::value::<u64>;
        let _: for<'a> fn(&'a mut Checkpoint<A>, &str, &str) -> Added<'a, A> = Checkpoint::add_note;
    }
    of::<f32, f32, f64, Ix2>();
    of::<f64, f64, f64, IxDyn>();
}

#[cfg(feature = "safetensors")]
#[test]
fn arrays_of_any_file() {
    use adamax::Checkpoint;
    use std::path::PathBuf;
    let _: fn(PathBuf) -> Result<Checkpoint<f64>, Error> = Checkpoint::load_tensors;
    let _: fn(String) -> Result<Checkpoint<f64>, Error> = Checkpoint::load_tensors;
}
