//! Several processes step one model together: each holds some of its tensors, or a part of each.
//! Threads play the processes, and send each other nothing but words.

use crate::common::{
    Float, assert_same,
    bits::Snapshot,
    input::{gradients, parameters, rng, shaped},
    layout::LAYOUTS,
    model::{MIXED, name},
    rules,
};
use adamax::{
    Adamax, Bound, Checked, Error, ErrorKind, Findings, MaxNorm, NonFinite, Optimizer, Outcome,
    Slot, State,
};
use ndarray::{Array1, ArrayD, IxDyn, array};
use std::{
    any::type_name,
    ops::Range,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

const SEED: u64 = 6;
const STEPS: usize = 4;
const PROCESSES: [usize; 5] = [1, 2, 3, 4, 7];
/// Small enough that most steps clip.
const BOUNDS: [Option<MaxNorm>; 3] =
    [None, Some(MaxNorm::Global(0.5)), Some(MaxNorm::PerTensor(0.25))];
/// The length of the parts into which the sum of squares of a vector is cut.
const LEAF: usize = 512;
/// Vectors of fewer elements than there are processes, of whole leaves, and of one element more.
const VECTORS: [&[usize]; 8] = [&[0], &[1], &[511], &[512], &[513], &[3000], &[5121], &[7 * 512]];

// ---------------------------------------------------------------- a model and its shares

/// A model without an optimizer: the parameters, and the gradients of each step.
struct Problem<A> {
    x: Vec<ArrayD<A>>,
    gradients: Vec<Vec<ArrayD<A>>>,
}

impl<A: Float> Problem<A> {
    fn new(shapes: &[&[usize]], steps: usize) -> Self {
        let rng = &mut rng(SEED);
        Problem {
            x: shapes.iter().map(|&shape| parameters(shape, rng)).collect(),
            gradients: (0..steps)
                .map(|_| shapes.iter().map(|&shape| gradients(shape, rng)).collect())
                .collect(),
        }
    }
}

/// The distribution of the tensors of a model over several processes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shares {
    /// Each tensor belongs to one process. The others do not know it.
    Whole,
    /// Each tensor belongs to one process. The others have an empty tensor in its place.
    WholeOrEmpty,
    /// Each process has a part of each vector. The parts are about equally long.
    Parts,
    /// The same, but the first process has only empty parts.
    AllButTheFirst,
}

impl Shares {
    /// Returns the elements of tensor `i` of this length that belong to a process; `None` if the
    /// process does not know the tensor.
    fn of(self, process: usize, processes: usize, i: usize, length: usize) -> Option<Range<usize>> {
        let cut = |part: usize, parts: usize| part * length / parts / LEAF * LEAF;
        let cuts = |part: usize, parts: usize| match part + 1 {
            next if next == parts => cut(part, parts)..length,
            next => cut(part, parts)..cut(next, parts),
        };
        match self {
            Shares::Whole | Shares::WholeOrEmpty if i % processes == process => Some(0..length),
            Shares::Whole => None,
            Shares::WholeOrEmpty => Some(0..0),
            Shares::AllButTheFirst if processes > 1 => Some(match process {
                0 => 0..0,
                _ => cuts(process - 1, processes - 1),
            }),
            Shares::Parts | Shares::AllButTheFirst => Some(cuts(process, processes)),
        }
    }
}

/// Returns the elements of an array from `part`: the array itself, or a vector.
fn part<A: Float>(array: &ArrayD<A>, part: &Range<usize>) -> ArrayD<A> {
    if part.len() == array.len() {
        return array.clone();
    }
    let elements: Vec<A> = array.iter().copied().collect();
    shaped(&elements[part.clone()], &[part.len()])
}

/// A tensor of the model, or a part of it, in one process.
struct Tensor<A> {
    /// Its number in the model.
    number: usize,
    part: Range<usize>,
    slot: Slot<IxDyn>,
    x: ArrayD<A>,
    g: ArrayD<A>,
}

/// [`Optimizer::check`] or `par_check`.
type Check<A> = for<'s, 'a> fn(
    &'s mut Optimizer<A>,
    &'s mut [Bound<'a, A>],
) -> Result<Checked<'s, 'a, A>, Error>;

struct Process<A> {
    optimizer: Optimizer<A>,
    tensors: Vec<Tensor<A>>,
    check: Check<A>,
}

fn bind<A: Float>(tensors: &mut [Tensor<A>]) -> Vec<Bound<'_, A>> {
    tensors.iter_mut().map(|tensor| tensor.slot.bind(&mut tensor.x, &tensor.g)).collect()
}

impl<A: Float> Process<A> {
    /// Makes one of several processes. The layouts of its tensors are different in each.
    fn new(
        problem: &Problem<A>,
        policy: NonFinite,
        max_norm: Option<MaxNorm>,
        shares: Shares,
        (process, processes): (usize, usize),
    ) -> Result<Self, Error> {
        let rules: Vec<_> =
            rules::one_of_each_kind().iter().map(|case| case.with(policy).rule).collect();
        let mut optimizer = Optimizer::new(rules[0]);
        optimizer.set_max_norm(max_norm)?;
        let groups: Vec<_> = rules.iter().map(|&rule| optimizer.add_group(rule)).collect();
        let mut tensors = Vec::new();
        for (number, x) in problem.x.iter().enumerate() {
            let Some(range) = shares.of(process, processes, number, x.len()) else { continue };
            let layout = LAYOUTS[(number + process) % LAYOUTS.len()];
            let x = layout.arrange(&part(x, &range));
            let slot = optimizer.register_in(groups[number % groups.len()], &name(number), &x)?;
            let g = LAYOUTS[(2 * number + process) % LAYOUTS.len()].arrange(&x);
            tensors.push(Tensor { number, part: range, slot, x, g });
        }
        Ok(Process { optimizer, tensors, check: Optimizer::check })
    }

    fn take_gradients(&mut self, gradients: &[ArrayD<A>]) {
        for tensor in &mut self.tensors {
            let g = part(&gradients[tensor.number], &tensor.part);
            if tensor.g.shape() == g.shape() {
                tensor.g.assign(&g);
            } else {
                tensor.g = g;
            }
        }
    }

    /// Takes one step together with the others.
    fn step(&mut self, links: &Links) -> Result<Outcome, Error> {
        let Process { optimizer, tensors, check } = self;
        let mut batch = bind(tensors);
        let checked = check(optimizer, &mut batch);
        let words = links.exchange(&Findings::of(&checked).to_words());
        let checked = checked?;
        checked.apply_agreed(&join(&words)?)
    }

    /// Steps all tensors without other processes.
    fn step_alone(&mut self) -> Result<Outcome, Error> {
        self.optimizer.step(&mut bind(&mut self.tensors))
    }

    fn state(&self, tensor: &Tensor<A>) -> &State<A> {
        self.optimizer.state(tensor.slot).expect("own slot")
    }

    fn bits(&self) -> Vec<Snapshot<A::Word>> {
        self.tensors.iter().map(|tensor| Snapshot::of(&tensor.x, self.state(tensor))).collect()
    }
}

fn processes<A: Float>(
    problem: &Problem<A>,
    policy: NonFinite,
    max_norm: Option<MaxNorm>,
    shares: Shares,
    number: usize,
) -> Result<Vec<Process<A>>, Error> {
    (0..number)
        .map(|process| Process::new(problem, policy, max_norm, shares, (process, number)))
        .collect()
}

/// Returns one process with the whole model.
fn alone<A: Float>(
    problem: &Problem<A>,
    policy: NonFinite,
    max_norm: Option<MaxNorm>,
) -> Result<Process<A>, Error> {
    Process::new(problem, policy, max_norm, Shares::Whole, (0, 1))
}

/// Parses and joins what the processes have sent, in the order in which it comes.
fn join(words: &[Vec<u64>]) -> Result<Findings, Error> {
    let mut all = words.iter().map(|words| Findings::from_words(words));
    let first = all.next().expect("at least one process")?;
    all.try_fold(first, |joined, next| joined.join(&next?))
}

/// Asserts that the parts of each tensor together equal the tensor of one process, and have its t.
fn assert_together<A: Float>(what: &str, processes: &[Process<A>], whole: &Process<A>) {
    for expected in &whole.tensors {
        let of_whole = whole.state(expected);
        let mut found: [Vec<A>; 3] = std::array::from_fn(|_| Vec::new());
        let mut length = 0;
        for process in processes {
            let mut tensors = process.tensors.iter();
            let Some(tensor) = tensors.find(|tensor| tensor.number == expected.number) else {
                continue;
            };
            let state = process.state(tensor);
            assert_eq!(state.steps(), of_whole.steps(), "t of tensor {}, {what}", tensor.number);
            let [x, m, u] = &mut found;
            x.extend(&tensor.x);
            m.extend(state.first_moment());
            u.extend(state.inf_norm());
            length += tensor.part.len();
        }
        assert_eq!(length, expected.x.len(), "{what}: shares cover the tensor");
        let number = expected.number;
        assert_same(format_args!("x of tensor {number}, {what}"), &found[0], &expected.x);
        let (m, u) = (of_whole.first_moment(), of_whole.inf_norm());
        assert_same(format_args!("m of tensor {number}, {what}"), &found[1], m);
        assert_same(format_args!("u of tensor {number}, {what}"), &found[2], u);
    }
}

// ---------------------------------------------------------------- threads

/// The channels of one process to and from every process, itself included.
struct Links {
    process: usize,
    to: Vec<Sender<Vec<u64>>>,
    from: Vec<Receiver<Vec<u64>>>,
}

impl Links {
    fn between(processes: usize) -> Vec<Links> {
        let mut links: Vec<_> = (0..processes)
            .map(|process| Links { process, to: Vec::new(), from: Vec::new() })
            .collect();
        for a in 0..processes {
            for b in 0..processes {
                let (to, from) = channel();
                links[a].to.push(to);
                links[b].from.push(from);
            }
        }
        links
    }

    /// Sends words to all processes and returns those of all, in an order that is another in each
    /// process.
    fn exchange(&self, words: &[u64]) -> Vec<Vec<u64>> {
        for to in &self.to {
            to.send(words.to_vec()).expect("no process has ended");
        }
        let mut all: Vec<_> =
            self.from.iter().map(|from| from.recv().expect("no process has ended")).collect();
        all.rotate_left(self.process);
        if self.process % 2 == 1 {
            all.reverse();
        }
        all
    }
}

/// Runs `work` for all processes at once, each on its own thread.
fn at_once<A: Float, R: Send>(
    processes: &mut [Process<A>],
    work: impl Fn(&mut Process<A>, Links) -> R + Sync,
) -> Vec<R> {
    let (work, links) = (&work, Links::between(processes.len()));
    thread::scope(|scope| {
        let threads: Vec<_> = processes
            .iter_mut()
            .zip(links)
            .map(|(process, links)| scope.spawn(move || work(process, links)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

// ---------------------------------------------------------------- the same bits

fn as_one_process<A: Float>(shapes: &[&[usize]], shares: &[Shares]) -> Result<(), Error> {
    let problem = Problem::<A>::new(shapes, STEPS);
    for max_norm in BOUNDS {
        let mut whole = alone(&problem, NonFinite::Error, max_norm)?;
        for gradients in &problem.gradients {
            whole.take_gradients(gradients);
            assert_eq!(whole.step_alone()?, Outcome::Applied);
        }
        for &shares in shares {
            if (shares, max_norm) == (Shares::Whole, BOUNDS[2]) {
                continue; // the tensors at one place of the batches would not be the same
            }
            for number in PROCESSES {
                let mut processes =
                    processes(&problem, NonFinite::Error, max_norm, shares, number)?;
                let outcomes = at_once(&mut processes, |process, links| {
                    problem.gradients.iter().all(|gradients| {
                        process.take_gradients(gradients);
                        matches!(process.step(&links), Ok(Outcome::Applied))
                    })
                });
                let precision = type_name::<A>();
                let what = format!("{number} processes, {shares:?}, {max_norm:?}, {precision}");
                assert!(outcomes.iter().all(|&applied| applied), "{what}");
                assert_together(&what, &processes, &whole);
            }
        }
    }
    Ok(())
}

#[test]
fn whole_tensors_give_the_bits_of_one_process() -> Result<(), Error> {
    let long: [&[usize]; 3] = [&[1500], &[40, 50], &[9, 3, 70]];
    let shapes: Vec<_> = MIXED.into_iter().chain(long).collect();
    as_one_process::<f64>(&shapes, &[Shares::Whole, Shares::WholeOrEmpty])?;
    as_one_process::<f32>(&shapes, &[Shares::Whole, Shares::WholeOrEmpty])
}

#[test]
fn parts_of_tensors_give_the_bits_of_one_process() -> Result<(), Error> {
    as_one_process::<f64>(&VECTORS, &[Shares::Parts, Shares::AllButTheFirst])?;
    as_one_process::<f32>(&VECTORS, &[Shares::Parts, Shares::AllButTheFirst])
}

/// Joining does not depend on the order, and words say all that findings say.
#[test]
fn the_order_of_joining_does_not_matter() -> Result<(), Error> {
    let problem = Problem::<f64>::new(&VECTORS, 1);
    for max_norm in BOUNDS {
        let mut processes = processes(&problem, NonFinite::Error, max_norm, Shares::Parts, 4)?;
        let mut words = Vec::new();
        for process in &mut processes {
            process.take_gradients(&problem.gradients[0]);
            let mut batch = bind(&mut process.tensors);
            words.push(Findings::of(&process.optimizer.check(&mut batch)).to_words());
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| Findings::from_words(&words[i]).expect("findings"));
        let [ab, cd] = [a.clone().join(&b)?, c.clone().join(&d)?];
        let expected = ab.clone().join(&c)?.join(&d)?.to_words();
        assert_eq!(d.join(&c)?.join(&b)?.join(&a)?.to_words(), expected, "{max_norm:?}");
        assert_eq!(ab.join(&cd)?.to_words(), expected, "{max_norm:?}");
        assert_eq!(Findings::from_words(&expected)?.to_words(), expected, "{max_norm:?}");
        assert_eq!(cd.join(&Findings::from_words(&words[1])?)?.join(&a)?.to_words(), expected);
    }
    Ok(())
}

#[test]
fn a_dropped_check_changes_nothing() -> Result<(), Error> {
    let problem = Problem::<f32>::new(&VECTORS, 2);
    for max_norm in BOUNDS {
        let mut process = alone(&problem, NonFinite::Error, max_norm)?;
        let mut twin = alone(&problem, NonFinite::Error, max_norm)?;
        for gradients in &problem.gradients {
            process.take_gradients(gradients);
            let before = process.bits();
            for _ in 0..3 {
                let mut batch = bind(&mut process.tensors);
                let checked = process.optimizer.check(&mut batch)?;
                drop(Findings::of(&Ok(checked)));
            }
            assert!(process.bits() == before, "{max_norm:?}");
            twin.take_gradients(gradients);
            assert_eq!(process.step_alone()?, twin.step_alone()?);
            assert!(process.bits() == twin.bits(), "{max_norm:?}");
        }
    }
    Ok(())
}

/// Threads inside a process change nothing either, whether or not there are other processes.
#[cfg(feature = "rayon")]
#[test]
fn processes_may_use_threads() -> Result<(), Error> {
    let problem = Problem::<f64>::new(&[&[140_000], &[600], &[135_001], &[5]], 2);
    let pool =
        |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    for max_norm in BOUNDS {
        let mut whole = alone(&problem, NonFinite::Error, max_norm)?;
        let mut parallel = alone(&problem, NonFinite::Error, max_norm)?;
        let mut two = processes(&problem, NonFinite::Error, max_norm, Shares::Parts, 2)?;
        two[0].check = Optimizer::par_check;
        for gradients in &problem.gradients {
            whole.take_gradients(gradients);
            assert_eq!(whole.step_alone()?, Outcome::Applied);
            parallel.take_gradients(gradients);
            let outcome = pool(3).install(|| -> Result<_, Error> {
                let mut batch = bind(&mut parallel.tensors);
                batch.reverse();
                Ok(parallel.optimizer.par_check(&mut batch)?.apply())
            })?;
            assert_eq!(outcome, Outcome::Applied);
        }
        assert!(parallel.bits() == whole.bits(), "{max_norm:?}");
        let outcomes = at_once(&mut two, |process, links| {
            // A pool of its own: a thread that waits for another process does no work for it.
            pool(2).install(|| {
                let links = links;
                problem.gradients.iter().all(|gradients| {
                    process.take_gradients(gradients);
                    matches!(process.step(&links), Ok(Outcome::Applied))
                })
            })
        });
        assert_eq!(outcomes, [true; 2]);
        assert_together(&format!("threads, {max_norm:?}"), &two, &whole);
    }
    Ok(())
}

// ---------------------------------------------------------------- faults

/// One fault in the gradients of one process.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Value(f64),
    Shape,
}

impl<A: Float> Process<A> {
    /// Puts a fault into the first gradient that has elements.
    fn spoil(&mut self, fault: Fault) {
        let tensor = self.tensors.iter_mut().find(|tensor| !tensor.g.is_empty()).expect("elements");
        match fault {
            Fault::Value(bad) => *tensor.g.iter_mut().last().expect("an element") = A::of(bad),
            Fault::Shape => tensor.g = ArrayD::zeros(vec![2, tensor.g.len() + 1]),
        }
    }
}

/// Steps the second of three steps with a fault in one process, then without. Returns what each
/// process says of the fault.
fn with_a_fault<A: Float>(
    Setting { problem, shares, max_norm, number }: &Setting<'_, A>,
    policy: NonFinite,
    (owner, fault): (usize, Fault),
) -> Result<Vec<Result<Outcome, ErrorKind>>, Error> {
    let (shares, max_norm, number) = (*shares, *max_norm, *number);
    let mut whole = alone(problem, policy, max_norm)?;
    for gradients in &problem.gradients {
        whole.take_gradients(gradients);
        assert_eq!(whole.step_alone()?, Outcome::Applied);
    }
    let mut processes = processes(problem, policy, max_norm, shares, number)?;
    let results = at_once(&mut processes, |process, links| {
        let mut result = None;
        for (t, gradients) in problem.gradients.iter().enumerate() {
            process.take_gradients(gradients);
            if t == 1 {
                let before = process.bits();
                if links.process == owner {
                    process.spoil(fault);
                }
                result = Some(process.step(&links).map_err(|error| error.kind()));
                assert!(process.bits() == before, "process {} has changed", links.process);
                process.take_gradients(gradients);
            }
            assert_eq!(process.step(&links).expect("a good step"), Outcome::Applied);
        }
        result.expect("a step with a fault")
    });
    let what = format!("{number} processes, {shares:?}, {max_norm:?}, after {fault:?} in {owner}");
    assert_together(&what, &processes, &whole);
    Ok(results)
}

/// A model that is distributed over a number of processes.
struct Setting<'p, A> {
    problem: &'p Problem<A>,
    shares: Shares,
    max_norm: Option<MaxNorm>,
    number: usize,
}

/// Calls `test` for each process as the owner of a fault.
fn for_each_owner<A: Float>(
    test: impl Fn(&Setting<'_, A>, usize) -> Result<(), Error>,
) -> Result<(), Error> {
    for shares in [Shares::Whole, Shares::WholeOrEmpty, Shares::Parts] {
        let problem = &match shares {
            Shares::Parts => Problem::new(&[&[2100], &[2500]], 3),
            _ => Problem::new(&[&[3], &[600], &[2, 2], &[5]], 3),
        };
        for max_norm in BOUNDS {
            if (shares, max_norm) == (Shares::Whole, BOUNDS[2]) {
                continue;
            }
            for number in [1, 2, 4] {
                let setting = Setting { problem, shares, max_norm, number };
                (0..number).try_for_each(|owner| test(&setting, owner))?;
            }
        }
    }
    Ok(())
}

/// Returns `of_owner` for the owner of a fault and `of_others` for the other processes.
fn expected<T: Copy>(number: usize, owner: usize, of_owner: T, of_others: T) -> Vec<T> {
    (0..number).map(|process| if process == owner { of_owner } else { of_others }).collect()
}

#[test]
fn a_value_that_is_not_finite_refuses_the_step_of_all() -> Result<(), Error> {
    fn refused<A: Float>(bad: f64) -> Result<(), Error> {
        for_each_owner::<A>(|setting, owner| {
            let (own, others) = (Err(ErrorKind::NonFinite), Err(ErrorKind::Agreement));
            let found = with_a_fault(setting, NonFinite::Error, (owner, Fault::Value(bad)))?;
            assert_eq!(found, expected(setting.number, owner, own, others));
            Ok(())
        })
    }
    refused::<f64>(f64::NAN)?;
    refused::<f32>(f64::NEG_INFINITY)
}

#[test]
fn a_wrong_shape_refuses_the_step_of_all() -> Result<(), Error> {
    for_each_owner::<f64>(|setting, owner| {
        let kinds =
            expected(setting.number, owner, Err(ErrorKind::Shape), Err(ErrorKind::Agreement));
        for policy in [NonFinite::Error, NonFinite::Skip] {
            assert_eq!(with_a_fault(setting, policy, (owner, Fault::Shape))?, kinds);
        }
        Ok(())
    })
}

#[test]
fn a_value_that_is_not_finite_skips_the_step_of_all() -> Result<(), Error> {
    for_each_owner::<f32>(|setting, owner| {
        for bad in [f64::NAN, f64::INFINITY] {
            let found = with_a_fault(setting, NonFinite::Skip, (owner, Fault::Value(bad)))?;
            assert_eq!(found, vec![Ok(Outcome::Skipped); setting.number]);
        }
        Ok(())
    })
}

#[test]
fn a_value_that_is_not_finite_propagates_as_in_one_process() -> Result<(), Error> {
    let problem = Problem::<f64>::new(&[&[4000], &[3700]], 2);
    let policy = NonFinite::Propagate;
    for max_norm in BOUNDS {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut gradients = problem.gradients.clone();
            gradients[1][1][[1600]] = bad;
            let mut whole = alone(&problem, policy, max_norm)?;
            for gradients in &gradients {
                whole.take_gradients(gradients);
                assert_eq!(whole.step_alone()?, Outcome::Applied);
            }
            let mut processes = processes(&problem, policy, max_norm, Shares::Parts, 3)?;
            at_once(&mut processes, |process, links| {
                for gradients in &gradients {
                    process.take_gradients(gradients);
                    assert_eq!(process.step(&links).expect("it propagates"), Outcome::Applied);
                }
            });
            assert_together(&format!("{bad}, {max_norm:?}"), &processes, &whole);
        }
    }
    Ok(())
}

/// Of a refusal and a skip, the refusal wins.
#[test]
fn a_refusal_wins_over_a_skip() -> Result<(), Error> {
    let problem = Problem::<f64>::new(&[&[3], &[4], &[5]], 1);
    let mut all = processes(&problem, NonFinite::Error, None, Shares::Whole, 2)?;
    all.push(Process::new(&problem, NonFinite::Skip, None, Shares::Whole, (2, 3))?);
    let kinds = at_once(&mut all, |process, links| {
        process.take_gradients(&problem.gradients[0]);
        if links.process > 0 {
            process.spoil(Fault::Value(f64::NAN));
        }
        let before = process.bits();
        let result = process.step(&links).map_err(|error| error.kind());
        assert!(process.bits() == before);
        result
    });
    let (own, other) = (Err(ErrorKind::NonFinite), Err(ErrorKind::Agreement));
    assert_eq!(kinds, [other, own, other]);
    Ok(())
}

/// A process that refuses the step need not know the settings of the others.
#[test]
fn a_refusal_can_be_joined_with_anything() -> Result<(), Error> {
    let refusal = Findings::of(&Err::<Checked<'_, '_, f64>, _>(
        Findings::from_words(&[]).expect_err("no findings"),
    ));
    let problem = Problem::<f64>::new(&[&[600], &[3]], 1);
    for max_norm in BOUNDS {
        let mut process = alone(&problem, NonFinite::Error, max_norm)?;
        let mut batch = bind(&mut process.tensors);
        let found = Findings::of(&process.optimizer.check(&mut batch));
        let joined = [refusal.clone().join(&found)?, found.join(&refusal)?];
        assert_eq!(joined.map(|joined| joined.to_words()), [(); 2].map(|()| refusal.to_words()));
    }
    Ok(())
}

// ---------------------------------------------------------------- settings that differ

#[test]
fn settings_that_differ_are_refused_by_all() -> Result<(), Error> {
    let problem = Problem::<f64>::new(&[&[4000], &[3700]], 1);
    let [global, each] = [MaxNorm::Global(0.5), MaxNorm::PerTensor(0.5)];
    let pairs = [
        (None, Some(global)),
        (None, Some(each)),
        (Some(global), Some(each)),
        (Some(global), Some(MaxNorm::Global(0.5_f64.next_up()))),
        (Some(each), Some(MaxNorm::PerTensor(f64::INFINITY))),
    ];
    for (a, b) in pairs.into_iter().flat_map(|(a, b)| [(a, b), (b, a)]) {
        for number in [2, 3, 4] {
            for other in 0..number {
                let mut all = processes(&problem, NonFinite::Error, a, Shares::Parts, number)?;
                all[other].optimizer.set_max_norm(b)?;
                refused_by_all(&format!("{a:?}, {b:?}"), &problem, &mut all);
            }
        }
    }
    // Norms per tensor of another number of tensors.
    for other in 0..3 {
        let mut all = processes(&problem, NonFinite::Error, Some(each), Shares::Parts, 3)?;
        all[other].tensors.truncate(1);
        refused_by_all("another number of tensors", &problem, &mut all);
    }
    Ok(())
}

fn refused_by_all<A: Float>(what: &str, problem: &Problem<A>, processes: &mut [Process<A>]) {
    let kinds = at_once(processes, |process, links| {
        process.take_gradients(&problem.gradients[0]);
        let before = process.bits();
        let result = process.step(&links).map_err(|error| error.kind());
        assert!(process.bits() == before, "{what}");
        result
    });
    assert_eq!(kinds, vec![Err(ErrorKind::Agreement); kinds.len()], "{what}");
}

/// Findings agreed by others, without this process, are refused if they cannot be about its batch.
#[test]
fn findings_of_another_batch_are_refused() -> Result<(), Error> {
    let problem = Problem::<f64>::new(&[&[4000], &[3700]], 1);
    let found = |max_norm, tensors| -> Result<Findings, Error> {
        let mut process = alone(&problem, NonFinite::Error, max_norm)?;
        process.tensors.truncate(tensors);
        let mut batch = bind(&mut process.tensors);
        Ok(Findings::of(&process.optimizer.check(&mut batch)))
    };
    let [global, each] = [MaxNorm::Global(0.5), MaxNorm::PerTensor(0.5)];
    for own in [None, Some(global), Some(each)] {
        let mut process = alone(&problem, NonFinite::Error, own)?;
        process.take_gradients(&problem.gradients[0]);
        let before = process.bits();
        let others = [None, Some(global), Some(MaxNorm::Global(1.0)), Some(each)];
        for (max_norm, tensors) in others.into_iter().flat_map(|other| [(other, 2), (other, 1)]) {
            if max_norm == own && (tensors == 2 || own != Some(each)) {
                continue;
            }
            let agreed = found(max_norm, tensors)?;
            let mut batch = bind(&mut process.tensors);
            let error = process.optimizer.check(&mut batch)?.apply_agreed(&agreed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Agreement, "{own:?}, {max_norm:?}, {tensors}");
            assert!(process.bits() == before);
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- words from elsewhere

/// A process, and the words of what it has found.
type Found = (Process<f64>, Vec<u64>);

/// Valid words of every kind: each bound, and each verdict.
fn valid_words() -> Result<Vec<Found>, Error> {
    let problem = Problem::<f64>::new(&[&[3], &[600], &[0]], 1);
    let mut all = Vec::new();
    for max_norm in BOUNDS {
        for (policy, fault) in [
            (NonFinite::Error, None),
            (NonFinite::Error, Some(Fault::Shape)),
            (NonFinite::Skip, Some(Fault::Value(f64::NAN))),
            (NonFinite::Propagate, Some(Fault::Value(f64::INFINITY))),
            (NonFinite::Propagate, Some(Fault::Value(f64::NAN))),
        ] {
            let mut process = alone(&problem, policy, max_norm)?;
            process.take_gradients(&problem.gradients[0]);
            if let Some(fault) = fault {
                process.spoil(fault);
            }
            let mut batch = bind(&mut process.tensors);
            let words = Findings::of(&process.optimizer.check(&mut batch)).to_words();
            process.take_gradients(&problem.gradients[0]);
            all.push((process, words));
        }
    }
    Ok(all)
}

/// Uses words as those of another process. Returns true if they are findings.
fn use_words(process: &mut Process<f64>, words: &[u64]) -> bool {
    let found = match Findings::from_words(words) {
        Ok(found) => found,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Agreement);
            return false;
        }
    };
    let mut batch = bind(&mut process.tensors);
    let checked = process.optimizer.check(&mut batch);
    let own = Findings::of(&checked);
    let twice = found.clone().join(&found).expect("the same settings").join(&found);
    drop(Findings::from_words(&twice.expect("the same settings").to_words()));
    let joined = [own.clone().join(&found), found.join(&own)];
    let [to_own, to_found] = joined.map(|joined| joined.map(|joined| joined.to_words()));
    assert_eq!(to_own.as_ref().ok(), to_found.as_ref().ok(), "{words:x?}");
    if let (Ok(checked), Ok(joined)) =
        (checked, own.join(&Findings::from_words(words).expect("as before")))
    {
        drop(checked.apply_agreed(&joined));
    }
    true
}

#[test]
fn damaged_words_never_panic() -> Result<(), Error> {
    for (mut process, words) in valid_words()? {
        assert!(use_words(&mut process, &words));
        for length in 0..words.len() {
            assert!(!use_words(&mut process, &words[..length]), "{length} of {words:x?}");
        }
        for more in [0, 1, u64::MAX] {
            let longer: Vec<_> = words.iter().copied().chain([more]).collect();
            assert!(!use_words(&mut process, &longer), "{words:x?} and {more}");
        }
        for at in 0..words.len() {
            let good = words[at];
            let large = [u64::MAX, u64::MAX / 2, u64::from(u32::MAX), 1 << 63, 1 << 32];
            let small = [0, 1, 2, 3, 4, 136, 137, 138, 139, good.wrapping_sub(1), good + 1];
            let special = [f64::INFINITY, f64::NAN, f64::NEG_INFINITY, -0.0, 1.0];
            let flipped = (0..64).map(|bit| good ^ 1 << bit);
            let values = large.into_iter().chain(small).chain(special.map(f64::to_bits));
            for value in values.chain(flipped) {
                let mut damaged = words.clone();
                damaged[at] = value;
                use_words(&mut process, &damaged);
            }
        }
    }
    Ok(())
}

/// Words of the right form that no process has found.
#[test]
fn invented_words_never_panic() -> Result<(), Error> {
    let mut all = valid_words()?;
    let [none, global, each] = [0, 5, 10].map(|i| all[i].1[..5].to_vec());
    let largest = u64::from(u32::MAX);
    for (i, head) in [(0, none), (5, global), (10, each)] {
        let process = &mut all[i].0;
        for (low, count) in
            [(0, 1), (0, 138), (137, 1), (136, 2), (0, 2), (70, 68), (138, 0), (138, 1)]
        {
            for digit in [1, largest, largest + 1] {
                for special in [0.0, f64::INFINITY, f64::NAN] {
                    let mut words = head.clone();
                    for _ in 0..head[4] {
                        words.extend([low, count, special.to_bits()]);
                        words.extend((0..count).map(|_| digit));
                    }
                    let found = use_words(process, &words);
                    let possible =
                        head[4] == 0 || low + count <= 138 && (digit <= largest || count == 0);
                    assert_eq!(found, possible, "{low} {count} {digit} {special}");
                }
            }
        }
    }
    Ok(())
}

/// A batch that is to be skipped is skipped, even if its own findings are missing in the agreed ones.
#[test]
fn a_skip_of_this_process_is_never_overruled() -> Result<(), Error> {
    let skip = Adamax::builder().non_finite(NonFinite::Skip).build()?;
    let (mut x, g) = (array![0.0], array![f64::NAN]);
    let (mut y, h) = (array![0.0], array![1.0]);
    let (mut one, mut other) = (Optimizer::new(skip), Optimizer::new(skip));
    let (slot, other_slot) = (one.register("x", &x)?, other.register("y", &y)?);
    let agreed = Findings::of(&other.check(&mut [other_slot.bind(&mut y, &h)]));
    let outcome = one.check(&mut [slot.bind(&mut x, &g)])?.apply_agreed(&agreed)?;
    assert_eq!((outcome, x[0]), (Outcome::Skipped, 0.0));
    assert_eq!(one.state(slot).unwrap().steps(), 0);
    Ok(())
}

/// However the sums were added, and with NaN, too.
#[test]
fn findings_equal_those_read_from_their_words() -> Result<(), Error> {
    let propagate = Adamax::builder().non_finite(NonFinite::Propagate).build()?;
    for gradient in [0.3, f64::NAN, f64::INFINITY, 1e-300] {
        let (mut x, g) = (Array1::zeros(3000), Array1::from_elem(3000, gradient));
        let mut optimizer = Optimizer::new(propagate);
        optimizer.set_max_norm(Some(MaxNorm::Global(1.0)))?;
        let slot = optimizer.register("x", &x)?;
        let findings = Findings::of(&optimizer.check(&mut [slot.bind(&mut x, &g)]));
        assert_eq!(Findings::from_words(&findings.to_words())?, findings, "{gradient}");
        let twice = findings.clone().join(&findings)?;
        assert_eq!(twice == findings, !gradient.is_finite(), "{gradient}");
    }
    Ok(())
}
