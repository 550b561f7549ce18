//! A refused or skipped step changes nothing.
//!
//! Not one bit of x, g, m, u and t changes, nor of the memory between their elements. Later steps
//! give the same results as without the refused step.

use crate::common::{
    Bits, Float,
    Layout::{self, C, F, Mixed, Reversed, Stepped},
    assert_untouched,
    input::{gradients, parameters, rng},
    layout::LAYOUTS,
};
use adamax::{
    Adamax, Error, ErrorKind, NonFinite, Optimizer, Outcome, State, WeightDecay, adamax_step,
};
use ndarray::{ArrayD, ArrayRef, IxDyn};

/// Ranks 0 to 5, with lengths around a SIMD vector and sizes around a tile.
const SHAPES: [&[usize]; 9] =
    [&[], &[1], &[9], &[70], &[3, 5], &[17, 66], &[2, 3, 4], &[2, 3, 1, 2], &[2, 1, 2, 3, 2]];

// ---------------------------------------------------------------- before and after

/// One tensor after some steps.
#[derive(Clone)]
struct Run<A> {
    x: ArrayD<A>,
    state: State<A>,
}

/// The bits of all memory that a step can read or write, including gaps between elements.
#[derive(Debug, PartialEq)]
struct Memory<W> {
    x: Vec<W>,
    g: Vec<W>,
    m: Vec<W>,
    u: Vec<W>,
    steps: u64,
}

fn memory<A: Float>(array: &ArrayD<A>) -> Vec<A::Word> {
    array.clone().into_raw_vec_and_offset().0.bits()
}

impl<A: Float> Run<A> {
    /// Creates a run with nonzero moments. `x` and `state` are layouts.
    fn new(shape: &[usize], x: Layout, state: Layout) -> Result<Self, Error> {
        let rng = &mut rng(5);
        let values = parameters(IxDyn(shape), rng);
        let mut run =
            Run { x: x.arrange(&values), state: State::zeros_like(&state.arrange(&values)) };
        let g = gradients(IxDyn(shape), rng);
        Adamax::default().step(&mut run.state, &mut run.x, &g)?;
        Ok(run)
    }

    fn memory(&self, g: &ArrayD<A>) -> Memory<A::Word> {
        let (steps, m, u) = self.state.clone().into_parts();
        Memory { x: memory(&self.x), g: memory(g), m: memory(&m), u: memory(&u), steps }
    }

    /// Takes a step on each public path, asserts that it changed nothing, and returns the results.
    fn assert_no_trace(
        &mut self,
        what: &str,
        rule: &Adamax,
        g: &ArrayD<A>,
    ) -> Vec<Result<Outcome, Error>> {
        let before = self.memory(g);
        let mut results = Vec::new();
        let mut try_path = |path: fn(&Adamax, &mut Self, &ArrayRef<A, IxDyn>) -> _| {
            results.push(path(rule, self, g));
            assert_untouched(what, &self.memory(g), &before);
        };
        try_path(|rule, run, g| rule.step(&mut run.state, &mut run.x, g));
        #[cfg(feature = "rayon")]
        try_path(|rule, run, g| rule.par_step(&mut run.state, &mut run.x, g));
        results
    }

    #[track_caller]
    fn assert_refused(&mut self, what: &str, rule: &Adamax, g: &ArrayD<A>, kind: ErrorKind) {
        for result in self.assert_no_trace(what, rule, g) {
            assert_eq!(result.map_err(|error| error.kind()), Err(kind), "{what}");
        }
    }

    #[track_caller]
    fn assert_skipped(&mut self, what: &str, rule: &Adamax, g: &ArrayD<A>) {
        for result in self.assert_no_trace(what, rule, g) {
            assert!(matches!(result, Ok(Outcome::Skipped)), "{what}: {result:?}");
        }
    }
}

fn with(policy: NonFinite) -> Result<Adamax, Error> {
    Adamax::builder().non_finite(policy).build()
}

/// Returns the gradient with `value` at index `place` in logical order.
fn spoiled<A: Float>(g: &ArrayD<A>, place: usize, value: A) -> ArrayD<A> {
    let mut g = g.clone();
    *g.iter_mut().nth(place).expect("a place in the array") = value;
    g
}

// ---------------------------------------------------------------- gradients

#[test]
fn bad_gradients_in_f64() -> Result<(), Error> {
    bad_gradients::<f64>(&LAYOUTS)
}

#[test]
fn bad_gradients_in_f32() -> Result<(), Error> {
    bad_gradients::<f32>(&[C, F, Stepped, Mixed])
}

/// Puts the bad value first, in the middle and last. This detects a step that writes before it has
/// checked all values.
fn bad_gradients<A: Float>(letters: &[Layout]) -> Result<(), Error> {
    let (error, skip) = (with(NonFinite::Error)?, with(NonFinite::Skip)?);
    for shape in SHAPES {
        let good: ArrayD<A> = gradients(IxDyn(shape), &mut rng(6));
        let places = [0, good.len() / 2, good.len() - 1];
        for &of_x in letters {
            for &of_state in &[C, of_x, Reversed] {
                let mut run = Run::<A>::new(shape, of_x, of_state)?;
                for &of_g in letters {
                    for (place, bad) in places.into_iter().zip([A::NOT_A_NUMBER, A::INF, -A::INF]) {
                        let what = format!(
                            "{shape:?}, {of_x:?}, {of_g:?}, {of_state:?}, {bad} at {place}"
                        );
                        let g = of_g.arrange(&spoiled(&good, place, bad));
                        run.assert_refused(&what, &error, &g, ErrorKind::NonFinite);
                        run.assert_skipped(&what, &skip, &g);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Uses tensors that are large enough for threads.
#[test]
fn bad_gradients_of_large_tensors() -> Result<(), Error> {
    let (error, skip) = (with(NonFinite::Error)?, with(NonFinite::Skip)?);
    for shape in [&[40_000][..], &[201, 203]] {
        let good: ArrayD<f64> = gradients(IxDyn(shape), &mut rng(6));
        for [of_x, of_g] in [[C, C], [F, F], [C, F], [Stepped, Reversed]] {
            let mut run = Run::new(shape, of_x, of_x)?;
            for place in [0, good.len() / 2, good.len() - 1] {
                let what = format!("{shape:?}, {of_x:?}, {of_g:?}, NaN at {place}");
                let g = of_g.arrange(&spoiled(&good, place, f64::NAN));
                run.assert_refused(&what, &error, &g, ErrorKind::NonFinite);
                run.assert_skipped(&what, &skip, &g);
            }
        }
    }
    Ok(())
}

/// On a skipped step, `adamax_step` returns its arguments unchanged.
#[test]
fn a_skipped_textbook_step_is_the_identity() -> Result<(), Error> {
    let skip = with(NonFinite::Skip)?;
    for shape in SHAPES {
        let good: ArrayD<f64> = gradients(IxDyn(shape), &mut rng(6));
        for layout in LAYOUTS {
            let Run { x, state } = Run::new(shape, layout, layout)?;
            let (t, m, u) = state.into_parts();
            for place in [0, good.len() / 2, good.len() - 1] {
                let g = layout.arrange(&spoiled(&good, place, f64::NAN));
                let before = [memory(&x), memory(&m), memory(&u), memory(&g)];
                let (x, m, u) = adamax_step(x.clone(), &g, m.clone(), u.clone(), t + 1, &skip)?;
                let after = [memory(&x), memory(&m), memory(&u), memory(&g)];
                assert_untouched(format_args!("{shape:?}, {layout:?}"), &after, &before);
            }
        }
    }
    let (x, m, u) = adamax_step(1.5_f32, &f32::NAN, 0.25, 0.5, 3, &skip)?;
    assert_eq!((x, m, u), (1.5, 0.25, 0.5));
    Ok(())
}

// ---------------------------------------------------------------- other errors

#[test]
fn shapes_that_differ() -> Result<(), Error> {
    let rule = Adamax::default();
    for shape in SHAPES.into_iter().chain([&[0, 3][..]]) {
        let mut longer = shape.to_vec();
        longer.push(2);
        let mut turned = shape.to_vec();
        turned.push(1);
        for wrong in [longer, turned, vec![shape.iter().product::<usize>() + 1]] {
            for layout in LAYOUTS {
                let what = format!("{shape:?}, {layout:?}, {wrong:?}");
                let mut run = Run::<f64>::new(shape, layout, C)?;
                let bad_g = layout.arrange(&gradients(IxDyn(&wrong), &mut rng(6)));
                run.assert_refused(&what, &rule, &bad_g, ErrorKind::Shape);

                run.state = Run::new(&wrong, layout, layout)?.state;
                let good_g = layout.arrange(&gradients(IxDyn(shape), &mut rng(6)));
                run.assert_refused(&what, &rule, &good_g, ErrorKind::Shape);
            }
        }
    }
    Ok(())
}

#[test]
fn step_counters_at_their_maximum() -> Result<(), Error> {
    for shape in SHAPES {
        for layout in LAYOUTS {
            let mut run = Run::<f64>::new(shape, layout, layout)?;
            let (_, m, u) = run.state.into_parts();
            run.state = State::from_parts(u64::MAX, m, u)?;
            let g = layout.arrange(&gradients(IxDyn(shape), &mut rng(6)));
            let what = format!("{shape:?}, {layout:?}");
            run.assert_refused(&what, &Adamax::default(), &g, ErrorKind::StepCount);
        }
    }
    Ok(())
}

#[test]
fn coefficients_that_overflow() -> Result<(), Error> {
    let rules = [
        Adamax::builder().learning_rate(1e39),
        Adamax::builder().epsilon(1e39),
        Adamax::builder().weight_decay(WeightDecay::L2(1e39)),
        Adamax::builder().weight_decay(WeightDecay::Decoupled(1e42)),
    ];
    for builder in rules {
        let rule = builder.build()?;
        for shape in SHAPES {
            for layout in LAYOUTS {
                let mut run = Run::<f32>::new(shape, layout, layout)?;
                let g = layout.arrange(&gradients(IxDyn(shape), &mut rng(6)));
                let what = format!("{shape:?}, {layout:?}, {rule:?}");
                run.assert_refused(&what, &rule, &g, ErrorKind::Hyperparameter);
            }
        }
    }
    Ok(())
}

/// A step after refused steps gives the same result as without them.
#[test]
fn a_run_continues_after_bad_steps() -> Result<(), Error> {
    for shape in SHAPES {
        for layout in LAYOUTS {
            let good: ArrayD<f64> = gradients(IxDyn(shape), &mut rng(6));
            let mut run = Run::new(shape, layout, C)?;
            let mut undisturbed = run.clone();
            let what = format!("{shape:?}, {layout:?}");
            for place in [0, good.len() - 1] {
                let bad = spoiled(&good, place, f64::NAN);
                run.assert_refused(&what, &with(NonFinite::Error)?, &bad, ErrorKind::NonFinite);
                run.assert_skipped(&what, &with(NonFinite::Skip)?, &bad);
                for run in [&mut run, &mut undisturbed] {
                    Adamax::default().step(&mut run.state, &mut run.x, &good)?;
                }
                assert_untouched(&what, &run.memory(&good), &undisturbed.memory(&good));
            }
        }
    }
    Ok(())
}

/// A state that a step under `Propagate` has left with NaN or infinities gives them to no finite parameter
/// once the rule is another one: not where it is, nor in another layout, optimizer or precision.
#[test]
fn what_has_propagated_is_refused_by_a_rule_that_checks() -> Result<(), Error> {
    let good: ArrayD<f64> = gradients(IxDyn(&[3, 5]), &mut rng(6));
    for bad in [f64::NAN, f64::INFINITY] {
        for layout in LAYOUTS {
            let mut run = Run::<f64>::new(&[3, 5], C, layout)?;
            let x = run.x.clone();
            with(NonFinite::Propagate)?.step(
                &mut run.state,
                &mut run.x,
                &spoiled(&good, 4, bad),
            )?;
            // The user has put the parameters right, but not the state.
            run.x = x;
            run.assert_refused("alone", &with(NonFinite::Error)?, &good, ErrorKind::NonFinite);
            run.assert_skipped("alone", &with(NonFinite::Skip)?, &good);
            let kind = in_a_batch(&run.state, &run.x, &good)?;
            assert_eq!(kind, ErrorKind::NonFinite, "in a batch");
            let kind = in_a_batch(&run.state.clone().into_rows()?, &run.x, &good)?;
            assert_eq!(kind, ErrorKind::NonFinite, "by rows");
            let narrow = |array: &ArrayD<f64>| array.mapv(f32::of);
            let kind = in_a_batch(&run.state.cast()?, &narrow(&run.x), &narrow(&good))?;
            assert_eq!(kind, ErrorKind::NonFinite, "in the other precision");
            run.state = run.state.with_layout_of(&F.arrange(&run.x))?;
            run.assert_refused("in other order", &Adamax::default(), &good, ErrorKind::NonFinite);
        }
    }
    Ok(())
}

/// Returns the kind of error of a step by an optimizer that has taken over a state, and with a report.
fn in_a_batch<A: Float>(
    state: &State<A>,
    x: &ArrayD<A>,
    g: &ArrayD<A>,
) -> Result<ErrorKind, Error> {
    let mut x = x.clone();
    let before = x.bits();
    let mut optimizer = Optimizer::new(Adamax::default());
    let all: Vec<usize> = (0..x.shape()[0]).collect();
    let (slot, rows) = if state.row_steps().is_some() {
        let rows = optimizer.register_rows("x", &x)?;
        (rows.slot(), Some(rows))
    } else {
        (optimizer.register("x", &x)?, None)
    };
    optimizer.set_state(slot, state)?;
    let [plain, reported] = [false, true].map(|reports| {
        let bound = match rows {
            Some(rows) => rows.bind(&mut x, &all, g),
            None => slot.bind(&mut x, g),
        };
        let batch = &mut [bound];
        let result = if reports {
            optimizer.step_with_report(batch).map(drop)
        } else {
            optimizer.step(batch).map(drop)
        };
        result.expect_err("the state is not finite").kind()
    });
    assert_eq!(plain, reported);
    assert_untouched("x", &x.bits(), &before);
    Ok(plain)
}
