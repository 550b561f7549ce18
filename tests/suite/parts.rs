//! Parts of tensors: several processes hold a run of each tensor, and together they have the bits of one
//! process. What they send each other is tested in `processes`.

use crate::common::{
    Float, Layout, assert_same,
    input::{gradients, parameters, rng, shaped},
};
use adamax::{
    Adamax, ErrorKind, Findings, MaxNorm, NonFinite, Optimizer, Outcome, Part, Report, Slot,
};
use ndarray::{Array1, ArrayD, Ix1, array};

type Result<T = (), E = adamax::Error> = std::result::Result<T, E>;

const SEED: u64 = 8;
const COUNTS: [usize; 6] = [1, 2, 3, 4, 5, 7];
/// The most elements of which the squares are added in one fixed order.
const BLOCK: usize = 512;

/// Shapes with every way of cutting into blocks, and shapes that are hardly cut.
const SHAPES: [&[usize]; 24] = [
    &[],
    &[0],
    &[1],
    &[3, 0, 5],
    &[511],
    &[512],
    &[5121],
    &[40, 50],
    &[511, 3],
    &[4000, 3],
    &[3, 511],
    &[64, 129],
    &[9, 64],
    &[30, 100],
    &[17, 257],
    &[13, 512],
    &[11, 513],
    &[9, 1100],
    &[3, 2000],
    &[3, 4, 5, 6],
    &[50, 2, 70],
    &[5, 7, 700],
    &[2, 3, 4, 5, 60],
    &[1, 3000, 1],
];

/// Layouts of a vector. Memory orders of more axes do not matter to a part.
const LAYOUTS: [Layout; 3] = [Layout::C, Layout::Stepped, Layout::Reversed];

fn parts(shape: &[usize], count: usize) -> Vec<Part> {
    (0..count).map(|index| Part::new(shape, index, count).expect("a part")).collect()
}

/// Returns the elements of a part as a vector of this layout.
fn run<A: Float>(whole: &ArrayD<A>, part: &Part, layout: Layout) -> Array1<A> {
    let elements: Vec<A> = whole.iter().copied().collect();
    layout.arrange_as(&shaped(&elements[part.range()], &[part.len()]))
}

/// One process, and its parts of some tensors.
struct Process<A> {
    optimizer: Optimizer<A>,
    parts: Vec<Own<A>>,
}

/// A part with its parameter and gradient.
type Own<A> = (Part, Slot<Ix1>, Array1<A>, Array1<A>);

impl<A: Float> Process<A> {
    fn new(
        rule: Adamax,
        max_norm: Option<MaxNorm>,
        tensors: &[(&ArrayD<A>, &ArrayD<A>)],
        (index, count): (usize, usize),
    ) -> Result<Self> {
        let mut optimizer = Optimizer::new(rule);
        optimizer.set_max_norm(max_norm)?;
        let group = optimizer.default_group();
        let mut parts = Vec::new();
        for (number, &(x, g)) in tensors.iter().enumerate() {
            let part = Part::new(x.shape(), index, count)?;
            let layout = LAYOUTS[(number + index) % LAYOUTS.len()];
            let [x, g] = [x, g].map(|array| run(array, &part, layout));
            let slot = optimizer.register_part(group, &format!("tensor {number}"), &part, &x)?;
            parts.push((part, slot, x, g));
        }
        Ok(Process { optimizer, parts })
    }

    fn findings(&mut self) -> Findings {
        let Process { optimizer, parts } = self;
        let mut batch: Vec<_> = parts.iter_mut().map(|(_, slot, x, g)| slot.bind(x, g)).collect();
        Findings::of(&optimizer.check_for_report(&mut batch))
    }

    fn apply(&mut self, agreed: &Findings) -> Result<Report> {
        let Process { optimizer, parts } = self;
        let mut batch: Vec<_> = parts.iter_mut().map(|(_, slot, x, g)| slot.bind(x, g)).collect();
        optimizer.check_for_report(&mut batch)?.apply_agreed_with_report(agreed)
    }
}

fn joined<A: Float>(processes: &mut [Process<A>]) -> Result<Findings> {
    let mut all = processes.iter_mut().map(Process::findings);
    let first = all.next().expect("a process");
    all.try_fold(first, |joined, next| joined.join(&next))
}

/// Returns a process that has everything.
fn alone<A: Float>(
    rule: Adamax,
    max_norm: Option<MaxNorm>,
    tensors: &[(&ArrayD<A>, &ArrayD<A>)],
) -> Result<Alone<A>> {
    let mut optimizer = Optimizer::new(rule);
    optimizer.set_max_norm(max_norm)?;
    let mut bound = Vec::new();
    for (number, &(x, g)) in tensors.iter().enumerate() {
        let slot = optimizer.register(&format!("tensor {number}"), x)?;
        bound.push((slot, x.clone(), g.clone()));
    }
    Ok((optimizer, bound))
}

type Alone<A> = (Optimizer<A>, Vec<(Slot<ndarray::IxDyn>, ArrayD<A>, ArrayD<A>)>);

#[test]
fn parts_cover_a_tensor_evenly() -> Result {
    for shape in SHAPES {
        let length: usize = shape.iter().product();
        for count in COUNTS {
            let parts = parts(shape, count);
            let mut end = 0;
            for part in &parts {
                assert_eq!((part.range().start, part.shape()), (end, shape), "{shape:?}");
                assert_eq!(part.len(), part.range().len());
                assert_eq!(part.is_empty(), part.range().is_empty());
                assert!(
                    part.len() * count < length + BLOCK * count,
                    "{shape:?}, {count}: {part:?}"
                );
                end = part.range().end;
            }
            assert_eq!(end, length, "{shape:?}");
        }
    }
    // Beyond 32 bits, without such an array.
    #[cfg(target_pointer_width = "64")]
    {
        let part = Part::new(&[1 << 40, 1 << 20], 6, 7)?;
        assert_eq!(part.range().end, 1 << 60);
        assert!(part.len() < (1_usize << 60) / 7 + BLOCK);
    }
    Ok(())
}

/// The last axes are merged until they hold 64 elements; the first one never is. 512 elements of whole rows are a
/// block.
#[test]
fn blocks_are_whole_rows() -> Result {
    let half = |shape: &[usize]| Ok::<_, adamax::Error>(Part::new(shape, 0, 2)?.range());
    assert_eq!(half(&[2, 3, 64])?, 0..192); // a block of three rows, and then a new one
    assert_eq!(half(&[2, 3, 63])?, 0..0); // one block of two rows of 189
    assert_eq!(half(&[511, 3])?, 0..510); // 170 rows of 3
    Ok(())
}

#[test]
fn the_squares_of_all_parts_are_those_of_the_whole() -> Result {
    fn check<A: Float>() -> Result {
        let rng = &mut rng(SEED);
        for shape in SHAPES {
            let (x, g) = (ArrayD::<A>::zeros(shape), gradients::<A, _>(shape, rng));
            let bound = Some(MaxNorm::Global(0.5));
            let (mut optimizer, mut tensors) = alone(Adamax::default(), bound, &[(&x, &g)])?;
            let (slot, x0, g0) = &mut tensors[0];
            let expected = Findings::of(&optimizer.check(&mut [slot.bind(x0, g0)]));
            for count in COUNTS {
                for first_layout in 0..LAYOUTS.len() {
                    let mut all = (0..count)
                        .map(|index| {
                            let mut process =
                                Process::new(Adamax::default(), bound, &[], (index, count))?;
                            let part = Part::new(shape, index, count)?;
                            let layout = LAYOUTS[(first_layout + index) % LAYOUTS.len()];
                            let [x, g] = [&x, &g].map(|array| run(array, &part, layout));
                            let group = process.optimizer.default_group();
                            let slot = process.optimizer.register_part(group, "x", &part, &x)?;
                            process.parts.push((part, slot, x, g));
                            Ok(process)
                        })
                        .collect::<Result<Vec<_>>>()?;
                    assert_eq!(joined(&mut all)?, expected, "{shape:?} in {count} parts");
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
fn threads_add_the_same_squares_of_a_part() -> Result {
    for shape in [&[600, 700][..], &[900, 1100], &[300_001, 3], &[3000, 2, 140]] {
        let g = gradients::<f64, _>(shape, &mut rng(SEED));
        let bound = Some(MaxNorm::Global(0.5));
        for count in [1, 2, 3] {
            for index in 0..count {
                let mut process =
                    Process::new(Adamax::default(), bound, &[(&g, &g)], (index, count))?;
                let expected = process.findings();
                let (_, slot, x, g) = &mut process.parts[0];
                let found = Findings::of(&process.optimizer.par_check(&mut [slot.bind(x, g)]));
                assert_eq!(found, expected, "{shape:?}, part {index} of {count}");
            }
        }
    }
    Ok(())
}

#[test]
fn steps_of_parts_have_the_bits_and_figures_of_the_whole() -> Result {
    fn check<A: Float>() -> Result {
        let rng = &mut rng(SEED);
        let shapes = [&[30, 100][..], &[3, 2000], &[], &[0], &[11, 513]];
        let x = shapes.map(|shape| parameters::<A, _>(shape, rng));
        let g = shapes.map(|shape| gradients::<A, _>(shape, rng));
        let tensors: Vec<_> = x.iter().zip(&g).collect();
        let bounds = [
            None,
            Some(MaxNorm::Global(0.5)),
            Some(MaxNorm::PerTensor(0.25)),
            Some(MaxNorm::Global(1e9)),
        ];
        for (bound, count) in bounds.into_iter().flat_map(|b| COUNTS.map(|count| (b, count))) {
            let (mut whole, mut whole_tensors) = alone(Adamax::default(), bound, &tensors)?;
            let mut all = (0..count)
                .map(|index| Process::new(Adamax::default(), bound, &tensors, (index, count)))
                .collect::<Result<Vec<_>>>()?;
            for _ in 0..3 {
                let mut batch: Vec<_> =
                    whole_tensors.iter_mut().map(|(slot, x, g)| slot.bind(x, g)).collect();
                let expected = whole.step_with_report(&mut batch)?;
                let agreed = joined(&mut all)?;
                let reports =
                    all.iter_mut().map(|p| p.apply(&agreed)).collect::<Result<Vec<_>>>()?;
                let mut report = reports[0];
                for other in &reports[1..] {
                    report.join(&Report::from_words(&other.to_words()).expect("a report"));
                }
                assert_eq!(report, expected, "{bound:?} in {count} parts");
            }
            for (number, (slot, x, _)) in whole_tensors.iter().enumerate() {
                let state = whole.state(*slot).expect("own slot");
                let mut found: [Vec<A>; 3] = Default::default();
                for process in &all {
                    let (_, slot, x, _) = &process.parts[number];
                    let own = process.optimizer.state(*slot).expect("own slot");
                    assert_eq!(own.steps(), state.steps());
                    found[0].extend(x);
                    found[1].extend(own.first_moment());
                    found[2].extend(own.inf_norm());
                }
                let what = |array| format!("{array} of tensor {number}, {bound:?}, {count} parts");
                assert_same(what("x"), &found[0], x);
                assert_same(what("m"), &found[1], state.first_moment());
                assert_same(what("u"), &found[2], state.inf_norm());
            }
        }
        Ok(())
    }
    check::<f64>()?;
    check::<f32>()
}

/// Where nobody has asked for the norm of all, a report has that of this process.
#[test]
fn a_plain_check_is_enough_for_a_report_of_this_process() -> Result {
    let (x, g) = (array![0.0, 0.0].into_dyn(), array![3.0, -4.0].into_dyn());
    let (y, h) = (array![0.0].into_dyn(), array![12.0].into_dyn());
    let mut process = Process::new(Adamax::default(), None, &[(&x, &g), (&y, &h)], (0, 1))?;
    let Process { optimizer, parts } = &mut process;
    let mut batch: Vec<_> = parts.iter_mut().map(|(_, slot, x, g)| slot.bind(x, g)).collect();
    let agreed = Findings::of(&optimizer.check(&mut batch));
    let report = optimizer.check(&mut batch)?.apply_agreed_with_report(&agreed)?;
    drop(batch);
    assert_eq!((report.gradient_norm(), report.clip_factor()), (13.0, 1.0));
    let of = |number: usize| process.optimizer.report(process.parts[number].1).expect("a report");
    assert_eq!([of(0), of(1)].map(|report| report.gradient_norm()), [5.0, 12.0]);
    Ok(())
}

/// Without a norm bound, only a check for a report adds squares. Findings of the two are not joined.
#[test]
fn a_plain_check_finds_no_norm() -> Result {
    let mut x = array![0.0];
    let [g, h] = [array![1.0], array![2.0]];
    let mut optimizer = Optimizer::new(Adamax::default());
    let slot = optimizer.register("x", &x)?;
    let plain = Findings::of(&optimizer.check(&mut [slot.bind(&mut x, &g)]));
    assert_eq!(plain, Findings::of(&optimizer.check(&mut [slot.bind(&mut x, &h)])));
    let for_report = Findings::of(&optimizer.check_for_report(&mut [slot.bind(&mut x, &g)]));
    assert_ne!(plain, for_report);
    assert_eq!(plain.join(&for_report).unwrap_err().kind(), ErrorKind::Agreement);
    Ok(())
}

/// Without a norm bound, a report of a bad gradient is that of one process: it stays in its tensor.
#[test]
fn a_bad_gradient_stays_in_its_tensor() -> Result {
    let rule = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
    let (x, g) = (array![0.0, 0.0].into_dyn(), array![f64::NAN, -4.0].into_dyn());
    let (y, h) = (array![0.0].into_dyn(), array![12.0].into_dyn());
    let mut process = Process::new(rule, None, &[(&x, &g), (&y, &h)], (0, 1))?;
    let agreed = process.findings();
    let report = process.apply(&agreed)?;
    assert!(report.gradient_norm().is_nan() && report.clip_factor() == 1.0);
    assert!(process.parts[0].2[0].is_nan() && process.parts[0].2[1].is_finite());
    assert!(process.parts[1].2[0].is_finite());
    Ok(())
}

#[test]
fn a_skipped_step_has_a_report_too() -> Result {
    let rule = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    let (x, g) = (array![0.0, 0.0].into_dyn(), array![f64::INFINITY, -4.0].into_dyn());
    let mut process = Process::new(rule, Some(MaxNorm::Global(1.0)), &[(&x, &g)], (0, 1))?;
    let agreed = process.findings();
    let report = process.apply(&agreed)?;
    assert_eq!((report.outcome(), report.max_step()), (Outcome::Skipped, 0.0));
    assert_eq!(Report::from_words(&report.to_words()), Some(report));
    Ok(())
}

/// Words that no report has.
#[test]
fn words_that_are_no_report_are_refused() -> Result {
    let (x, g) = (array![0.0].into_dyn(), array![3.0].into_dyn());
    let mut process = Process::new(Adamax::default(), None, &[(&x, &g)], (0, 1))?;
    let agreed = process.findings();
    let words = process.apply(&agreed)?.to_words();
    assert!(Report::from_words(&words).is_some());
    assert!(Report::from_words(&words[1..]).is_none());
    for (at, value) in [(0, 2), (1, (-1.0_f64).to_bits()), (4, (-0.0_f64).to_bits())] {
        let mut damaged = words;
        damaged[at] = value;
        assert_eq!(Report::from_words(&damaged), None, "{at}");
    }
    Ok(())
}

/// Errors that a part finds are those of the whole tensor, word for word.
#[test]
fn errors_have_the_index_in_the_whole_tensor() -> Result {
    let shape = [9, 11, 70];
    let length: usize = shape.iter().product();
    let fast = Adamax::builder().learning_rate(1e300).beta1(0.0).build()?;
    let faults = [
        (Adamax::default(), f64::NAN, 0.0),
        (Adamax::default(), f64::NEG_INFINITY, 0.0),
        (fast, 1.0, f64::MAX), // the parameter overflows
    ];
    for (rule, gradient, start) in faults {
        for count in COUNTS {
            for position in [0, 1, 511, 512, 700, 3000, length - 1] {
                let mut g = ArrayD::zeros(&shape[..]);
                let mut x = ArrayD::zeros(&shape[..]);
                *g.iter_mut().nth(position).expect("an element") = gradient;
                *x.iter_mut().nth(position).expect("an element") = -start;
                let (mut optimizer, mut tensors) = alone(rule, None, &[(&x, &g)])?;
                let (slot, x0, g0) = &mut tensors[0];
                let expected = optimizer.step(&mut [slot.bind(x0, g0)]).unwrap_err();
                assert_eq!(expected.kind(), ErrorKind::NonFinite);
                for index in 0..count {
                    let mut process = Process::new(rule, None, &[(&x, &g)], (index, count))?;
                    let (part, slot, x, g) = &mut process.parts[0];
                    let result = process.optimizer.step(&mut [slot.bind(x, g)]);
                    match result {
                        Err(error) => {
                            assert!(part.range().contains(&position));
                            assert_eq!(error.to_string(), expected.to_string());
                            assert_eq!(error.index(), expected.index());
                        }
                        Ok(_) => assert!(!part.range().contains(&position)),
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn parts_that_cannot_be_are_refused() -> Result {
    let refusal = |shape: &[usize], index, count| Part::new(shape, index, count).unwrap_err();
    for (index, count) in [(0, 0), (2, 2), (usize::MAX, 3)] {
        let error = refusal(&[3], index, count);
        assert_eq!(error.kind(), ErrorKind::Hyperparameter);
        assert_eq!(
            error.to_string(),
            format!("index of the part is {index}, but must be below the number of parts")
        );
    }
    for shape in [&[usize::MAX][..], &[usize::MAX / 8; 2], &[0, usize::MAX, 2]] {
        assert_eq!(refusal(shape, 0, 1).kind(), ErrorKind::Memory, "{shape:?}");
    }

    let mut optimizer = Optimizer::new(Adamax::default());
    let group = optimizer.default_group();
    let part = Part::new(&[3000], 0, 2)?;
    let short = Array1::<f64>::zeros(7);
    let error = optimizer.register_part(group, "x", &part, &short).unwrap_err();
    assert_eq!(error.to_string(), "tensor `x`: parameter has shape [7], but part has shape [1024]");
    assert_eq!((error.found_shape(), error.expected_shape()), (Some(&[7][..]), Some(&[1024][..])));
    let foreign = Optimizer::<f64>::new(Adamax::default()).default_group();
    let fits = Array1::zeros(part.len());
    let error = optimizer.register_part(foreign, "x", &part, &fits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Foreign);
    optimizer.register_part(group, "x", &part, &fits)?;
    let error = optimizer.register_part(group, "x", &part, &fits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
    Ok(())
}

/// A place that a removed part leaves is taken by a whole tensor.
#[test]
fn a_new_tensor_at_the_place_of_a_part_is_whole() -> Result {
    let mut optimizer = Optimizer::new(Adamax::default());
    let group = optimizer.default_group();
    let part = Part::new(&[2, 1000], 1, 2)?;
    let mut x = Array1::<f64>::zeros(part.len());
    let slot = optimizer.register_part(group, "x", &part, &x)?;
    optimizer.remove(slot)?;
    let slot = optimizer.register("x", &x)?;
    let mut g = Array1::zeros(part.len());
    g[3] = f64::NAN;
    let error = optimizer.step(&mut [slot.bind(&mut x, &g)]).unwrap_err();
    assert_eq!(error.index(), Some(&[3][..]));
    Ok(())
}

#[test]
fn a_snapshot_keeps_everything_but_the_mapped_states() -> Result {
    let rule = Adamax::builder().learning_rate(0.25).build()?;
    let mut optimizer = Optimizer::new(Adamax::default());
    let group = optimizer.add_group(rule);
    optimizer.set_lr_scale(0.5)?;
    optimizer.set_max_norm(Some(MaxNorm::Global(3.0)))?;
    let mut x = array![1.0, 2.0];
    optimizer.register("a", &x)?;
    let slot = optimizer.register_in(group, "b", &x)?;
    optimizer.step(&mut [slot.bind(&mut x, &array![0.5, 0.25])])?;
    let snapshot = optimizer.snapshot();
    let mut names = Vec::new();
    let same = snapshot.map_states(|name, state| {
        names.push(name.to_owned());
        Ok::<_, adamax::Error>(state.clone())
    })?;
    assert_eq!((names.as_slice(), &same), (&["a".to_owned(), "b".to_owned()][..], &snapshot));
    assert_eq!(
        snapshot.map_states(|name, _| Err::<adamax::State, _>(name.to_owned())),
        Err("a".to_owned())
    );
    Ok(())
}
