//! Results whose bits are pinned, because a changed bit changes results that users have published.
//!
//! The numbers below were computed by this crate when it passed all other tests. A failing check
//! prints the new numbers. `tests/targets` runs the same checks on other processors, also without `std`.

use super::{
    Bits, Float, Layout,
    layout::{LAYOUTS, assert_nothing_around},
    rules,
};
use adamax::{
    Adamax, Average, EpsilonPlacement, Error, MaxNorm, Objective, Optimizer, State, WeightDecay,
    schedule::{Amplitude, Schedule},
};
use ndarray::{Array1, Array2, ArrayD, array};
use std::{format, string::String, vec, vec::Vec};

/// Asserts that no pinned bit has changed. Returns the number of results.
pub(crate) fn check() -> Result<usize, Error> {
    let mut changed = changed_presets::<f64>(&F64)?;
    changed.extend(changed_presets::<f32>(&F32)?);
    for (name, fold, pinned) in FOLDS {
        let found = fold()?.0;
        if found != pinned {
            changed.push(format!("{name}: was {pinned:#x}, and is {found:#x}"));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
    Ok(F64.len() + F32.len() + FOLDS.len())
}

// ---------------------------------------------------------------- presets, number by number

const STEPS: i32 = 100;

/// Gradients of three magnitudes and both signs, exact in both precisions. They do not come from a
/// library whose random numbers could change.
fn gradient<A: Float>(t: i32) -> Array1<A> {
    let entry = |i: i32, size: f64| A::of(f64::from((37 * t + 11 * i) % 64 - 31) * size);
    array![
        entry(0, 0.125),
        entry(1, 1.0 / 4096.0),
        if t % 10 == 0 { entry(2, 4.0) } else { A::of(0.0) }
    ]
}

/// The bits of x, m and u after [`STEPS`] steps from (1, −1, 1/2).
fn run<A: Float>(rule: &Adamax) -> Result<[Vec<A::Word>; 3], Error> {
    let mut x = array![A::of(1.0), A::of(-1.0), A::of(0.5)];
    let mut state = State::zeros_like(&x);
    for t in 1..=STEPS {
        rule.step(&mut state, &mut x, &gradient(t))?;
    }
    Ok([x.bits(), state.first_moment().bits(), state.inf_norm().bits()])
}

fn changed_presets<A: Float>(pinned: &[[[A::Word; 3]; 3]; 6]) -> Result<Vec<String>, Error> {
    let mut changed = Vec::new();
    for ((name, rule), pinned) in presets()?.iter().zip(pinned) {
        let found = run::<A>(rule)?;
        if !found.iter().eq(pinned) {
            changed.push(format!("{name}: was {pinned:x?}\n  and is {found:#x?}"));
        }
    }
    Ok(changed)
}

fn presets() -> Result<[(&'static str, Adamax); 6], Error> {
    Ok([
        ("default", Adamax::default()),
        ("paper", Adamax::paper()),
        ("pytorch", Adamax::pytorch()),
        ("paddle", Adamax::paddle()),
        (
            "decoupled decay",
            Adamax::builder()
                .learning_rate(0.01)
                .weight_decay(WeightDecay::Decoupled(0.1))
                .build()?,
        ),
        (
            "everything",
            Adamax::builder()
                .learning_rate(0.05)
                .beta1(0.8)
                .beta2(0.99)
                .epsilon(0.01)
                .epsilon_placement(EpsilonPlacement::InsideMax)
                .weight_decay(WeightDecay::L2(0.05))
                .clip_value(1.5)
                .objective(Objective::Maximize)
                .build()?,
        ),
    ])
}

/// x, m and u of each rule.
const F64: [[[u64; 3]; 3]; 6] = [
    // default
    [
        [0x3fef_d4a2_f373_ce7b, 0xbff0_1bea_1400_6607, 0x3fe0_0898_e6c0_348a],
        [0x3fc2_a895_3fd8_a638, 0x3f4d_1cc0_2b44_576a, 0xc021_c186_dd7e_7b00],
        [0x400f_75d8_3524_6a70, 0x3f80_0000_0000_0000, 0x405b_dcc2_0f34_5bdf],
    ],
    // paper
    [
        [0x3fef_d4a2_f36f_2407, 0xbff0_1bea_172e_fa9a, 0x3fe0_0898_e6c0_38c0],
        [0x3fc2_a895_3fd8_a638, 0x3f4d_1cc0_2b44_576a, 0xc021_c186_dd7e_7b00],
        [0x400f_75d8_3524_6a70, 0x3f80_0000_0000_0000, 0x405b_dcc2_0f34_5bdf],
    ],
    // pytorch
    [
        [0x3fef_d4a2_f373_c9bd, 0xbff0_1bea_1404_aa0f, 0x3fe0_0898_e6c0_348c],
        [0x3fc2_a895_3fd8_a638, 0x3f4d_1cc0_2b44_576a, 0xc021_c186_dd7e_7b00],
        [0x400f_75d8_3676_37ed, 0x3f80_0001_5798_ee23, 0x405b_dcc2_0f3e_acd2],
    ],
    // paddle
    [
        [0x3fef_ea51_79c0_cd68, 0xbff0_0df5_0342_99ff, 0x3fe0_044c_7360_138b],
        [0x3fc2_a895_3fd8_a638, 0x3f4d_1cc0_2b44_576a, 0xc021_c186_dd7e_7b00],
        [0x400f_75d8_4bc7_1329, 0x3f80_0000_0000_0000, 0x405b_dcc2_10d9_95d3],
    ],
    // decoupled decay
    [
        [0x3fec_28d7_6003_fdda, 0xbfed_f4f1_d1ff_28d7, 0x3fdd_4551_7862_a107],
        [0x3fc2_a895_3fd8_a638, 0x3f4d_1cc0_2b44_576a, 0xc021_c186_dd7e_7b00],
        [0x400f_75d8_3524_6a70, 0x3f80_0000_0000_0000, 0x405b_dcc2_0f34_5bdf],
    ],
    // everything
    [
        [0x3fef_6f61_f74d_a078, 0x3f70_51eb_378f_5593, 0x3fc1_7c56_1dbe_20aa],
        [0xbfba_5bc0_25d6_d356, 0xbf5e_b7ff_7440_3e7a, 0x3fd5_85be_b501_256d],
        [0x3ff8_b320_ef8b_a743, 0x3f98_499c_36f6_d082, 0x3ff8_4734_df00_f723],
    ],
];

/// x, m and u of each rule.
const F32: [[[u32; 3]; 3]; 6] = [
    // default
    [
        [0x3f7e_a518, 0xbf80_df55, 0x3f00_44c6],
        [0x3e15_44a8, 0x3a68_e602, 0xc10e_0c38],
        [0x407b_aec5, 0x3c00_0000, 0x42de_e616],
    ],
    // paper
    [
        [0x3f7e_a518, 0xbf80_df55, 0x3f00_44c6],
        [0x3e15_44a8, 0x3a68_e602, 0xc10e_0c38],
        [0x407b_aec5, 0x3c00_0000, 0x42de_e616],
    ],
    // pytorch
    [
        [0x3f7e_a518, 0xbf80_df55, 0x3f00_44c6],
        [0x3e15_44a8, 0x3a68_e602, 0xc10e_0c38],
        [0x407b_aec5, 0x3c00_000b, 0x42de_e616],
    ],
    // paddle
    [
        [0x3f7f_528d, 0xbf80_6fa4, 0x3f00_2268],
        [0x3e15_44a8, 0x3a68_e602, 0xc10e_0c38],
        [0x407b_aec5, 0x3c00_0000, 0x42de_e616],
    ],
    // decoupled decay
    [
        [0x3f61_46cd, 0xbf6f_a79d, 0x3eea_2aa5],
        [0x3e15_44a8, 0x3a68_e602, 0xc10e_0c38],
        [0x407b_aec5, 0x3c00_0000, 0x42de_e616],
    ],
    // everything
    [
        [0x3f7b_7b10, 0x3b82_8f50, 0x3e0b_e2b0],
        [0xbdd2_de02, 0xbaf5_bffc, 0x3eac_2df6],
        [0x3fc5_9907, 0x3cc2_4cec, 0x3fc2_39a7],
    ],
];

// ---------------------------------------------------------------- many numbers, folded into one

type Folded = (&'static str, fn() -> Result<Fold, Error>, u64);

const FOLDS: [Folded; 9] = [
    ("kinds of rules in f64", kinds::<f64>, 0xe5a1_d756_dfca_46c3),
    ("kinds of rules in f32", kinds::<f32>, 0x12af_b1e0_ebff_cee2),
    ("a clipped batch in f64", batch::<f64>, 0x7d01_69f5_5af7_f339),
    ("a clipped batch in f32", batch::<f32>, 0xf4b6_929c_40af_f191),
    ("rows in f64", rows::<f64>, 0xed07_156b_8340_ec25),
    ("rows in f32", rows::<f32>, 0xcade_b38a_aa1e_c405),
    ("averages in f64", averages::<f64>, 0x6309_8060_6796_d9d4),
    ("averages in f32", averages::<f32>, 0x7eee_bc88_4faf_d19f),
    ("schedules", schedules, 0x4808_03a3_5149_37df),
];

/// The bits of many numbers, folded into one number by the hash FNV-1a.
struct Fold(u64);

impl Fold {
    fn new() -> Self {
        Fold(0xcbf2_9ce4_8422_2325)
    }

    fn add<A: Float>(&mut self, value: A) {
        for byte in value.wide().to_bits().to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn add_all<'a, A: Float>(&mut self, values: impl IntoIterator<Item = &'a A>) {
        values.into_iter().for_each(|&value| self.add(value));
    }
}

/// Returns numbers of five magnitudes and both signs, some of them 0, exact in both precisions.
fn numbers<A: Float>(shape: &[usize], t: i32) -> ArrayD<A> {
    const SIZES: [f64; 5] = [1.0 / 4096.0, 4.0, 1.0 / 64.0, 1.0, 0.125];
    let mut places = (1..).zip(SIZES.into_iter().cycle());
    ArrayD::from_shape_simple_fn(shape, || {
        let (i, size) = places.next().expect("no end");
        A::of(f64::from((37 * t + 11 * i) % 64 - 31) * size)
    })
}

/// Every kind of update, in several ranks and lengths. Each has the same bits in every layout.
fn kinds<A: Float>() -> Result<Fold, Error> {
    let shapes: [&[usize]; 6] = [&[70], &[3, 5], &[2, 3, 4], &[17, 16], &[2, 3, 2, 2, 3], &[]];
    let mut fold = Fold::new();
    for (case, shape) in rules::one_of_each_kind().iter().zip(shapes.iter().cycle()) {
        let run = |layout: Layout| -> Result<[ArrayD<A>; 3], Error> {
            let mut x = layout.arrange(&numbers(shape, 0));
            let mut state = State::zeros_like(&x);
            for t in 1..=5 {
                case.rule.step(&mut state, &mut x, &layout.arrange(&numbers(shape, t)))?;
            }
            let copy = x.as_standard_layout().into_owned();
            assert_nothing_around(&case.name, x);
            Ok([copy, state.first_moment().to_owned(), state.inf_norm().to_owned()])
        };
        let expected = run(Layout::C)?;
        for layout in LAYOUTS {
            for (found, expected) in run(layout)?.iter().zip(&expected) {
                assert_eq!(found.bits(), expected.bits(), "{}, {layout:?}", case.name);
            }
        }
        for array in &expected {
            fold.add_all(array);
        }
    }
    Ok(fold)
}

/// Tensors of several layouts in one batch, with a bound of the norm that clips some of the steps.
fn batch<A: Float>() -> Result<Fold, Error> {
    let shapes: [&[usize]; 7] =
        [&[5], &[3, 5], &[40], &[4, 3, 2], &[], &[33, 9], &[2, 1, 2, 1, 3, 2]];
    let mut fold = Fold::new();
    for max_norm in [MaxNorm::Global(690.0), MaxNorm::PerTensor(150.0)] {
        let mut optimizer = Optimizer::new(Adamax::default());
        optimizer.set_max_norm(Some(max_norm))?;
        let mut tensors = Vec::new();
        for (shape, layout) in shapes.iter().zip(LAYOUTS) {
            let x = layout.arrange(&numbers::<A>(shape, 0));
            let slot = optimizer.register(&format!("{shape:?}"), &x)?;
            tensors.push((slot, x, *shape));
        }
        for t in 1..=20 {
            let gradients: Vec<_> = tensors.iter().map(|(_, _, shape)| numbers(shape, t)).collect();
            let tensors = tensors.iter_mut().zip(&gradients);
            let mut bound: Vec<_> =
                tensors.map(|((slot, x, _), gradient)| slot.bind(x, gradient)).collect();
            let report = optimizer.step_with_report(&mut bound)?;
            fold.add_all(&[report.gradient_norm(), report.clip_factor(), report.max_step()]);
        }
        for (_, x, _) in &tensors {
            fold.add_all(x);
        }
    }
    Ok(fold)
}

/// Rows of two tables, wide and narrow, each row with its own counter.
fn rows<A: Float>() -> Result<Fold, Error> {
    let mut fold = Fold::new();
    for width in [3, 40] {
        let mut table: Array2<A> = Layout::C.arrange_as(&numbers(&[9, width], 0));
        let mut optimizer = Optimizer::new(Adamax::default());
        let slot = optimizer.register_rows("table", &table)?;
        for (t, indices) in (1..).zip([&[0, 4, 8][..], &[4], &[], &[1, 2, 4, 7], &[8]]) {
            let gradient: Array2<A> = Layout::F.arrange_as(&numbers(&[indices.len(), width], t));
            optimizer.step(&mut [slot.bind(&mut table, indices, &gradient)])?;
        }
        fold.add_all(&table);
    }
    Ok(fold)
}

/// Averages whose weights are 1 − βᵗ, at few and at many updates.
fn averages<A: Float>() -> Result<Fold, Error> {
    let mut fold = Fold::new();
    for decay in [0.0, 0.5, 0.9, 0.999, 1.0 - 1e-9] {
        for updates in [0, 1, 7, 1000, 1 << 40] {
            let mean = numbers::<A>(&[3, 5], 0);
            let mut average = Average::from_parts(decay, updates, mean)?;
            average.update(&numbers::<A>(&[3, 5], 1))?;
            fold.add_all(average.mean());
        }
    }
    Ok(fold)
}

/// Schedules with the functions of `libm` (cosines, powers, roots), and without.
fn schedules() -> Result<Fold, Error> {
    let points = [(10, 1.0), (40, 0.5), (90, 0.125)];
    let schedules = vec![
        Schedule::constant(0.3)?,
        Schedule::step(7, 0.3)?,
        Schedule::multi_step([5, 20], 0.1)?,
        Schedule::exponential(7, 0.9)?,
        Schedule::inverse_time(7, 0.3)?,
        Schedule::noam(12)?,
        Schedule::linear(60, 0.1, 1.0)?,
        Schedule::polynomial(60, 1.7, 0.1)?,
        Schedule::cosine(60, 0.01)?,
        Schedule::one_cycle(60, 0.3, 0.04, 1e-4)?,
        Schedule::piecewise_constant(points)?,
        Schedule::piecewise_linear(points)?,
        Schedule::cosine_warm_restarts(9, 2, 0.01)?,
        Schedule::cyclic(8, 5, 0.1, Amplitude::Decaying(0.99))?,
        Schedule::cosine(60, 0.01)?.warm_up(10, 0.1)?,
    ];
    let mut fold = Fold::new();
    for schedule in &schedules {
        (0..100).for_each(|t| fold.add(schedule.scale(t)));
    }
    Ok(fold)
}
