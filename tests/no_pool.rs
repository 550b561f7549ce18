//! `par_step` where rayon's global pool cannot be made: the calling thread does the work.
//!
//! A file of its own, because the pool is lost for the whole process.

#![cfg(feature = "rayon")]

use std::io;

use adamax::{Adamax, Error, MaxNorm, Optimizer, Outcome, State};
use ndarray::Array1;

const LENGTH: usize = 1_000_000;

/// Registers the parameter and takes a step.
type Step<'a> = &'a dyn Fn(&mut Optimizer, &mut Array1<f64>) -> Result<(), Error>;

#[test]
fn steps_are_taken_by_the_calling_thread() -> Result<(), Error> {
    let no_threads = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .spawn_handler(|_| Err(io::Error::other("no threads are allowed")))
        .build_global();
    assert!(no_threads.is_err());

    let start = Array1::<f64>::from_elem(LENGTH, 1.0);
    let g = Array1::from_elem(LENGTH, 0.5);
    let (mut x, mut state) = (start.clone(), State::zeros_like(&start));
    let (mut twin, mut twin_state) = (x.clone(), state.clone());
    let rule = Adamax::default();
    for _ in 0..2 {
        rule.par_step(&mut state, &mut x, &g)?;
        rule.step(&mut twin_state, &mut twin, &g)?;
    }
    assert_eq!((&x, &state), (&twin, &twin_state));

    let stepped = |step: Step<'_>| {
        let mut x = start.clone();
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
        step(&mut optimizer, &mut x)?;
        Ok::<_, Error>(x)
    };
    let expected = stepped(&|optimizer, x| {
        let slot = optimizer.register("x", x)?;
        optimizer.step(&mut [slot.bind(x, &g)]).map(drop)
    })?;
    let parallel = stepped(&|optimizer, x| {
        let slot = optimizer.register("x", x)?;
        optimizer.par_step(&mut [slot.bind(x, &g)]).map(drop)
    })?;
    assert_eq!(parallel, expected);

    // Checked within a pool of its own, and applied outside.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
    let applied = stepped(&|optimizer, x| {
        let slot = optimizer.register("x", x)?;
        let mut batch = [slot.bind(x, &g)];
        let outcome = pool.install(|| optimizer.par_check(&mut batch))?.apply();
        assert_eq!(outcome, Outcome::Applied);
        Ok(())
    })?;
    assert_eq!(applied, expected);
    Ok(())
}
