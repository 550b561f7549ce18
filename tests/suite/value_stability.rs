//! Pins the bits of results, because a changed bit changes results that users have published.
//!
//! The numbers below were computed by this crate when it passed all other tests. A failing test
//! prints the new numbers.

use crate::common::{Bits, Float};
use adamax::{Adamax, EpsilonPlacement, Error, Objective, State, WeightDecay};
use ndarray::{Array1, array};

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

fn assert_pinned<A: Float>(pinned: &[[[A::Word; 3]; 3]; 6]) -> Result<(), Error> {
    let mut changed = Vec::new();
    for ((name, rule), pinned) in rules()?.iter().zip(pinned) {
        let found = run::<A>(rule)?;
        if !found.iter().eq(pinned) {
            changed.push(format!("{name}: was {pinned:x?}\n  and is {found:#x?}"));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
    Ok(())
}

fn rules() -> Result<[(&'static str, Adamax); 6], Error> {
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

#[test]
fn in_f64() -> Result<(), Error> {
    assert_pinned::<f64>(&F64)
}

#[test]
fn in_f32() -> Result<(), Error> {
    assert_pinned::<f32>(&F32)
}
