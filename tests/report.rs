//! Reports: the figures beside a naive computation from what is in memory, on every path.

mod common;
#[path = "common/counting.rs"]
mod counting;

use adamax::{Adamax, Error, ErrorKind, MaxNorm, NonFinite, Optimizer, Outcome, Report, State};
#[cfg(feature = "rayon")]
use common::Layout;
use common::{
    Case, Float, Model, bits::Snapshot, input, layout::LAYOUTS, model::MIXED, oracle::magnitude,
    rules,
};
use counting::allocated;
use ndarray::{Array1, Array2, ArrayD, ArrayRef, Dimension, array};

/// Allowed deviation of a norm from a simple sum of squares, which rounds once per element.
const SIMPLE_SUM: f64 = 1e-13;

/// The figures of a report, with their bits.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    outcome: Outcome,
    norm: u64,
    factor: u64,
    gradient: u64,
    step: u64,
}

fn figures(report: &Report) -> Figures {
    Figures {
        outcome: report.outcome(),
        norm: report.gradient_norm().to_bits(),
        factor: report.clip_factor().to_bits(),
        gradient: report.max_gradient().to_bits(),
        step: report.max_step().to_bits(),
    }
}

/// The largest magnitude, or NaN if there is one.
fn largest<A: Float>(values: impl IntoIterator<Item = A>) -> f64 {
    values.into_iter().map(|value| magnitude(value).wide()).fold(0.0, |largest: f64, value| {
        if largest.is_nan() || value.is_nan() { f64::NAN } else { largest.max(value) }
    })
}

fn longest<A: Float, D: Dimension>(before: &ArrayRef<A, D>, after: &ArrayRef<A, D>) -> f64 {
    largest(before.iter().zip(after).map(|(&before, &after)| after - before))
}

fn norm<'a, A: Float>(values: impl IntoIterator<Item = &'a A>) -> f64 {
    values.into_iter().map(|value| value.wide().powi(2)).sum::<f64>().sqrt()
}

fn assert_near(what: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= SIMPLE_SUM * expected, "{what}: {found}, not {expected}");
}

// ---------------------------------------------------------------- one tensor

/// Shapes for one loop, for the stack, for tiles, and for short rows.
const SHAPES: [&[usize]; 7] = [&[], &[0, 3], &[37], &[5, 7], &[40, 67], &[300, 3], &[3, 4, 5]];

#[test]
fn a_report_says_what_is_in_memory() -> Result<(), Error> {
    fn check<A: Float>() -> Result<(), Error> {
        let cases = rules::one_of_each_kind();
        // Steps of 5 meet every place of ε.
        for (number, Case { name, rule }) in cases.iter().enumerate().step_by(5) {
            for shape in SHAPES {
                let mut reports = Vec::new();
                for (x_layout, g_layout) in
                    LAYOUTS.into_iter().zip(LAYOUTS.into_iter().cycle().skip(number))
                {
                    let rng = &mut input::rng(7);
                    let mut x = x_layout.arrange(&input::parameters::<A, _>(shape, rng));
                    let (mut plain, mut state) = (x.clone(), State::zeros_like(&x));
                    let mut plain_state = state.clone();
                    for t in 1..4 {
                        let what = format!("{name}, {shape:?}, {x_layout:?} {g_layout:?}, t {t}");
                        let g = g_layout.arrange(&input::gradients::<A, _>(shape, rng));
                        let before = x.clone();
                        let report = rule.step_with_report(&mut state, &mut x, &g)?;
                        let outcome = rule.step(&mut plain_state, &mut plain, &g)?;
                        assert_eq!(report.outcome(), outcome, "{what}");
                        let found = Snapshot::of(&x, &state);
                        assert_eq!(found, Snapshot::of(&plain, &plain_state), "{what}");
                        assert_eq!(report.max_gradient(), largest(g.iter().copied()), "{what}");
                        assert_eq!(report.max_step(), longest(&before, &x), "{what}");
                        assert_eq!(report.clip_factor(), 1.0, "{what}");
                        assert_near(&what, report.gradient_norm(), norm(&g));
                        reports.push((t, figures(&report)));
                    }
                }
                for (t, report) in &reports {
                    let first = reports.iter().find(|(of, _)| of == t).map(|(_, report)| report);
                    assert_eq!(Some(report), first, "{name}, {shape:?}, t {t}");
                }
            }
        }
        Ok(())
    }
    check::<f64>()?;
    check::<f32>()
}

#[cfg(feature = "rayon")]
#[test]
fn threads_report_the_same_bits() -> Result<(), Box<dyn std::error::Error>> {
    fn check<A: Float>(in_pool: &impl Fn(&mut (dyn FnMut() + Send))) -> Result<(), Error> {
        for shape in [&[50_001][..], &[150, 333], &[20_000, 3]] {
            for (x_layout, g_layout) in
                [(Layout::C, Layout::C), (Layout::C, Layout::F), (Layout::Mixed, Layout::Stepped)]
            {
                let rng = &mut input::rng(11);
                let mut x = x_layout.arrange(&input::parameters::<A, _>(shape, rng));
                let g = g_layout.arrange(&input::gradients::<A, _>(shape, rng));
                let (mut other, mut state) = (x.clone(), State::zeros_like(&x));
                let mut other_state = state.clone();
                let rule = Adamax::builder().bounds(-1.0, 1.0).build()?;
                let expected = rule.step_with_report(&mut state, &mut x, &g)?;
                let mut found = None;
                in_pool(&mut || {
                    found = Some(rule.par_step_with_report(&mut other_state, &mut other, &g));
                });
                let found = found.expect("has run")?;
                assert_eq!(figures(&found), figures(&expected), "{shape:?} {x_layout:?}");
                assert_eq!(Snapshot::of(&other, &other_state), Snapshot::of(&x, &state));
            }
        }
        Ok(())
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build()?;
    check::<f64>(&|something| pool.install(something))?;
    check::<f32>(&|something| something())?;
    Ok(())
}

/// The largest step is found after decay and bounds, from the numbers in memory.
#[test]
fn the_step_is_what_moved() -> Result<(), Error> {
    let step = |rule: Adamax, x: f64| {
        let mut x = array![x];
        rule.step_with_report(&mut State::zeros_like(&x), &mut x, &array![1.0])
    };
    let rule = Adamax::builder().learning_rate(0.5).epsilon(0.0);
    assert_eq!(step(rule.build()?, 3.0)?.max_step(), 0.5);
    assert_eq!(step(rule.bounds(2.75, 9.0).build()?, 3.0)?.max_step(), 0.25);
    assert_eq!(step(rule.bounds(-1.0, 1.0).build()?, 3.0)?.max_step(), 2.0);
    let decay = adamax::WeightDecay::Decoupled(0.5);
    assert_eq!(step(rule.weight_decay(decay).build()?, 2.0)?.max_step(), 1.0);
    // Lost to rounding.
    assert_eq!(step(rule.build()?, 1e20)?.max_step(), 0.0);
    assert_eq!(step(rule.learning_rate(0.0).build()?, 1.0)?.max_step(), 0.0);
    Ok(())
}

// ---------------------------------------------------------------- numbers that are not finite

/// Every place counts, also the last ones, which no vector holds.
#[test]
fn maxima_keep_nan() -> Result<(), Error> {
    fn check<A: Float>() -> Result<(), Error> {
        let rule = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
        for length in [1, 7, 37, 600] {
            for at in [0, length / 2, length - 1] {
                for nan in [A::NOT_A_NUMBER, -A::NOT_A_NUMBER] {
                    let mut x = Array1::from_elem(length, A::of(1.0));
                    let mut g = Array1::from_elem(length, A::of(-2.0));
                    g[at] = nan;
                    let report = rule.step_with_report(&mut State::zeros_like(&x), &mut x, &g)?;
                    let all = [report.gradient_norm(), report.max_gradient(), report.max_step()];
                    assert!(all.iter().all(|figure| figure.to_bits() == f64::NAN.to_bits()));
                    assert_eq!(report.outcome(), Outcome::Applied);
                    // An infinity: g/u is NaN.
                    g[at] = -A::INF;
                    let mut x = Array1::from_elem(length, A::of(1.0));
                    let report = rule.step_with_report(&mut State::zeros_like(&x), &mut x, &g)?;
                    assert_eq!([report.gradient_norm(), report.max_gradient()], [f64::INFINITY; 2]);
                    assert!(report.max_step().is_nan());
                }
            }
        }
        Ok(())
    }
    check::<f64>()?;
    check::<f32>()
}

#[test]
fn a_skipped_step_has_a_report() -> Result<(), Error> {
    let rule = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    for layout in LAYOUTS {
        let mut x = layout.arrange(&ArrayD::from_elem(vec![3, 5], 1.0));
        let mut g = layout.arrange(&ArrayD::from_elem(vec![3, 5], -2.0));
        let mut state = State::zeros_like(&x);
        let before = Snapshot::of(&x, &state);
        g[[1, 2]] = f64::NEG_INFINITY;
        let report = rule.step_with_report(&mut state, &mut x, &g)?;
        assert_eq!((report.outcome(), report.max_step()), (Outcome::Skipped, 0.0));
        assert_eq!([report.gradient_norm(), report.max_gradient()], [f64::INFINITY; 2]);
        g[[2, 4]] = f64::NAN;
        let report = rule.step_with_report(&mut state, &mut x, &g)?;
        assert!(report.gradient_norm().is_nan() && report.max_gradient().is_nan());
        assert_eq!((report.clip_factor(), report.max_step()), (1.0, 0.0));
        assert_eq!(Snapshot::of(&x, &state), before);
    }
    // A gradient that is finite, but whose step would not be.
    let rule = rule.to_builder().learning_rate(1.7e307).build()?;
    let mut x = array![-1.7e308, 0.0];
    let report = rule.step_with_report(&mut State::zeros_like(&x), &mut x, &array![3.0, -4.0])?;
    assert_eq!((report.outcome(), report.max_step()), (Outcome::Skipped, 0.0));
    assert_eq!((report.gradient_norm(), report.max_gradient()), (5.0, 4.0));
    Ok(())
}

#[test]
fn a_refused_step_is_refused_alike() {
    let (mut x, rule) = (array![1.0, 2.0], Adamax::default());
    let mut state = State::zeros_like(&x);
    for g in [array![0.1, f64::NAN], array![0.1], array![f64::INFINITY, 0.0]] {
        let before = Snapshot::of(&x, &state);
        let expected = rule.step(&mut state, &mut x, &g).unwrap_err();
        let found = rule.step_with_report(&mut state, &mut x, &g).unwrap_err();
        assert_eq!(found.to_string(), expected.to_string());
        assert_eq!(Snapshot::of(&x, &state), before);
    }
}

/// Norms of numbers whose squares overflow or underflow, and a norm beyond the largest number.
#[test]
fn extreme_norms_are_right() -> Result<(), Error> {
    for scale in [1e300, 1e-300, 1e160, 1e-170, 5e-324, 1e-310] {
        let mut x = array![1.0, 1.0];
        let g = array![3.0 * scale, -4.0 * scale];
        let rule = Adamax::default();
        let report = rule.step_with_report(&mut State::zeros_like(&x), &mut x, &g)?;
        assert_near("norm", report.gradient_norm(), 5.0 * scale);
        assert_eq!(report.max_gradient(), 4.0 * scale);
    }
    let mut x = Array1::from_elem(100, 1.0);
    let g = Array1::from_elem(100, f64::MAX);
    let report = Adamax::default().step_with_report(&mut State::zeros_like(&x), &mut x, &g)?;
    assert_eq!((report.outcome(), report.gradient_norm()), (Outcome::Applied, f64::INFINITY));
    assert_eq!(report.max_gradient(), f64::MAX);

    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.set_max_norm(Some(MaxNorm::Global(f64::MIN_POSITIVE)))?;
    let slot = optimizer.register("x", &x)?;
    let report = optimizer.step_with_report(&mut [slot.bind(&mut x, &g)])?;
    assert_eq!(report.clip_factor(), 0.0);
    Ok(())
}

// ---------------------------------------------------------------- many tensors

/// The way in which a model is stepped.
#[derive(Clone, Copy, Debug)]
enum Way {
    Sequential,
    #[cfg(feature = "rayon")]
    Parallel,
}

fn step<A: Float>(model: &mut Model<A>, way: Way) -> Result<Report, Error> {
    let tensors = model.tensors.iter_mut();
    let mut batch: Vec<_> =
        tensors.map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g)).collect();
    match way {
        Way::Sequential => model.optimizer.step_with_report(&mut batch),
        #[cfg(feature = "rayon")]
        Way::Parallel => {
            batch.reverse();
            model.optimizer.par_step_with_report(&mut batch)
        }
    }
}

/// Tensors for every layout, and two that threads divide.
#[cfg(feature = "rayon")]
const LARGE: [&[usize]; 6] = [&[20_001], &[5], &[150, 120], &[0], &[], &[20, 30]];

#[test]
fn a_batch_reports_each_tensor_and_all() -> Result<(), Error> {
    fn check<A: Float>(
        shapes: &[&[usize]],
        way: Way,
        max_norm: Option<MaxNorm>,
    ) -> Result<(), Error> {
        let model = || -> Result<Model<A>, Error> {
            let mut optimizer = Optimizer::new(Adamax::default());
            let bounded = optimizer.add_group(Adamax::builder().bounds(-0.5, 0.5).build()?);
            optimizer.set_max_norm(max_norm)?;
            Ok(Model::in_groups(optimizer, shapes, 3, |optimizer, i| {
                if i % 2 == 0 { optimizer.default_group() } else { bounded }
            }))
        };
        let (mut reported, mut plain) = (model()?, model()?);
        for seed in 0..3 {
            let what = format!("{way:?}, {max_norm:?}, seed {seed}");
            reported.draw_gradients(seed);
            plain.draw_gradients(seed);
            let before: Vec<_> = reported.tensors.iter().map(|tensor| tensor.x.clone()).collect();
            let whole = step(&mut reported, way)?;
            plain.step()?;
            assert_eq!(reported.bits(), plain.bits(), "{what}");

            let gradients = reported.tensors.iter().flat_map(|tensor| &tensor.g);
            assert_near(&what, whole.gradient_norm(), norm(gradients));
            let mut all = Vec::new();
            for (tensor, before) in reported.tensors.iter().zip(&before) {
                let what = format!("{what}, {}", tensor.name);
                let report = reported.optimizer.report(tensor.slot).expect("a reported step");
                assert_eq!(report.outcome(), Outcome::Applied, "{what}");
                assert_near(&what, report.gradient_norm(), norm(&tensor.g));
                assert_eq!(report.max_gradient(), largest(tensor.g.iter().copied()), "{what}");
                assert_eq!(report.max_step(), longest(before, &tensor.x), "{what}");
                let factor = match max_norm {
                    Some(MaxNorm::Global(bound)) => (bound / whole.gradient_norm()).min(1.0),
                    Some(MaxNorm::PerTensor(bound)) if report.gradient_norm() > bound => {
                        bound / report.gradient_norm()
                    }
                    _ => 1.0,
                };
                assert_eq!(report.clip_factor(), factor, "{what}");
                all.push(report);
            }
            let largest = |of: fn(&Report) -> f64| all.iter().map(of).fold(0.0, f64::max);
            assert_eq!(whole.max_gradient(), largest(Report::max_gradient), "{what}");
            assert_eq!(whole.max_step(), largest(Report::max_step), "{what}");
            let smallest = all.iter().map(Report::clip_factor).fold(1.0, f64::min);
            assert_eq!(whole.clip_factor(), smallest, "{what}");
        }
        Ok(())
    }
    for max_norm in [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(2.0))] {
        check::<f64>(&MIXED, Way::Sequential, max_norm)?;
        check::<f32>(&MIXED, Way::Sequential, max_norm)?;
        #[cfg(feature = "rayon")]
        check::<f64>(&LARGE, Way::Parallel, max_norm)?;
        #[cfg(feature = "rayon")]
        check::<f32>(&LARGE, Way::Parallel, max_norm)?;
    }
    Ok(())
}

/// All bits of the reports: whatever the way, the order of the batch, and the layouts.
#[cfg(feature = "rayon")]
#[test]
fn ways_and_layouts_report_the_same_bits() -> Result<(), Error> {
    let run = |way: Way, layout: Option<Layout>| {
        let mut model = Model::<f64>::new(Adamax::default(), &LARGE, 9);
        model.optimizer.set_max_norm(Some(MaxNorm::Global(0.5)))?;
        model.draw_gradients(4);
        if let Some(layout) = layout {
            for tensor in &mut model.tensors {
                tensor.x = layout.arrange(&tensor.x);
                tensor.g = layout.arrange(&tensor.g);
            }
        }
        let whole = figures(&step(&mut model, way)?);
        let each = model.tensors.iter().map(|tensor| model.optimizer.report(tensor.slot));
        let each: Vec<_> = each.map(|report| report.as_ref().map(figures)).collect();
        Ok::<_, Error>((whole, each))
    };
    let expected = run(Way::Sequential, None)?;
    for way in [Way::Sequential, Way::Parallel] {
        for layout in LAYOUTS {
            assert_eq!(run(way, Some(layout))?, expected, "{way:?} {layout:?}");
        }
    }
    Ok(())
}

#[test]
fn a_report_is_kept_until_the_next_one() -> Result<(), Error> {
    let (mut a, mut b) = (array![1.0], array![1.0]);
    let skip = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    let mut optimizer = Optimizer::new(skip);
    let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
    assert_eq!(optimizer.report(slot_a), None);

    let (small, large) = (array![3.0], array![-4.0]);
    optimizer.step(&mut [slot_a.bind(&mut a, &small)])?;
    assert_eq!(optimizer.report(slot_a), None, "a step without a report");
    let bound = &mut [slot_a.bind(&mut a, &small), slot_b.bind(&mut b, &large)];
    assert_eq!(optimizer.step_with_report(bound)?.gradient_norm(), 5.0);
    let norms = |optimizer: &Optimizer| {
        [slot_a, slot_b].map(|slot| optimizer.report(slot).map(|report| report.gradient_norm()))
    };
    assert_eq!(norms(&optimizer), [Some(3.0), Some(4.0)]);

    // A batch without `b`, a step without a report, a refused step.
    optimizer.step_with_report(&mut [slot_a.bind(&mut a, &large)])?;
    optimizer.step(&mut [slot_b.bind(&mut b, &small)])?;
    let short = Array1::zeros(0);
    let refused = optimizer.step_with_report(&mut [slot_b.bind(&mut b, &short)]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(norms(&optimizer), [Some(4.0), Some(4.0)]);

    // A skipped batch reports the good tensors, too.
    let bad = array![f64::INFINITY];
    let bound = &mut [slot_b.bind(&mut b, &small), slot_a.bind(&mut a, &bad)];
    let report = optimizer.step_with_report(bound)?;
    assert_eq!((report.outcome(), report.max_step()), (Outcome::Skipped, 0.0));
    assert_eq!(report.max_gradient(), f64::INFINITY);
    assert_eq!(norms(&optimizer), [Some(f64::INFINITY), Some(3.0)]);
    let of_b = optimizer.report(slot_b).expect("a reported step");
    assert_eq!((of_b.outcome(), of_b.max_gradient()), (Outcome::Skipped, 3.0));

    // An empty batch, and a slot of another optimizer.
    let empty = optimizer.step_with_report(&mut [])?;
    assert_eq!((empty.gradient_norm(), empty.clip_factor(), empty.max_step()), (0.0, 1.0, 0.0));
    assert_eq!(Optimizer::<f64>::new(Adamax::default()).report(slot_a), None);
    optimizer.restore(&optimizer.snapshot())?;
    assert_eq!(norms(&optimizer), [None, None]);
    Ok(())
}

#[test]
fn a_reported_step_allocates_nothing() -> Result<(), Error> {
    let rule = Adamax::builder().non_finite(NonFinite::Skip).bounds(-1.0, 1.0).build()?;
    for max_norm in [None, Some(MaxNorm::Global(0.1)), Some(MaxNorm::PerTensor(0.1))] {
        let (mut a, mut b) = (Array1::from_elem(700, 0.5), Array2::from_elem((20, 70), 0.5));
        let (mut ga, gb) =
            (a.clone(), b.clone().reversed_axes().as_standard_layout().reversed_axes().to_owned());
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(max_norm)?;
        let (slot_a, slot_b) = (optimizer.register("a", &a)?, optimizer.register("b", &b)?);
        let mut state = State::zeros_like(&a);
        for outcome in [Outcome::Applied, Outcome::Applied, Outcome::Skipped] {
            if outcome == Outcome::Skipped {
                ga[3] = f64::NAN;
            }
            let (found, report) = allocated(|| {
                let batch = &mut [slot_a.bind(&mut a, &ga), slot_b.bind(&mut b, &gb)];
                optimizer.step_with_report(batch)
            });
            assert_eq!((found.count, report?.outcome()), (0, outcome), "{max_norm:?}");
            let (found, report) = allocated(|| rule.step_with_report(&mut state, &mut a, &ga));
            assert_eq!((found.count, report?.outcome()), (0, outcome));
        }
    }
    Ok(())
}
