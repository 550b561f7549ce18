//! Counts the allocations of a step: zero on every path that promises this.
//!
//! The second step is counted, because the first step may initialize data that later steps reuse.

mod common;
#[path = "common/counting.rs"]
mod counting;

use adamax::{
    Adamax, Average, Averages, Error, MaxNorm, NonFinite, Optimizer, Outcome, State, Stop,
    WeightDecay, adamax_step,
};
use common::{Float, Layout, layout::LAYOUTS, rules};
use ndarray::{
    Array, ArrayD, Axis, Dimension, Ix0, Ix1, Ix2, Ix3, Ix4, Ix5, Ix6, IxDyn, ShapeBuilder,
};

/// Counts the allocations that this thread makes while it runs `something`.
fn allocations<T>(something: impl FnOnce() -> T) -> (usize, T) {
    let (allocated, result) = counting::allocated(something);
    (allocated.count, result)
}

#[test]
fn the_counter_counts_allocations() {
    // Without `black_box` the compiler may remove an unused allocation.
    use std::hint::black_box;
    assert_eq!(allocations(|| black_box(1)).0, 0);
    assert_eq!(allocations(|| black_box(Box::new(1))).0, 1);
    assert_eq!(allocations(|| black_box(vec![0_u8; 3])).0, 1);
    let grown = || black_box(vec![1]).extend(black_box([1; 100]));
    assert_eq!(allocations(grown).0, 2);
}

#[test]
fn the_counter_measures_bytes() {
    use std::hint::black_box;
    let (allocated, _) = counting::allocated(|| {
        drop(black_box(vec![0_u8; 1000]));
        (black_box(vec![0_u8; 300]), black_box(Vec::<u8>::with_capacity(800)))
    });
    assert_eq!((allocated.largest, allocated.peak), (1000, 1100));
}

/// One shape of each rank from 0 to 4, shapes that are processed in tiles, and an empty shape.
const SHAPES: [&[usize]; 8] =
    [&[], &[37], &[5, 7], &[33, 70], &[4, 3, 5], &[3, 20, 18], &[2, 3, 4, 3], &[0, 3]];
/// Shapes with more than four axes, which a dynamic dimension does not store inline.
const LONG_SHAPES: [&[usize]; 2] = [&[2, 3, 2, 2, 3], &[2, 2, 3, 1, 2, 2]];

/// A parameter x, its gradient, a state after one step, and a name for messages.
struct Setting<A, D: Dimension> {
    name: (Vec<usize>, [Layout; 3], Adamax),
    x: Array<A, D>,
    g: Array<A, D>,
    state: State<A>,
}

impl<A: Float, D: Dimension> Setting<A, D> {
    /// `word` gives the layouts of x, g and the state.
    fn new(rule: &Adamax, shape: &[usize], word: [Layout; 3]) -> Result<Self, Error> {
        let values = ArrayD::from_elem(shape, A::of(0.5));
        let mut x = word[0].arrange_as::<A, D>(&values);
        let g = word[1].arrange_as::<A, D>(&values);
        let mut state = State::zeros_like(&word[2].arrange(&values));
        assert_eq!(rule.step(&mut state, &mut x, &g)?, Outcome::Applied);
        Ok(Setting { name: (shape.to_vec(), word, *rule), x, g, state })
    }

    fn assert_step_allocates_nothing(&mut self, rule: &Adamax) {
        let Setting { name, x, g, state } = self;
        let (count, outcome) = allocations(|| rule.step(state, x, g));
        assert_eq!((count, outcome.unwrap()), (0, Outcome::Applied), "{name:?}");
    }
}

fn step<A: Float, D: Dimension>(
    rule: &Adamax,
    shape: &[usize],
    word: [Layout; 3],
) -> Result<(), Error> {
    Setting::<A, D>::new(rule, shape, word)?.assert_step_allocates_nothing(rule);
    Ok(())
}

/// Runs [`step`] with a dynamic dimension and with a dimension type.
fn step_either_way<A: Float>(
    rule: &Adamax,
    shape: &[usize],
    word: [Layout; 3],
) -> Result<(), Error> {
    step::<A, IxDyn>(rule, shape, word)?;
    match shape.len() {
        0 => step::<A, Ix0>(rule, shape, word),
        1 => step::<A, Ix1>(rule, shape, word),
        2 => step::<A, Ix2>(rule, shape, word),
        3 => step::<A, Ix3>(rule, shape, word),
        4 => step::<A, Ix4>(rule, shape, word),
        5 => step::<A, Ix5>(rule, shape, word),
        6 => step::<A, Ix6>(rule, shape, word),
        axes => panic!("{axes} axes"),
    }
}

#[test]
fn a_step_of_up_to_four_axes_in_any_layout() -> Result<(), Error> {
    let rule = Adamax::default();
    for shape in SHAPES {
        for x in LAYOUTS {
            for g in LAYOUTS {
                for state in LAYOUTS {
                    step_either_way::<f64>(&rule, shape, [x, g, state])?;
                }
                step_either_way::<f32>(&rule, shape, [x, g, x])?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_row_major_step_of_more_axes() -> Result<(), Error> {
    for shape in LONG_SHAPES {
        step_either_way::<f64>(&Adamax::default(), shape, [Layout::C; 3])?;
        step_either_way::<f32>(&Adamax::default(), shape, [Layout::C; 3])?;
    }
    Ok(())
}

/// Ranges of numbers rule an overflow out: no step is computed on copies, which would take views.
#[test]
fn a_row_major_step_of_more_axes_under_rules_that_read_more() -> Result<(), Error> {
    let l2 = Adamax::builder().weight_decay(WeightDecay::L2(0.1)).build()?;
    let uneven = Adamax::builder().beta1(0.95).beta2(0.5).build()?;
    for rule in [l2, uneven] {
        for shape in LONG_SHAPES {
            step_either_way::<f64>(&rule, shape, [Layout::C; 3])?;
            step_either_way::<f32>(&rule, shape, [Layout::C; 3])?;
        }
    }
    Ok(())
}

#[test]
fn a_step_under_any_rule_and_policy() -> Result<(), Error> {
    for case in rules::one_of_each_kind() {
        for policy in [NonFinite::Error, NonFinite::Skip, NonFinite::Propagate] {
            let rule = case.with(policy).rule;
            for word in [[Layout::C; 3], [Layout::F; 3], [Layout::C, Layout::Stepped, Layout::F]] {
                step_either_way::<f64>(&rule, &[6, 11], word)?;
            }
        }
    }
    Ok(())
}

/// A skipped gradient does not allocate either.
#[test]
fn a_skipped_step() -> Result<(), Error> {
    let rule = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    for shape in SHAPES {
        for layout in LAYOUTS {
            let mut setting = Setting::<f64, IxDyn>::new(&rule, shape, [layout; 3])?;
            setting.g.fill(f64::NAN);
            let Setting { name, x, g, state } = &mut setting;
            let (count, outcome) = allocations(|| rule.step(state, x, g));
            let expected = if x.is_empty() { Outcome::Applied } else { Outcome::Skipped };
            assert_eq!((count, outcome?), (0, expected), "{name:?}");
        }
    }
    Ok(())
}

/// `adamax_step` returns the arrays that it was given.
#[test]
fn a_textbook_step() -> Result<(), Error> {
    let rule = Adamax::default();
    for shape in SHAPES {
        for layout in LAYOUTS {
            let Setting { name, x, g, state } =
                Setting::<f64, IxDyn>::new(&rule, shape, [layout; 3])?;
            let (t, m, u) = state.into_parts();
            let (count, result) = allocations(|| adamax_step(x, &g, m, u, t + 1, &rule));
            assert_eq!(count, 0, "{name:?}");
            result?;
        }
    }
    let (count, result) = allocations(|| adamax_step(1.0, &0.1, 0.0, 0.0, 1, &rule));
    assert_eq!((count, result.is_ok()), (0, true));
    let (count, result) = allocations(|| adamax_step(1.0_f32, &0.1, 0.0, 0.0, 1, &rule));
    assert_eq!((count, result.is_ok()), (0, true));
    Ok(())
}

/// Three tensors; two of them have a memory order that differs from their gradient's.
#[test]
fn a_batch_on_the_stack() -> Result<(), Error> {
    use Layout::{C, F, Permuted};
    let rule = Adamax::default();
    for max_norm in [None, Some(MaxNorm::Global(0.1)), Some(MaxNorm::PerTensor(0.1))] {
        let mut a = Setting::<f64, Ix1>::new(&rule, &[700], [C, C, C])?;
        let mut b = Setting::<f64, Ix2>::new(&rule, &[20, 70], [C, F, C])?;
        let mut c = Setting::<f64, IxDyn>::new(&rule, &[3, 2, 5, 4], [F, Permuted, F])?;
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(max_norm)?;
        let slot_a = optimizer.register("a", &a.x)?;
        let slot_b = optimizer.register("b", &b.x)?;
        let slot_c = optimizer.register("c", &c.x)?;
        for t in 1..=2 {
            let (count, outcome) = allocations(|| {
                optimizer.step(&mut [
                    slot_a.bind(&mut a.x, &a.g),
                    slot_b.bind(&mut b.x, &b.g),
                    slot_c.bind(&mut c.x, &c.g),
                ])
            });
            assert_eq!((count, outcome?), (0, Outcome::Applied), "{max_norm:?}, t {t}");
        }
    }
    Ok(())
}

/// To look for tensors that were forgotten takes no memory.
#[test]
fn a_batch_of_all_tensors() -> Result<(), Error> {
    let rule = Adamax::default();
    let mut a = Setting::<f64, Ix1>::new(&rule, &[700], [Layout::C; 3])?;
    let mut b = Setting::<f64, Ix2>::new(&rule, &[20, 70], [Layout::C; 3])?;
    let mut optimizer = Optimizer::new(rule);
    let removed = optimizer.register("a", &b.x)?;
    let slot_b = optimizer.register("b", &b.x)?;
    optimizer.remove(removed)?;
    let slot_a = optimizer.register("a", &a.x)?;
    for t in 1..=2 {
        let (count, outcome) = allocations(|| {
            optimizer.step_all(&mut [slot_b.bind(&mut b.x, &b.g), slot_a.bind(&mut a.x, &a.g)])
        });
        assert_eq!((count, outcome?), (0, Outcome::Applied), "t {t}");
    }
    Ok(())
}

/// The values go to the memory that the optimizer has.
#[test]
fn another_state() -> Result<(), Error> {
    let rule = Adamax::default();
    for registered in LAYOUTS {
        for given in LAYOUTS {
            let word = [registered, registered, given];
            let Setting { name, x, state, .. } =
                Setting::<f64, IxDyn>::new(&rule, &[3, 2, 5, 4], word)?;
            let mut optimizer = Optimizer::new(rule);
            let slot = optimizer.register("x", &x)?;
            let (count, result) = allocations(|| optimizer.set_state(slot, &state));
            assert_eq!((count, result.is_ok()), (0, true), "{name:?}");
        }
    }
    Ok(())
}

/// However many tensors come and go, an optimizer takes no more memory than they took at one time.
#[test]
fn tensors_come_and_go() -> Result<(), Error> {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    let x = Array::zeros(9);
    let mut come_and_go = |rounds: usize| -> Result<usize, Error> {
        let (allocated, result) = counting::allocated(|| -> Result<(), Error> {
            for round in 0..rounds {
                // Places become free in another order than they are taken.
                let names = [0, 1, 2].map(|i| format!("tensor {:6}", round + i));
                let [a, b, c] = [0, 1, 2].map(|i| optimizer.register(&names[i], &x));
                for slot in [b?, a?, c?] {
                    optimizer.remove(slot)?;
                }
            }
            Ok(())
        });
        result.map(|()| allocated.peak)
    };
    // Once, so that the lists have their size.
    come_and_go(1)?;
    let few = come_and_go(10)?;
    assert_eq!(come_and_go(10_000)?, few);
    Ok(())
}

/// Views with gaps are kept in a box, which keeps the batch small. Nothing else allocates.
#[test]
fn a_view_with_gaps_takes_one_box() -> Result<(), Error> {
    use Layout::{C, Mixed, Sliced, Stepped};
    let rule = Adamax::default();
    for max_norm in [None, Some(MaxNorm::Global(0.1)), Some(MaxNorm::PerTensor(0.1))] {
        for (layouts, shape) in
            [([Sliced, Sliced], [3, 20]), ([C, Stepped], [40, 50]), ([Mixed, C], [1, 7])]
        {
            let [x, g] = layouts;
            let mut setting = Setting::<f64, IxDyn>::new(&rule, &shape, [x, g, x])?;
            let mut optimizer = Optimizer::new(rule);
            optimizer.set_max_norm(max_norm)?;
            let slot = optimizer.register("x", &setting.x)?;
            for t in 1..=2 {
                let (bound, mut batch) = allocations(|| [slot.bind(&mut setting.x, &setting.g)]);
                let (stepped, outcome) = allocations(|| optimizer.step(&mut batch));
                let what = format!("{layouts:?} {shape:?} {max_norm:?}, t {t}");
                assert_eq!((bound, stepped, outcome?), (1, 0, Outcome::Applied), "{what}");
            }
        }
    }
    Ok(())
}

/// Views that are taken by value: those of one axis need no box.
#[test]
fn a_view_by_value() -> Result<(), Error> {
    use Layout::{C, F, Reversed, Stepped};
    fn counts<D: Dimension>(shape: &[usize], layout: Layout, boxes: usize) -> Result<(), Error> {
        let rule = Adamax::default();
        let mut setting = Setting::<f64, D>::new(&rule, shape, [layout; 3])?;
        let mut optimizer = Optimizer::new(rule);
        let slot = optimizer.register("x", &setting.x)?;
        for t in 1..=2 {
            let Setting { x, g, .. } = &mut setting;
            let (bound, mut batch) = allocations(|| [slot.bind_view(x.view_mut(), g.view())]);
            let (stepped, outcome) = allocations(|| optimizer.step(&mut batch));
            let what = format!("{layout:?} {shape:?}, t {t}");
            assert_eq!((bound, stepped, outcome?), (boxes, 0, Outcome::Applied), "{what}");
        }
        Ok(())
    }
    counts::<Ix0>(&[], C, 0)?;
    counts::<Ix1>(&[37], C, 0)?;
    counts::<IxDyn>(&[37], C, 0)?;
    counts::<Ix1>(&[37], Stepped, 1)?;
    counts::<Ix1>(&[37], Reversed, 1)?;
    counts::<Ix2>(&[5, 7], C, 1)?;
    counts::<Ix2>(&[33, 70], F, 1)
}

/// A whole model: one `Vec` for each step, and nothing for names.
#[test]
fn a_model() -> Result<(), Error> {
    type Layer = (Array<f64, Ix2>, Option<Array<f64, Ix1>>, f64);
    let layer = |index: usize| -> Layer {
        let bias = (index % 2 == 0).then(|| Array::ones(5));
        (Array::ones((5, 7)), bias, 1.0)
    };
    let model = || (0..20).map(layer).collect::<Vec<_>>();
    let (mut model, gradients) = (model(), model());
    let mut optimizer = Optimizer::new(Adamax::default());
    let slots = optimizer.register_all(&model)?;
    let mut averages = Averages::new(0.9, &model)?;
    for t in 1..=2 {
        let (bound, mut batch) = allocations(|| slots.bind(&mut model, &gradients));
        let (stepped, outcome) = allocations(|| optimizer.step(&mut batch));
        assert_eq!((bound, stepped, outcome?), (1, 0, Outcome::Applied), "t {t}");
        let (updated, result) = allocations(|| averages.update(&model));
        assert_eq!((updated, result?), (0, ()), "t {t}");
    }
    let (assigned, result) = allocations(|| averages.assign_to(&mut model));
    assert_eq!((assigned, result?), (0, ()));
    Ok(())
}

/// More axes than a dynamic dimension keeps inline: a static dimension needs no memory.
#[test]
fn a_step_of_more_axes_in_any_gapless_order() -> Result<(), Error> {
    let rule = Adamax::default();
    for x in [Layout::C, Layout::F, Layout::Permuted, Layout::Reversed] {
        for g in [Layout::C, Layout::F, Layout::Permuted, Layout::Reversed] {
            step::<f64, Ix5>(&rule, LONG_SHAPES[0], [x, g, x])?;
            step::<f64, Ix6>(&rule, LONG_SHAPES[1], [x, g, x])?;
            step::<f32, Ix5>(&rule, LONG_SHAPES[0], [x, g, x])?;
        }
    }
    Ok(())
}

/// The strides of axes of length 1 do not count: this is one memory order.
#[test]
fn a_step_of_more_axes_with_other_strides_of_single_elements() -> Result<(), Error> {
    let rule = Adamax::default();
    let mut x = Array::<f64, _>::ones((50, 1, 50, 2, 2).f());
    let g = Array::<f64, _>::ones((50, 50, 2, 2).f()).insert_axis(Axis(1));
    assert_ne!(x.strides(), g.strides());
    let mut state = State::zeros_like(&x);
    _ = rule.step(&mut state, &mut x, &g)?;
    let (count, outcome) = allocations(|| rule.step(&mut state, &mut x, &g));
    assert_eq!((count, outcome?), (0, Outcome::Applied));
    Ok(())
}

#[test]
fn an_average() -> Result<(), Error> {
    let rule = Adamax::default();
    for shape in SHAPES {
        for of_average in LAYOUTS {
            for layout in LAYOUTS {
                let Setting { name, x, g, .. } =
                    Setting::<f64, IxDyn>::new(&rule, shape, [layout, of_average, layout])?;
                let mut average = Average::new(0.9, &g)?;
                average.update(&x)?;
                let (count, result) = allocations(|| average.update(&x));
                assert_eq!((count, result.is_ok()), (0, true), "{name:?}");
                let (count, result) = allocations(|| Average::update_all(&mut [average.bind(&x)]));
                assert_eq!((count, result.is_ok()), (0, true), "{name:?}");
            }
        }
    }
    Ok(())
}

/// Binding and stepping rows of a table, each way.
#[test]
fn rows_of_a_table() -> Result<(), Error> {
    for shape in [&[40, 3][..], &[40, 20], &[40, 2, 3], &[40], &[40, 2, 2, 3], &[40, 2, 2, 3, 2]] {
        let mut table = ArrayD::<f64>::ones(IxDyn(shape));
        let grad = ArrayD::<f64>::ones(IxDyn(&[&[3], &shape[1..]].concat()));
        let mut optimizer = Optimizer::new(Adamax::default());
        optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
        let rows = optimizer.register_rows("table", &table)?;
        for step in 0..4 {
            let indices = [step, step + 1, 30];
            let (count, result) = allocations(|| {
                optimizer.step(&mut [rows.bind(&mut table, &indices, &grad)]).map(|_| ())?;
                let batch = &mut [rows.bind(&mut table, &indices, &grad)];
                optimizer.step_with_report(batch).map(|_| ())
            });
            assert_eq!((count, result.is_ok()), (0, true), "{shape:?}");
        }
        // Other layouts are in a box.
        if shape.len() == 2 {
            let mut table = table.reversed_axes();
            let grad = ArrayD::ones(IxDyn(&[1, shape[0]]));
            let mut optimizer = Optimizer::new(Adamax::default());
            let rows = optimizer.register_rows("table", &table)?;
            let (count, mut batch) = allocations(|| [rows.bind(&mut table, &[1], &grad)]);
            assert_eq!(count, 1, "{shape:?}: the box");
            let (count, result) = allocations(|| optimizer.step(&mut batch));
            assert_eq!((count, result.is_ok()), (0, true), "{shape:?}");
        }
    }
    Ok(())
}

#[test]
fn the_end_of_a_run() -> Result<(), Error> {
    let mut stop = Stop::builder().smoothing(0.9).step_tolerance(1e-9).build()?;
    let (count, best) = allocations(|| {
        let losses = [3.0, f64::NAN, 2.0, 2.5];
        losses.map(|loss| stop.observe(loss).is_best())
    });
    assert_eq!((count, best), (0, [true, false, true, false]));
    Ok(())
}

#[test]
fn a_projected_gradient_takes_one_array() -> Result<(), Error> {
    let rule = Adamax::builder().bounds(0.0, 1.0).build()?;
    for shape in SHAPES {
        for layout in LAYOUTS {
            let Setting { name, x, g, .. } =
                Setting::<f64, IxDyn>::new(&rule, shape, [layout, Layout::C, layout])?;
            let (count, norm) = allocations(|| rule.projected_gradient_norm(&x, &g));
            assert!(count <= 1 && norm.is_ok(), "{name:?}: {count}");
        }
    }
    Ok(())
}
