//! The same numbers give the same bits on every path, in every layout and at every rank.
//!
//! Layouts are named by letters (see [`Layout::letter`]), one letter per array: `cfs` is a
//! row-major parameter, a column-major gradient, and a state made from a sliced array.
//!
//! The expected numbers come from the scalar function, element by element. `oracle.rs` tests that
//! function.

use crate::common::{
    Case, Float,
    Layout::{self, C, F, Mixed, Permuted, Reversed, Stepped},
    Table, assert_same,
    input::shaped,
    layout::{LAYOUTS, assert_nothing_around},
    rules,
};
use adamax::{Adamax, Error, Optimizer, Outcome, State, adamax_step};
use ndarray::{
    Array, Array2, ArrayD, ArrayRef, ArrayView, ArrayViewMut2, Axis, Dimension, Ix0, Ix1, Ix2, Ix3,
    Ix4, Ix5, Ix6, IxDyn, Slice, s,
};
use std::fmt::Display;

/// The second step starts from nonzero m and u.
const STEPS: usize = 2;
const SEED: u64 = 2;

// ---------------------------------------------------------------- expected results

/// The final (x, m, u) of a run, in logical order.
#[derive(Clone)]
struct Expected<A> {
    x: Vec<A>,
    m: Vec<A>,
    u: Vec<A>,
}

impl<A: Float> Expected<A> {
    fn by_scalars(table: &Table<A>, rule: &Adamax) -> Result<Self, Error> {
        let zeros = vec![A::of(0.0); table.x.len()];
        let mut all = Expected { x: table.x.clone(), m: zeros.clone(), u: zeros };
        for (t, gradients) in (1..).zip(&table.gradients) {
            for (i, g) in gradients.iter().enumerate() {
                let Expected { x, m, u } = &mut all;
                (x[i], m[i], u[i]) = adamax_step(x[i], g, m[i], u[i], t, rule)?;
            }
        }
        Ok(all)
    }

    fn assert_state<D: Dimension>(&self, what: &str, x: &ArrayRef<A, D>, state: &State<A>) {
        self.assert(what, x, &state.first_moment(), &state.inf_norm());
        assert_eq!(state.steps(), u64::try_from(STEPS).unwrap(), "t, {what}");
    }

    fn assert<D: Dimension, E: Dimension>(
        &self,
        what: impl Display,
        x: &ArrayRef<A, D>,
        m: &ArrayRef<A, E>,
        u: &ArrayRef<A, E>,
    ) {
        assert_same(format_args!("x, {what}"), x, &self.x);
        assert_same(format_args!("m, {what}"), m, &self.m);
        assert_same(format_args!("u, {what}"), u, &self.u);
    }
}

/// The inputs of a run in every layout, its rule and the expected result.
struct Setting<A> {
    name: String,
    rule: Adamax,
    x: InEveryLayout<A>,
    gradients: Vec<InEveryLayout<A>>,
    zeros: InEveryLayout<A>,
    expected: Expected<A>,
}

/// The same numbers in every layout.
struct InEveryLayout<A>([ArrayD<A>; LAYOUTS.len()]);

impl<A: Float> InEveryLayout<A> {
    fn new(values: &ArrayD<A>) -> Self {
        InEveryLayout(LAYOUTS.map(|layout| layout.arrange(values)))
    }

    fn dynamic(&self, layout: Layout) -> &ArrayD<A> {
        let place = LAYOUTS.iter().position(|&other| other == layout);
        &self.0[place.expect("one of all layouts")]
    }

    fn of<D: Dimension>(&self, layout: Layout) -> ArrayView<'_, A, D> {
        self.dynamic(layout).view().into_dimensionality().expect("the rank of D")
    }

    /// Returns a copy that keeps the gaps between elements.
    fn copy<D: Dimension>(&self, layout: Layout) -> Array<A, D> {
        self.dynamic(layout).clone().into_dimensionality().expect("the rank of D")
    }
}

impl<A: Float> Setting<A> {
    fn new(case: &Case, shape: &[usize]) -> Result<Self, Error> {
        let table = Table::random(shape.iter().product(), STEPS, SEED);
        let arranged = |values: &Vec<A>| InEveryLayout::new(&shaped(values, shape));
        Ok(Setting {
            name: format!("{shape:?}, {}, seed {SEED}", case.name),
            rule: case.rule,
            x: arranged(&table.x),
            gradients: table.gradients.iter().map(arranged).collect(),
            zeros: InEveryLayout::new(&ArrayD::from_elem(shape, A::of(0.0))),
            expected: Expected::by_scalars(&table, &case.rule)?,
        })
    }

    fn ndim(&self) -> usize {
        self.x.dynamic(C).ndim()
    }
}

// ---------------------------------------------------------------- paths

/// Runs [`adamax_step`] on arrays. `word` gives the layouts of x, g, m and u.
fn pure<A: Float, D: Dimension>(setting: &Setting<A>, word: [Layout; 4]) -> Result<(), Error> {
    let what = format!("pure, {}, {}", spell(&word), setting.name);
    let mut x = setting.x.copy::<D>(word[0]);
    let (mut m, mut u) = (setting.zeros.copy(word[2]), setting.zeros.copy(word[3]));
    for (t, g) in (1..).zip(&setting.gradients) {
        (x, m, u) = adamax_step(x, &g.copy(word[1]), m, u, t, &setting.rule)?;
    }
    setting.expected.assert(&what, &x, &m, &u);
    for array in [x, m, u] {
        assert_nothing_around(&what, array);
    }
    Ok(())
}

/// Runs [`Adamax::step`]. `word` gives the layouts of x, g and the state.
fn in_place<A: Float, D: Dimension>(setting: &Setting<A>, word: [Layout; 3]) -> Result<(), Error> {
    let what = format!("in place, {}, {}", spell(&word), setting.name);
    let mut x = setting.x.copy::<D>(word[0]);
    // u has another layout than m: the state converts both to one layout.
    let (m, u) = (setting.zeros.copy(word[2]), setting.zeros.copy(word[0]));
    let mut state = State::from_parts(0, m, u)?;
    for g in &setting.gradients {
        let outcome = setting.rule.step(&mut state, &mut x, &g.of(word[1]))?;
        assert_eq!(outcome, Outcome::Applied, "{what}");
    }
    setting.expected.assert_state(&what, &x, &state);
    assert_nothing_around(&what, x);
    Ok(())
}

/// Runs [`Optimizer::step`]. `word` gives the layouts of x, g and the registered array.
fn slot<A: Float, D: Dimension>(setting: &Setting<A>, word: [Layout; 3]) -> Result<(), Error> {
    let what = format!("slot, {}, {}", spell(&word), setting.name);
    let mut x = setting.x.copy::<D>(word[0]);
    let mut optimizer = Optimizer::new(setting.rule);
    let slot = optimizer.register("x", &setting.x.of::<D>(word[2]))?;
    for g in &setting.gradients {
        let outcome = optimizer.step(&mut [slot.bind(&mut x, &g.of(word[1]))])?;
        assert_eq!(outcome, Outcome::Applied, "{what}");
    }
    setting.expected.assert_state(&what, &x, optimizer.state(slot).expect("own slot"));
    assert_nothing_around(&what, x);
    Ok(())
}

/// Runs [`in_place`] and [`slot`], each with a dynamic dimension and with a dimension type.
fn every_path<A: Float>(setting: &Setting<A>, word: [Layout; 3]) -> Result<(), Error> {
    in_place::<A, IxDyn>(setting, word)?;
    slot::<A, IxDyn>(setting, word)?;
    match setting.ndim() {
        0 => in_place::<A, Ix0>(setting, word).and_then(|()| slot::<A, Ix0>(setting, word)),
        1 => in_place::<A, Ix1>(setting, word).and_then(|()| slot::<A, Ix1>(setting, word)),
        2 => in_place::<A, Ix2>(setting, word).and_then(|()| slot::<A, Ix2>(setting, word)),
        3 => in_place::<A, Ix3>(setting, word).and_then(|()| slot::<A, Ix3>(setting, word)),
        4 => in_place::<A, Ix4>(setting, word).and_then(|()| slot::<A, Ix4>(setting, word)),
        5 => in_place::<A, Ix5>(setting, word).and_then(|()| slot::<A, Ix5>(setting, word)),
        6 => in_place::<A, Ix6>(setting, word).and_then(|()| slot::<A, Ix6>(setting, word)),
        _ => Ok(()),
    }
}

fn spell(word: &[Layout]) -> String {
    word.iter().map(|layout| layout.letter()).collect()
}

/// Returns all words of three of these letters.
fn words(letters: &[Layout]) -> Vec<[Layout; 3]> {
    let mut words = Vec::new();
    for &x in letters {
        for &g in letters {
            words.extend(letters.iter().map(|&state| [x, g, state]));
        }
    }
    words
}

// ---------------------------------------------------------------- ranks and layouts

/// Every rank, including axes of length 1 and empty arrays.
const SHAPES: [&[usize]; 17] = [
    &[],
    &[1],
    &[7],
    &[0],
    &[3, 5],
    &[1, 6],
    &[6, 1],
    &[3, 0],
    &[2, 3, 4],
    &[3, 1, 4],
    &[2, 0, 3],
    &[2, 3, 2, 4],
    &[1, 3, 1, 2],
    &[2, 3, 1, 2, 3],
    &[2, 1, 3, 2, 2, 2],
    &[2, 2, 2, 1, 2, 3, 2],
    &[1, 2, 0, 2, 1, 2, 1],
];

#[test]
fn every_rank_and_layout_in_f64() -> Result<(), Error> {
    every_rank_and_layout::<f64>(&LAYOUTS)
}

#[test]
fn every_rank_and_layout_in_f32() -> Result<(), Error> {
    every_rank_and_layout::<f32>(&[C, F, Stepped, Mixed])
}

fn every_rank_and_layout<A: Float>(letters: &[Layout]) -> Result<(), Error> {
    let cases = rules::one_of_each_kind();
    for (shape, case) in SHAPES.iter().zip(cases.iter().cycle()) {
        let setting = Setting::<A>::new(case, shape)?;
        for word in words(letters) {
            every_path(&setting, word)?;
        }
    }
    Ok(())
}

/// Tests all 2401 combinations of layouts for four arrays.
#[test]
fn four_arrays_in_four_layouts() -> Result<(), Error> {
    let kinds = rules::one_of_each_kind();
    for shape in [&[3, 5][..], &[2, 3, 4], &[2, 3, 1, 2, 2]] {
        let settings: Vec<Setting<f64>> =
            kinds.iter().map(|case| Setting::new(case, shape)).collect::<Result<_, _>>()?;
        let mut kinds = settings.iter().cycle();
        for [x, g, m] in words(&LAYOUTS) {
            for (u, setting) in LAYOUTS.into_iter().zip(&mut kinds) {
                match shape.len() {
                    2 => pure::<f64, Ix2>(setting, [x, g, m, u])?,
                    3 => pure::<f64, Ix3>(setting, [x, g, m, u])?,
                    _ => pure::<f64, IxDyn>(setting, [x, g, m, u])?,
                }
            }
        }
    }
    Ok(())
}

/// Sizes around that of a tile: mixed layouts are processed in tiles.
#[test]
fn sizes_around_tiles() -> Result<(), Error> {
    let shapes: [&[usize]; 12] = [
        &[15, 17],
        &[16, 16],
        &[17, 15],
        &[33, 40],
        &[1, 300],
        &[300, 1],
        &[3, 257],
        &[257, 3],
        &[513, 2],
        &[5, 18, 20],
        &[18, 3, 19],
        &[3, 4, 17, 5],
    ];
    for (shape, case) in shapes.iter().zip(rules::one_of_each_kind().iter().cycle()) {
        let setting = Setting::<f64>::new(case, shape)?;
        for word in words(&[C, F, Stepped, Reversed]) {
            in_place::<f64, IxDyn>(&setting, word)?;
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- lengths

#[test]
fn every_length_in_f64() -> Result<(), Error> {
    every_length::<f64>()
}

#[test]
fn every_length_in_f32() -> Result<(), Error> {
    every_length::<f32>()
}

/// Tests lengths that are multiples of a SIMD vector and lengths that are not, for every kind of
/// rule.
fn every_length<A: Float>() -> Result<(), Error> {
    for case in rules::one_of_each_kind() {
        for length in (1..=70).chain([127, 128, 129, 255, 256, 257, 511, 512, 513, 1000]) {
            let setting = Setting::<A>::new(&case, &[length])?;
            for layout in [C, Stepped, Reversed] {
                in_place::<A, Ix1>(&setting, [layout, C, C])?;
                slot::<A, Ix1>(&setting, [layout; 3])?;
            }
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- broadcast, reshape, split

/// A broadcast gradient gives the same result as the same gradient stored in full.
#[test]
fn broadcast_gradients() -> Result<(), Error> {
    let case = &rules::one_of_each_kind()[3];
    for shape in [&[4][..], &[3, 5], &[20, 17], &[2, 3, 4], &[2, 3, 2, 2, 3]] {
        // Bit number `axis` of `repeated` is set if the axis is broadcast. At least one is.
        for repeated in 1..1_usize << shape.len() {
            let repeats = |axis: usize| repeated >> axis & 1 == 1;
            let small: Vec<usize> =
                (0..shape.len()).map(|axis| if repeats(axis) { 1 } else { shape[axis] }).collect();
            let mut table = Table::<f64>::random(shape.iter().product(), STEPS, SEED);
            let sources: Vec<ArrayD<f64>> = table
                .gradients
                .iter()
                .map(|values| shaped(&values[..small.iter().product()], &small))
                .collect();
            for (values, source) in table.gradients.iter_mut().zip(&sources) {
                *values = source.broadcast(shape).unwrap().iter().copied().collect();
            }
            let expected = Expected::by_scalars(&table, &case.rule)?;
            for layout in LAYOUTS {
                let mut x = layout.arrange(&shaped(&table.x, shape));
                let mut state = State::zeros_like(&x);
                for source in &sources {
                    case.rule.step(&mut state, &mut x, &source.broadcast(shape).unwrap())?;
                }
                let what = format!("x {}, {shape:?} from {small:?}", layout.letter());
                expected.assert_state(&what, &x, &state);

                let mut x = layout.arrange(&shaped(&table.x, shape));
                let mut optimizer = Optimizer::new(case.rule);
                let slot = optimizer.register("x", &x)?;
                for source in &sources {
                    let g = source.broadcast(shape).unwrap();
                    optimizer.step(&mut [slot.bind(&mut x, &g)])?;
                }
                expected.assert_state(&what, &x, optimizer.state(slot).unwrap());
            }
        }
    }
    Ok(())
}

/// An axis of length 1 may have any stride, including 0, negative and huge strides.
#[test]
fn odd_strides_of_axes_of_length_1() -> Result<(), Error> {
    type View<'a> = ArrayViewMut2<'a, f64>;
    let columns: [fn(View<'_>) -> View<'_>; 6] = [
        |matrix| matrix.slice_move(s![.., 2..3]),
        |matrix| matrix.slice_move(s![.., 2..3;-1]),
        |matrix| matrix.slice_move(s![.., 2..;100]),
        |matrix| matrix.slice_move(s![..;-1, 2..3]),
        |matrix| matrix.slice_move(s![.., 2]).insert_axis(Axis(1)),
        |matrix| {
            let mut column = matrix.slice_move(s![.., 2..3]);
            column.invert_axis(Axis(1));
            column
        },
    ];
    for case in rules::one_of_each_kind() {
        let tall = Setting::<f64>::new(&case, &[5, 1])?;
        let wide = Setting::<f64>::new(&case, &[1, 5])?;
        for (i, column) in columns.into_iter().enumerate() {
            for (j, other) in columns.into_iter().enumerate() {
                for (setting, transposed) in [(&tall, false), (&wide, true)] {
                    let (mut matrix, mut other_matrix) =
                        (Array2::zeros((5, 4)), Array2::zeros((5, 4)));
                    let (mut x, mut g) =
                        (column(matrix.view_mut()), other(other_matrix.view_mut()));
                    if transposed {
                        (x, g) = (x.reversed_axes(), g.reversed_axes());
                    }
                    x.assign(setting.x.dynamic(C));
                    let mut state = State::zeros_like(&x);
                    for values in &setting.gradients {
                        g.assign(values.dynamic(C));
                        setting.rule.step(&mut state, &mut x, &g)?;
                    }
                    let what = format!("views {i} and {j}, {}", setting.name);
                    setting.expected.assert_state(&what, &x, &state);
                    assert!(
                        matrix.columns().into_iter().enumerate().all(|(i, column)| {
                            i == 2 || column.iter().all(|&value| value == 0.0)
                        })
                    );
                }
            }
        }
    }
    Ok(())
}

/// A step gives the same numbers for every shape of the same data.
#[test]
fn reshaping_changes_nothing() -> Result<(), Error> {
    let shapes: [&[usize]; 7] = [
        &[60],
        &[6, 10],
        &[60, 1],
        &[3, 4, 5],
        &[2, 3, 2, 5],
        &[1, 5, 3, 2, 2],
        &[5, 1, 1, 3, 2, 1, 2],
    ];
    for case in rules::one_of_each_kind() {
        let flat = Setting::<f64>::new(&case, &[60])?;
        for shape in shapes {
            let mut setting = Setting::<f64>::new(&case, shape)?;
            setting.expected = flat.expected.clone();
            for layout in LAYOUTS {
                in_place::<f64, IxDyn>(&setting, [layout; 3])?;
            }
        }
    }
    Ok(())
}

/// Stepping two parts of a tensor, each with its own state, equals stepping the whole tensor.
#[test]
fn splitting_changes_nothing() -> Result<(), Error> {
    for case in rules::one_of_each_kind() {
        let setting = Setting::<f64>::new(&case, &[6, 9, 4])?;
        for axis in (0..3).map(Axis) {
            for at in 0..=setting.x.dynamic(C).len_of(axis) {
                let mut x = setting.x.copy::<Ix3>(C);
                let (mut a, mut b) = x.view_mut().split_at(axis, at);
                let (mut state_a, mut state_b) = (State::zeros_like(&a), State::zeros_like(&b));
                for g in &setting.gradients {
                    let (g_a, g_b) = g.of(F).split_at(axis, at);
                    case.rule.step(&mut state_a, &mut a, &g_a)?;
                    case.rule.step(&mut state_b, &mut b, &g_b)?;
                }
                let joined = |a: &ArrayD<f64>, b: &ArrayD<f64>| {
                    ndarray::concatenate(axis, &[a.view(), b.view()]).unwrap()
                };
                let m =
                    joined(&state_a.first_moment().to_owned(), &state_b.first_moment().to_owned());
                let u = joined(&state_a.inf_norm().to_owned(), &state_b.inf_norm().to_owned());
                let what = format!("split at {at} along {axis:?}, {}", setting.name);
                setting.expected.assert(what, &x, &m, &u);
            }
        }
    }
    Ok(())
}

/// The second step works on a state whose memory order has changed.
#[test]
fn a_state_may_change_its_memory_order_between_steps() -> Result<(), Error> {
    let case = &rules::one_of_each_kind()[3];
    for shape in SHAPES {
        let setting = Setting::<f64>::new(case, shape)?;
        for (from, to) in LAYOUTS.into_iter().zip(LAYOUTS.into_iter().rev()) {
            let mut x = setting.x.copy::<IxDyn>(from);
            let mut state = State::zeros_like(&x);
            for g in &setting.gradients {
                setting.rule.step(&mut state, &mut x, g.dynamic(from))?;
                let before = state.clone();
                state = state.with_layout_of(setting.x.dynamic(to))?;
                assert_eq!(state, before);
            }
            let what = format!("{}, {}", spell(&[from, to]), setting.name);
            setting.expected.assert_state(&what, &x, &state);
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- batches

/// Stepping tensors in one batch, in any order, equals stepping each tensor alone.
#[test]
fn a_batch_equals_its_tensors_alone() -> Result<(), Error> {
    for case in rules::one_of_each_kind() {
        let a = Setting::<f64>::new(&case, &[33])?;
        let b = Setting::<f64>::new(&case, &[4, 5])?;
        let c = Setting::<f64>::new(&case, &[2, 3, 2])?;
        let d = Setting::<f64>::new(&case, &[])?;
        let e = Setting::<f64>::new(&case, &[0, 2])?;
        let mut optimizer = Optimizer::new(case.rule);
        let mut xa = a.x.copy::<Ix1>(C);
        let mut xb = b.x.copy::<Ix2>(F);
        let mut xc = c.x.copy::<Ix3>(Permuted);
        let mut xd = d.x.copy::<Ix0>(C);
        let mut xe = e.x.copy::<IxDyn>(C);
        let slot_a = optimizer.register("a", &xa)?;
        let slot_b = optimizer.register("b", &xb)?;
        let slot_c = optimizer.register("c", &xc)?;
        let slot_d = optimizer.register("d", &xd)?;
        let slot_e = optimizer.register("e", &xe)?;
        for step in 0..STEPS {
            let ga = a.gradients[step].of(Stepped);
            let gb = b.gradients[step].of(C);
            let gc = c.gradients[step].of(Reversed);
            let gd = d.gradients[step].of(C);
            let mut batch = [
                slot_a.bind(&mut xa, &ga),
                slot_b.bind(&mut xb, &gb),
                slot_c.bind(&mut xc, &gc),
                slot_d.bind(&mut xd, &gd),
                slot_e.bind(&mut xe, e.gradients[step].dynamic(C)),
            ];
            batch.rotate_left(2 * step + 1);
            assert_eq!(optimizer.step(&mut batch)?, Outcome::Applied);
        }
        a.expected.assert_state(&a.name, &xa, optimizer.state(slot_a).unwrap());
        b.expected.assert_state(&b.name, &xb, optimizer.state(slot_b).unwrap());
        c.expected.assert_state(&c.name, &xc, optimizer.state(slot_c).unwrap());
        d.expected.assert_state(&d.name, &xd, optimizer.state(slot_d).unwrap());
        e.expected.assert_state(&e.name, &xe, optimizer.state(slot_e).unwrap());
    }
    Ok(())
}

// ---------------------------------------------------------------- threads

/// The tensors are large enough to be split among threads, also into parts of different sizes. The
/// layouts of the arrays agree in some cases and differ in others.
#[cfg(feature = "rayon")]
#[test]
fn threads_change_nothing() -> Result<(), Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("four threads");
    for (case, shape) in rules::one_of_each_kind().iter().zip([
        &[140_000][..],
        &[32_767],
        &[401, 403],
        &[7, 5003],
        &[5003, 7],
        &[2, 131, 133],
        &[33, 4, 17, 16],
        &[2, 2, 65, 2, 2, 2, 17],
    ]) {
        let setting = Setting::<f32>::new(case, shape)?;
        for word in
            [[C, C, C], [F, F, F], [C, F, C], [F, C, F], [Stepped, C, Mixed], [Reversed, C, F]]
        {
            let what = format!("{}, {}", spell(&word), setting.name);
            let mut x = setting.x.copy::<IxDyn>(word[0]);
            let mut state = State::zeros_like(setting.x.dynamic(word[2]));
            let mut slot_x = x.clone();
            let mut optimizer = Optimizer::new(case.rule);
            let slot = optimizer.register("x", &slot_x)?;
            for g in &setting.gradients {
                let g = g.dynamic(word[1]);
                pool.install(|| case.rule.par_step(&mut state, &mut x, g))?;
                pool.install(|| optimizer.par_step(&mut [slot.bind(&mut slot_x, g)]))?;
            }
            setting.expected.assert_state(&format!("par, {what}"), &x, &state);
            let slot_state = optimizer.state(slot).unwrap();
            setting.expected.assert_state(&format!("par slot, {what}"), &slot_x, slot_state);
        }
    }
    Ok(())
}

/// Axes are merged only if they follow each other without a gap in all arrays.
#[test]
fn values_with_gaps_of_several_sizes() -> Result<(), Error> {
    // Rows of two elements, cut out of wider ones.
    let cut = |value: f64, columns: usize, step: isize| {
        let mut array = Array2::from_elem((3, columns), f64::NAN);
        array.slice_axis_inplace(Axis(1), Slice::new(0, Some(2 * step), step));
        for ((i, j), to) in array.indexed_iter_mut() {
            *to = value * (1.0 + 0.25 * f64::from(u8::try_from(2 * i + j).unwrap()));
        }
        array
    };
    let rule = Adamax::default();
    for [of_x, of_g, of_m, of_u] in
        [[(4, 2), (3, 1), (3, 1), (3, 1)], [(3, 1), (4, 2), (4, 2), (3, 1)], [(4, 2); 4]]
    {
        let arrays = [(0.5, of_x), (0.1, of_g), (-0.02, of_m), (0.2, of_u)];
        let [x, g, m, u] = arrays.map(|(value, (columns, step))| cut(value, columns, step));
        let mut expected = [x.clone(), m.clone(), u.clone()]
            .map(|array| array.iter().copied().collect::<Vec<_>>());
        for (i, g) in g.iter().enumerate() {
            let [x, m, u] = &mut expected;
            (x[i], m[i], u[i]) = adamax_step(x[i], g, m[i], u[i], 2, &rule)?;
        }
        let found = adamax_step(x, &g, m, u, 2, &rule)?;
        for (found, expected) in [found.0, found.1, found.2].iter().zip(&expected) {
            assert_same(format!("{of_x:?} {of_m:?}"), found, expected);
        }
    }
    Ok(())
}
