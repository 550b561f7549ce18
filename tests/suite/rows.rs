//! Tables that are stepped by rows, beside one slot per row.

use crate::common::{
    Bits, Float, Layout,
    bits::assert_same,
    input::{gradients, parameters, rng},
    layout::{LAYOUTS, assert_nothing_around},
    rules,
};
use adamax::{
    Adamax, Error, ErrorKind, MaxNorm, NonFinite, Optimizer, Outcome, RowSlot, Slot, State,
    WeightDecay, adamax_step, sum_rows,
};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, Ix2, IxDyn, ShapeBuilder, array};
use ndarray_rand::rand::{Rng, rngs::StdRng};

/// A table by rows, and the same rows as tensors of their own; beside them a tensor in both batches.
struct Twins<A> {
    layout: Layout,
    rows: (Optimizer<A>, RowSlot<IxDyn>, Slot<IxDyn>),
    slots: (Optimizer<A>, Vec<Slot<IxDyn>>, Slot<IxDyn>),
    table: ArrayD<A>,
    apart: ArrayD<A>,
    beside: [ArrayD<A>; 2],
}

impl<A: Float> Twins<A> {
    fn new(rule: Adamax, shape: &[usize], layout: Layout, rng: &mut StdRng) -> Result<Self, Error> {
        let apart: ArrayD<A> = parameters(IxDyn(shape), rng);
        let table = layout.arrange(&apart);
        let beside = parameters(IxDyn(&[3]), rng);
        let (mut by_rows, mut by_slots) = (Optimizer::new(rule), Optimizer::new(rule));
        let rows = by_rows.register_rows("table", &table)?;
        let slot = by_rows.register("beside", &beside)?;
        let mut slots = Vec::new();
        for (i, row) in apart.axis_iter(Axis(0)).enumerate() {
            slots.push(by_slots.register(&format!("{i}"), &row)?);
        }
        let slot_beside = by_slots.register("beside", &beside)?;
        let rows = (by_rows, rows, slot);
        let slots = (by_slots, slots, slot_beside);
        Ok(Twins { layout, rows, slots, table, apart, beside: [beside.clone(), beside] })
    }

    fn set_max_norm(&mut self, bound: f64) -> Result<(), Error> {
        self.rows.0.set_max_norm(Some(MaxNorm::Global(bound)))?;
        self.slots.0.set_max_norm(Some(MaxNorm::Global(bound)))
    }

    fn set_lr_scale(&mut self, scale: f64) -> Result<(), Error> {
        self.rows.0.set_lr_scale(scale)?;
        self.slots.0.set_lr_scale(scale)
    }

    /// Steps random rows in both ways.
    fn step(&mut self, rng: &mut StdRng) -> Result<(), Error> {
        let density = [0.1, 0.5, 0.9, 1.0][rng.random_range(0..4)];
        let indices: Vec<usize> =
            (0..self.table.shape()[0]).filter(|_| rng.random_bool(density)).collect();
        let shape = [&[indices.len()], &self.table.shape()[1..]].concat();
        let grad: ArrayD<A> = gradients(IxDyn(&shape), rng);
        // The first axis of some layouts is doubled; that of others is as it is.
        let grad_layout =
            if rng.random_bool(0.5) { self.layout } else { LAYOUTS[rng.random_range(0..7)] };
        let arranged = grad_layout.arrange(&grad);
        let grad_beside = gradients(IxDyn(&[3]), rng);

        let (optimizer, rows, slot) = &mut self.rows;
        let [beside, apart] = &mut self.beside;
        let bound = if rng.random_bool(0.3) {
            rows.bind_view(self.table.view_mut(), &indices, arranged.view())
        } else {
            rows.bind(&mut self.table, &indices, &arranged)
        };
        let mut batch = [bound, slot.bind(beside, &grad_beside)];
        let report = if rng.random_bool(0.3) {
            (optimizer.step(&mut batch)?, None)
        } else {
            let report = optimizer.step_with_report(&mut batch)?;
            (report.outcome(), Some(report))
        };
        assert_eq!(report.0, Outcome::Applied);

        let (optimizer, slots, slot) = &mut self.slots;
        let tensors = self.apart.axis_iter_mut(Axis(0)).enumerate();
        let mut batch = vec![slot.bind(apart, &grad_beside)];
        let mut gradients = grad.axis_iter(Axis(0));
        for (i, x) in tensors.filter(|(i, _)| indices.contains(i)) {
            batch.push(slots[i].bind_view(x, gradients.next().expect("one per index")));
        }
        let expected = optimizer.step_with_report(&mut batch)?;
        if let Some(found) = report.1 {
            assert_eq!(found, expected);
        }
        Ok(())
    }

    fn assert_same(&self, what: &str) {
        assert_same(format!("{what}, x"), &self.table, &self.apart);
        assert_same(format!("{what}, beside"), &self.beside[0], &self.beside[1]);
        let state = self.rows.0.state(self.rows.1.slot()).unwrap();
        let counters = state.row_steps().unwrap();
        assert_eq!(state.steps(), counters.iter().copied().max().unwrap_or(0), "{what}");
        for (i, slot) in self.slots.1.iter().enumerate() {
            let expected = self.slots.0.state(*slot).unwrap();
            let m = state.first_moment();
            let u = state.inf_norm();
            assert_same(
                format!("{what}, m {i}"),
                m.index_axis(Axis(0), i),
                expected.first_moment(),
            );
            assert_same(format!("{what}, u {i}"), u.index_axis(Axis(0), i), expected.inf_norm());
            assert_eq!(counters[i], expected.steps(), "{what}, t of {i}");
        }
    }

    /// Goes on with another optimizer that has taken over a snapshot.
    fn resume(&mut self) -> Result<(), Error> {
        let (optimizer, ..) = &self.rows;
        let rule = *optimizer.rule(optimizer.default_group()).unwrap();
        let mut next = Optimizer::new(rule);
        // In any memory order: the state follows the table.
        let rows = next.register_rows("table", &self.table)?;
        let slot = next.register("beside", &self.beside[0])?;
        next.restore(&optimizer.snapshot())?;
        assert_eq!(next.row_slot("table"), Some(rows));
        self.rows = (next, rows, slot);
        Ok(())
    }
}

/// Scalars, short rows, rows of several axes, rows of several leaves of a norm, no rows, empty rows.
const SHAPES: [&[usize]; 8] =
    [&[9], &[12, 3], &[5, 2, 3], &[4, 3, 1, 2], &[3, 2, 2, 2, 2], &[4, 40, 30], &[0, 3], &[3, 0]];

fn rows_have_the_bits_of_slots<A: Float>() -> Result<(), Error> {
    let mut kinds = rules::one_of_each_kind();
    kinds.extend(rules::all().into_iter().rev().take(22));
    for (seed, case) in (0..).zip(kinds) {
        let rng = &mut rng(seed);
        for _ in 0..2 {
            let layout = LAYOUTS[rng.random_range(0..LAYOUTS.len())];
            let shape = SHAPES[rng.random_range(0..SHAPES.len())];
            let what = format!("{}, {shape:?} {layout:?}", case.name);
            let mut twins = Twins::<A>::new(case.rule, shape, layout, rng)?;
            for step in 0..12 {
                match step {
                    4 => twins.set_max_norm(0.5)?,
                    6 => twins.resume()?,
                    8 => twins.set_lr_scale(0.3)?,
                    _ => {}
                }
                twins.step(rng).unwrap_or_else(|error| panic!("{what}: {error}"));
                twins.assert_same(&what);
            }
            assert_nothing_around(what, twins.table);
        }
    }
    Ok(())
}

#[test]
fn rows_have_the_bits_of_one_slot_per_row() -> Result<(), Error> {
    rows_have_the_bits_of_slots::<f64>()?;
    rows_have_the_bits_of_slots::<f32>()
}

#[test]
fn thousands_of_steps_and_a_resume_in_the_middle() -> Result<(), Error> {
    let rng = &mut rng(16);
    let rule = Adamax::builder().beta1(0.99).weight_decay(WeightDecay::Decoupled(0.1)).build()?;
    for layout in [Layout::C, Layout::F, Layout::Mixed] {
        let mut twins = Twins::<f64>::new(rule, &[8, 3], layout, rng)?;
        for step in 0..3_000 {
            if step == 1_111 {
                twins.resume()?;
            }
            twins.step(rng)?;
        }
        twins.assert_same("after 3000 steps");
    }
    Ok(())
}

#[cfg(feature = "rayon")]
#[test]
fn threads_change_no_bit() -> Result<(), Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    let rng = &mut rng(3);
    for (layout, shape) in [
        (Layout::C, &[2_000, 50][..]),
        (Layout::C, &[40_000, 5]), // by way of the stack
        (Layout::C, &[7, 20_000]), // a row is not split
        (Layout::C, &[1, 140_000]),
        (Layout::F, &[2_000, 50]),
        (Layout::Permuted, &[300, 20, 18]),
        (Layout::Stepped, &[70_000]),
    ] {
        let table = layout.arrange(&parameters::<f64, _>(IxDyn(shape), rng));
        let run = |parallel: bool| -> Result<_, Error> {
            let rng = &mut self::rng(4);
            let mut table = table.clone();
            let mut optimizer = Optimizer::new(Adamax::default());
            optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
            let rows = optimizer.register_rows("table", &table)?;
            for step in 0..6 {
                let indices: Vec<_> =
                    (0..shape[0]).filter(|_| step == 0 || rng.random_bool(0.8)).collect();
                let shape = [&[indices.len()], &shape[1..]].concat();
                let grad = layout.arrange(&gradients::<f64, _>(IxDyn(&shape), rng));
                let batch = &mut [rows.bind(&mut table, &indices, &grad)];
                _ = match (parallel, step % 2) {
                    (true, 0) => pool.install(|| optimizer.par_step(batch))?,
                    (true, _) => pool.install(|| optimizer.par_step_with_report(batch))?.outcome(),
                    (false, 0) => optimizer.step(batch)?,
                    (false, _) => optimizer.step_with_report(batch)?.outcome(),
                };
            }
            let report = optimizer.report(rows.slot());
            Ok((table, optimizer.state(rows.slot()).cloned(), report))
        };
        let (expected, found) = (run(false)?, run(true)?);
        assert_same(format!("{layout:?}"), &found.0, &expected.0);
        assert!(found.1 == expected.1 && found.2 == expected.2, "{layout:?}");
    }
    Ok(())
}

/// In f32, the step size of the first row is above 0; that of the second, which is further, rounds to 0.
#[test]
fn a_step_size_that_rounds_to_nothing_is_that_of_the_row() -> Result<(), Error> {
    let rule = Adamax::builder().learning_rate(5e-46).build()?;
    let mut table = Array2::from_elem((2, 1), -0.0_f32);
    let mut optimizer = Optimizer::new(rule);
    let rows = optimizer.register_rows("table", &table)?;
    let zeros = || ArrayD::zeros(IxDyn(&[2, 1]));
    let state = State::from_row_parts(vec![0, 1000], zeros(), zeros())?;
    optimizer.set_state(rows.slot(), &state)?;
    let grad = Array2::from_elem((2, 1), -1.0);
    assert_eq!(optimizer.step(&mut [rows.bind(&mut table, &[0, 1], &grad)])?, Outcome::Applied);
    for (x, t) in table.iter().zip([1, 1001]) {
        let (expected, ..) = adamax_step(-0.0_f32, &-1.0, 0.0, 0.0, t, &rule)?;
        assert_eq!(x.to_bits(), expected.to_bits(), "t {t}");
    }
    assert!(table[[1, 0]].is_sign_negative());
    Ok(())
}

#[test]
fn a_norm_per_tensor_is_that_of_the_named_rows() -> Result<(), Error> {
    let mut table = Array2::<f64>::zeros((5, 2));
    let mut other = array![0.0];
    let mut optimizer = Optimizer::new(Adamax::default());
    optimizer.set_max_norm(Some(MaxNorm::PerTensor(1.0)))?;
    let rows = optimizer.register_rows("table", &table)?;
    let slot = optimizer.register("other", &other)?;
    let (grad, g) = (array![[3.0, 0.0], [0.0, 4.0]], array![0.5]);
    let batch = &mut [rows.bind(&mut table, &[1, 4], &grad), slot.bind(&mut other, &g)];
    let report = optimizer.step_with_report(batch)?;
    assert_eq!(report.gradient_norm(), 25.25_f64.sqrt());
    let of_table = optimizer.report(rows.slot()).unwrap();
    assert_eq!((of_table.gradient_norm(), of_table.clip_factor()), (5.0, 0.2));
    assert_eq!(of_table.max_gradient(), 4.0);
    assert_eq!(optimizer.report(slot).unwrap().clip_factor(), 1.0);
    let u = optimizer.state(rows.slot()).unwrap().inf_norm();
    assert_eq!((u[[1, 0]], u[[4, 1]], u[[0, 0]]), (3.0 * 0.2, 4.0 * 0.2, 0.0));
    Ok(())
}

/// A table, rows and gradients that do not fit a registered table of shape [4, 2, 3], and the error.
struct Misfit {
    table: ArrayD<f64>,
    indices: &'static [usize],
    grad: ArrayD<f64>,
    kind: ErrorKind,
    message: &'static str,
}

fn misfits() -> Vec<Misfit> {
    let ones = |shape: &[usize]| ArrayD::ones(IxDyn(shape));
    let table = || ones(&[4, 2, 3]);
    let with = |index: [usize; 3], value: f64| {
        let mut bad = ones(&[2, 2, 3]);
        bad[IxDyn(&index)] = value;
        bad
    };
    let case = |table, indices, grad, kind, message| Misfit { table, indices, grad, kind, message };
    let rows =
        |indices, message| case(table(), indices, ones(&[2, 2, 3]), ErrorKind::Rows, message);
    let shape = |table, indices, shape, message| {
        case(table, indices, ones(shape), ErrorKind::Shape, message)
    };
    let value =
        |indices, grad, message| case(table(), indices, grad, ErrorKind::NonFinite, message);
    vec![
        rows(&[1, 4], "row 4 at place 1 is beyond the table, which has 4 rows"),
        rows(&[4, 1], "row 4 at place 0 is beyond the table, which has 4 rows"),
        rows(
            &[2, 1],
            "row 1 at place 1 comes after row 2, but rows must ascend: `sum_rows` sorts them",
        ),
        rows(
            &[2, 2],
            "row 2 at place 1 comes twice: `sum_rows` adds up the gradients of equal rows",
        ),
        shape(
            table(),
            &[2],
            &[2, 2, 3],
            "gradient has shape [2, 2, 3], but the gradients of these rows have shape [1, 2, 3]",
        ),
        shape(
            table(),
            &[0, 1, 2],
            &[2, 2, 3],
            "gradient has shape [2, 2, 3], but the gradients of these rows have shape [3, 2, 3]",
        ),
        shape(
            table(),
            &[0, 1],
            &[2, 3, 2],
            "gradient has shape [2, 3, 2], but the gradients of these rows have shape [2, 2, 3]",
        ),
        shape(
            table(),
            &[0, 1],
            &[2, 6],
            "gradient has shape [2, 6], but the gradients of these rows have shape [2, 2, 3]",
        ),
        shape(
            table(),
            &[],
            &[],
            "gradient has shape [], but the gradients of these rows have shape [0, 2, 3]",
        ),
        shape(
            ones(&[5, 2, 3]),
            &[0, 1],
            &[2, 2, 3],
            "parameter has shape [5, 2, 3], but the registered shape is [4, 2, 3]",
        ),
        shape(
            ones(&[4, 3, 2]),
            &[0, 1],
            &[2, 3, 2],
            "parameter has shape [4, 3, 2], but the registered shape is [4, 2, 3]",
        ),
        value(&[1, 3], with([1, 0, 2], f64::NAN), "gradient is NaN at index [1, 0, 2], for row 3"),
        value(
            &[0, 2],
            with([0, 1, 1], f64::INFINITY),
            "gradient is inf at index [0, 1, 1], for row 0",
        ),
    ]
}

fn assert_refused(
    layout: Layout,
    case: &Misfit,
    max_norm: Option<MaxNorm>,
    weight_decay: WeightDecay,
) -> Result<(), Error> {
    let Misfit { table: given, indices, grad, kind, message } = case;
    let rule = Adamax::builder().weight_decay(weight_decay).build()?;
    let mut optimizer = Optimizer::new(rule);
    optimizer.set_max_norm(max_norm)?;
    let mut x = layout.arrange(&ArrayD::<f64>::ones(IxDyn(&[4, 2, 3])));
    let mut beside = array![1.0];
    let rows = optimizer.register_rows("table", &x)?;
    let slot = optimizer.register("beside", &beside)?;
    let g = array![1.0];
    let first = layout.arrange(&ArrayD::from_elem(IxDyn(&[2, 2, 3]), 0.5));
    let batch = &mut [slot.bind(&mut beside, &g), rows.bind(&mut x, &[0, 3], &first)];
    assert_eq!(optimizer.step(batch)?, Outcome::Applied);

    let before = (optimizer.snapshot(), x.bits(), beside.bits());
    let other_shape = given.shape() != x.shape();
    let mut given = if other_shape { layout.arrange(given) } else { x };
    let grad = layout.arrange(grad);
    let batch = &mut [slot.bind(&mut beside, &g), rows.bind(&mut given, indices, &grad)];
    let error = optimizer.step(batch).unwrap_err();
    assert_eq!(error.to_string(), format!("tensor `table`: {message}"), "{layout:?}");
    assert_eq!((error.kind(), error.tensor()), (*kind, Some("table")));
    assert_eq!(optimizer.step_with_report(batch).unwrap_err().kind(), *kind);
    assert_eq!((optimizer.snapshot(), beside.bits()), (before.0, before.2));
    if !other_shape {
        assert_eq!(given.bits(), before.1);
    }
    Ok(())
}

#[test]
fn bad_input_names_tensor_place_and_row_and_changes_nothing() -> Result<(), Error> {
    for layout in [Layout::C, Layout::F, Layout::Permuted, Layout::Sliced] {
        for case in misfits() {
            assert_refused(layout, &case, None, WeightDecay::None)?;
            assert_refused(layout, &case, Some(MaxNorm::Global(1.0)), WeightDecay::None)?;
            assert_refused(layout, &case, Some(MaxNorm::PerTensor(1.0)), WeightDecay::L2(0.1))?;
        }
    }
    Ok(())
}

#[test]
fn a_program_gets_place_and_row() -> Result<(), Error> {
    let mut table = Array2::<f64>::ones((4, 2));
    let mut optimizer = Optimizer::new(Adamax::default());
    let rows = optimizer.register_rows("table", &table)?;
    let grad = Array2::ones((2, 2));
    let error = optimizer.step(&mut [rows.bind(&mut table, &[1, 9], &grad)]).unwrap_err();
    assert_eq!(error.array(), Some("row indices"));
    assert_eq!((error.index(), error.value()), (Some(&[1][..]), Some(9.0)));
    Ok(())
}

#[test]
fn policies_for_nan_are_those_of_the_group() -> Result<(), Error> {
    for policy in [NonFinite::Skip, NonFinite::Propagate] {
        let rule = Adamax::builder().non_finite(policy).build()?;
        let mut table = Array2::<f64>::ones((3, 2));
        let mut optimizer = Optimizer::new(rule);
        let rows = optimizer.register_rows("table", &table)?;
        let grad = array![[1.0, 1.0], [f64::NAN, 1.0]];
        let report = optimizer.step_with_report(&mut [rows.bind(&mut table, &[0, 2], &grad)])?;
        let counters = optimizer.state(rows.slot()).unwrap().row_steps().unwrap().to_vec();
        if policy == NonFinite::Skip {
            assert_eq!((report.outcome(), counters), (Outcome::Skipped, vec![0; 3]));
            assert_eq!(table, Array2::<f64>::ones((3, 2)));
            assert!(report.max_gradient().is_nan());
        } else {
            assert_eq!(counters, [1, 0, 1]);
            assert!(table[[2, 0]].is_nan() && table[[2, 1]] < 1.0 && table[[1, 0]] == 1.0);
        }
    }
    Ok(())
}

#[test]
fn a_step_that_would_overflow_names_the_row() -> Result<(), Error> {
    let rule = Adamax::builder().weight_decay(WeightDecay::L2(10.0)).build()?;
    for layout in [Layout::C, Layout::F] {
        let mut table = layout.arrange_as::<f64, Ix2>(&array![[1.0], [1e308], [1.0]].into_dyn());
        let mut optimizer = Optimizer::new(rule);
        let rows = optimizer.register_rows("table", &table)?;
        let grad = Array2::ones((2, 1));
        let error = optimizer.step(&mut [rows.bind(&mut table, &[0, 1], &grad)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NonFinite);
        let message = error.to_string();
        assert!(
            message.starts_with("tensor `table`: ") && message.ends_with("at index [1, 0]"),
            "{message}"
        );
        assert_eq!(optimizer.state(rows.slot()).unwrap().row_steps(), Some(&[0; 3][..]));
        // A row that is not named cannot overflow.
        let named = rows.bind(&mut table, &[0, 2], &grad);
        assert_eq!(optimizer.step(&mut [named])?, Outcome::Applied);
    }
    Ok(())
}

#[test]
fn a_counter_at_its_end_is_refused() -> Result<(), Error> {
    let mut table = Array2::<f64>::ones((3, 1));
    let mut optimizer = Optimizer::new(Adamax::default());
    let rows = optimizer.register_rows("table", &table)?;
    let zeros = || ArrayD::zeros(IxDyn(&[3, 1]));
    let state = State::from_row_parts(vec![0, u64::MAX, u64::MAX - 1], zeros(), zeros())?;
    optimizer.set_state(rows.slot(), &state)?;
    let grad = Array2::ones((2, 1));
    let error = optimizer.step(&mut [rows.bind(&mut table, &[0, 1], &grad)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StepCount);
    let named = rows.bind(&mut table, &[0, 2], &grad);
    assert_eq!(optimizer.step(&mut [named])?, Outcome::Applied);
    let counters = optimizer.state(rows.slot()).unwrap().row_steps();
    assert_eq!(counters, Some(&[1, u64::MAX, u64::MAX][..]));
    Ok(())
}

#[test]
fn a_table_is_not_bound_as_a_whole() -> Result<(), Error> {
    let mut table = Array2::<f64>::ones((3, 2));
    let grad = table.clone();
    let mut optimizer = Optimizer::new(Adamax::default());
    let rows = optimizer.register_rows("table", &table)?;
    let error = optimizer.step(&mut [rows.slot().bind(&mut table, &grad)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "tensor `table`: each row counts its own steps, so it is stepped by `RowSlot::bind` only"
    );
    let mut state = optimizer.state(rows.slot()).unwrap().clone();
    let error = Adamax::default().step(&mut state, &mut table, &grad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert_eq!(table, grad);
    Ok(())
}

#[test]
fn states_of_the_other_kind_are_refused() -> Result<(), Error> {
    let table = Array2::<f64>::ones((3, 2));
    let mut optimizer = Optimizer::new(Adamax::default());
    let rows = optimizer.register_rows("table", &table)?;
    let whole = optimizer.register("whole", &table)?;
    let state = State::zeros_like(&table);
    let error = optimizer.set_state(rows.slot(), &state).unwrap_err();
    assert!(error.to_string().starts_with("tensor `table`: the state counts its steps as a whole"));
    optimizer.set_state(rows.slot(), &state.into_rows()?)?;
    let by_rows = optimizer.state(rows.slot()).unwrap().clone();
    let error = optimizer.set_state(whole, &by_rows).unwrap_err();
    assert!(error.to_string().starts_with("tensor `whole`: the state has a counter for each row"));
    assert_eq!(optimizer.row_slot::<Ix2>("whole"), None);
    assert_eq!(optimizer.row_slot::<Ix2>("none"), None);
    // After its removal, the name is free, and the key is not used again.
    let state = optimizer.remove(rows.slot())?;
    assert_eq!(state.row_steps(), Some(&[0; 3][..]));
    assert_eq!(optimizer.row_slot::<Ix2>("table"), None);
    let again = optimizer.register_rows("table", &table)?;
    assert_ne!(again, rows);
    Ok(())
}

#[test]
fn a_dense_run_goes_on_by_rows() -> Result<(), Error> {
    // All rows are named in each step, so both give the same bits.
    let rng = &mut rng(5);
    let mut dense = Array2::<f64>::ones((5, 3));
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("x", &dense)?;
    let steps: Vec<Array2<f64>> = (0..8).map(|_| gradients((5, 3), rng)).collect();
    for grad in &steps[..4] {
        _ = optimizer.step(&mut [slot.bind(&mut dense, grad)])?;
    }
    let mut table = dense.clone();
    let mut by_rows = Optimizer::new(Adamax::default());
    let rows = by_rows.register_rows("x", &table)?;
    by_rows.set_state(rows.slot(), &optimizer.state(slot).unwrap().clone().into_rows()?)?;
    for grad in &steps[4..] {
        _ = optimizer.step(&mut [slot.bind(&mut dense, grad)])?;
        _ = by_rows.step(&mut [rows.bind(&mut table, &[0, 1, 2, 3, 4], grad)])?;
    }
    assert_same("x", &table, &dense);
    Ok(())
}

#[test]
fn registration_refuses_what_has_no_rows() {
    let mut optimizer = Optimizer::<f64>::new(Adamax::default());
    let error = optimizer.register_rows("x", &ndarray::arr0(1.0)).unwrap_err();
    assert_eq!(error.to_string(), "tensor `x`: parameter has no axis, so it has no rows");
    assert_eq!(error.array(), Some("parameter"));
    // As many rows as there are numbers, each empty.
    let row = Array1::<f64>::zeros(0);
    let rows = usize::try_from(1_u64 << 50).unwrap_or(usize::MAX / 8);
    let huge = row.broadcast((rows, 0)).unwrap();
    let error = optimizer.register_rows("x", &huge).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    assert_eq!(error.found_shape(), Some(&[rows, 0][..]));
    let table = Array2::<f64>::zeros((2, 2));
    assert!(optimizer.register_rows("x", &table).is_ok());
    assert_eq!(optimizer.register_rows("x", &table).unwrap_err().kind(), ErrorKind::Name);
}

#[test]
fn row_counters_fit_the_moments() -> Result<(), Error> {
    let zeros = |shape: &[usize]| ArrayD::<f64>::zeros(IxDyn(shape));
    let error = State::from_row_parts(vec![1], zeros(&[2, 1]), zeros(&[2, 1])).unwrap_err();
    assert_eq!(error.to_string(), "there are 1 counters for 2 rows");
    assert!(State::from_row_parts(vec![1], zeros(&[]), zeros(&[])).is_err());
    assert!(State::from_row_parts(vec![1], zeros(&[1, 1]), zeros(&[1])).is_err());
    assert!(State::<f64>::zeros_like(&ndarray::arr0(1.0)).into_rows().is_err());
    // Any order of the moments, and other orders of the table later.
    let (m, u) = (Array2::<f64>::ones((3, 2).f()), Array2::ones((3, 2)));
    let state = State::from_row_parts(vec![3, 0, 9], m.into_dyn(), u.into_dyn())?;
    let table = Array2::<f64>::ones((3, 2).f());
    let moved = state.clone().with_layout_of(&table)?;
    assert_eq!(moved, state);
    assert_eq!(moved.cast::<f32>()?.row_steps(), Some(&[3, 0, 9][..]));
    let mut reset = moved;
    reset.reset();
    assert_eq!((reset.steps(), reset.row_steps()), (0, Some(&[0; 3][..])));
    Ok(())
}

#[test]
fn a_state_keeps_its_counters_in_another_inner_order() -> Result<(), Error> {
    let ones = || ArrayD::<f64>::ones(IxDyn(&[2, 3, 4]));
    let state = State::from_row_parts(vec![7, 0], ones(), ones())?;
    let table = Array3::<f64>::zeros((2, 4, 3)).permuted_axes([0, 2, 1]);
    let moved = state.clone().with_layout_of(&table)?;
    assert_eq!(moved.inf_norm().strides(), table.strides());
    assert_eq!((moved.steps(), moved.row_steps()), (7, Some(&[7, 0][..])));
    assert_eq!(moved, state);
    Ok(())
}

#[test]
fn a_state_in_another_inner_order_gives_the_same_bits() -> Result<(), Error> {
    let rng = &mut rng(8);
    let (a, b): (Array3<f64>, Array3<f64>) =
        (parameters((4, 5, 6), rng), gradients((2, 5, 6), rng));
    let run = |registered: &Array3<f64>| -> Result<_, Error> {
        let mut x = a.clone();
        let mut optimizer = Optimizer::new(Adamax::default());
        let rows = optimizer.register_rows("x", registered)?;
        for _ in 0..3 {
            _ = optimizer.step(&mut [rows.bind(&mut x, &[1, 2], &b)])?;
        }
        Ok(x)
    };
    let expected = run(&a)?;
    let permuted = Array3::zeros((4, 6, 5)).permuted_axes([0, 2, 1]);
    let mut backwards = a.clone();
    backwards.invert_axis(Axis(2));
    for registered in [permuted, backwards, Array3::zeros((4, 5, 6).f())] {
        assert_same("x", &run(&registered)?, &expected);
    }
    Ok(())
}

fn sums_of_equal_rows<A: Float>() -> Result<(), Error> {
    let rng = &mut rng(11);
    for _ in 0..200 {
        let count = rng.random_range(0..12);
        let indices: Vec<usize> = (0..count).map(|_| rng.random_range(0..6)).collect();
        let grad: Array2<A> = gradients((count, 3), rng);
        let (found, sums) = sum_rows(&indices, &grad)?;
        let mut distinct = indices.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(found, distinct);
        for (row, sum) in distinct.iter().zip(sums.rows()) {
            let places = (0..count).filter(|&place| indices[place] == *row);
            let expected = places.map(|place| grad.row(place).to_owned()).reduce(|a, b| a + b);
            assert_same("sum", sum, &expected.expect("the row is named"));
        }
    }
    Ok(())
}

#[test]
fn equal_rows_are_added_in_their_order() -> Result<(), Error> {
    sums_of_equal_rows::<f64>()?;
    sums_of_equal_rows::<f32>()?;
    let error = sum_rows(&[1, 2], &Array2::<f64>::zeros((3, 1))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    // −0 stays.
    let (_, sums) = sum_rows(&[3], &array![-0.0_f64])?;
    assert!(sums[0].is_sign_negative());
    Ok(())
}
