//! The step of the model: what must come out of a batch, by plain loops.

use super::{
    model::{Figures, Model, State, Steps, Tensor},
    norm::{Factor, Squares},
};
use crate::common::{Float, oracle};
use adamax::{Adamax, ErrorKind, MaxNorm, NonFinite, Outcome, WeightDecay};

/// An element of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Entry<A> {
    /// The tensor of the model; `None` if the slot belongs to none.
    pub(crate) tensor: Option<usize>,
    pub(crate) x_shape: Vec<usize>,
    /// The rows that are bound; `None` if a tensor is bound as a whole.
    pub(crate) rows: Option<Vec<usize>>,
    pub(crate) g_shape: Vec<usize>,
    pub(crate) g: Vec<A>,
}

/// A reason for an error, and the name of the tensor in it.
pub(crate) type Fault = (ErrorKind, Option<String>);

/// What a step must do: write the next tensors, or skip, with these reports.
pub(crate) struct Forecast<A> {
    pub(crate) outcome: Outcome,
    /// The new tensors of the entries, with reports of their own; as many as entries.
    pub(crate) tensors: Vec<Tensor<A>>,
    pub(crate) report: Figures,
}

/// Returns what a step must do, or the reasons for an error, one of which it must give.
///
/// `both_ends`: a check for several processes looks at both ends of the clip factor, because others may add
/// to the norm.
pub(crate) fn forecast<A: Float>(
    model: &Model<A>,
    batch: &[Entry<A>],
    both_ends: bool,
) -> Result<Forecast<A>, Vec<Fault>> {
    let faults = structural_faults(model, batch);
    if !faults.is_empty() {
        return Err(faults);
    }
    let entries: Vec<_> = batch.iter().map(|entry| Prepared::new(model, entry)).collect();
    let mut sum = Squares::none();
    for entry in &entries {
        sum.join(&entry.squares);
    }
    let norm = sum.root();
    let factors: Vec<_> = entries
        .iter()
        .map(|entry| match model.max_norm {
            Some(MaxNorm::Global(bound)) => norm.factor(bound),
            Some(MaxNorm::PerTensor(bound)) => entry.squares.root().factor(bound),
            _ => Factor::ONE,
        })
        .collect();
    let outcome = judge(model, &entries, &factors, both_ends)?;
    let reports: Vec<_> =
        entries.iter().zip(&factors).map(|(entry, &factor)| entry.step(factor, outcome)).collect();
    let largest = |of: fn(&Taken<A>) -> f64| reports.iter().map(of).fold(0.0, larger);
    let smallest = reports.iter().map(|taken| taken.factor).fold(1.0, smaller);
    let figures =
        [norm.shown(), smallest, largest(|taken| taken.gradient), largest(|taken| taken.step)];
    let report = Figures::new(outcome, figures);
    Ok(Forecast {
        outcome,
        tensors: reports.into_iter().map(|taken| taken.tensor).collect(),
        report,
    })
}

/// Returns the larger of two magnitudes, or NaN if one is NaN.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn smaller(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

// ---------------------------------------------------------------- the first phase

fn structural_faults<A: Float>(model: &Model<A>, batch: &[Entry<A>]) -> Vec<Fault> {
    let mut faults = wrong_tensors(model, batch);
    if model.max_norm.is_some_and(|bound| rounds_to::<A>(bound.bound(), 0.0)) {
        faults.push((ErrorKind::Hyperparameter, None));
    }
    for entry in batch {
        let Some(index) = entry.tensor else { continue };
        let tensor = &model.tensors[index];
        let kind = match next_step(tensor, entry) {
            Err(kind) => Some(kind),
            Ok(t) => (!is_in_range::<A>(&scaled_rule(model, tensor.group), t))
                .then_some(ErrorKind::Hyperparameter),
        };
        faults.extend(kind.map(|kind| (kind, Some(tensor.name.clone()))));
    }
    faults
}

/// Returns a fault for each element that is of no tensor, or of one that the batch has already.
pub(crate) fn wrong_tensors<A>(model: &Model<A>, batch: &[Entry<A>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (place, entry) in batch.iter().enumerate() {
        match entry.tensor {
            None => faults.push((ErrorKind::Foreign, None)),
            Some(index) if batch[..place].iter().any(|other| other.tensor == entry.tensor) => {
                faults.push((ErrorKind::Repeated, Some(model.tensors[index].name.clone())));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Returns the number of the step, counted from 1; of rows the smallest one, which has the largest step size.
fn next_step<A: Float>(tensor: &Tensor<A>, entry: &Entry<A>) -> Result<u64, ErrorKind> {
    let State { shape, steps, .. } = &tensor.state;
    let (fits, counters) = match (steps, &entry.rows) {
        (Steps::Whole(steps), None) => (&entry.g_shape == shape, vec![*steps]),
        (Steps::Rows(steps), Some(rows)) => {
            let ascending = rows.windows(2).all(|pair| pair[0] < pair[1]);
            let fits = entry.g_shape == [&[rows.len()], &shape[1..]].concat();
            if fits && &entry.x_shape == shape {
                if !ascending || rows.iter().any(|&row| row >= steps.len()) {
                    return Err(ErrorKind::Rows);
                }
                (true, rows.iter().map(|&row| steps[row]).collect())
            } else {
                (false, Vec::new())
            }
        }
        _ => (false, Vec::new()),
    };
    if !fits || &entry.x_shape != shape {
        return Err(ErrorKind::Shape);
    }
    if counters.contains(&u64::MAX) {
        return Err(ErrorKind::StepCount);
    }
    Ok(counters.iter().min().map_or(u64::MAX, |steps| steps + 1))
}

/// The rule of a group and the factor on its learning rate.
struct Scaled {
    rule: Adamax,
    learning_rate: f64,
}

fn scaled_rule<A>(model: &Model<A>, group: usize) -> Scaled {
    let rule = model.rules[group];
    Scaled { rule, learning_rate: rule.learning_rate() * model.lr_scale }
}

fn rounds_to<A: Float>(value: f64, end: f64) -> bool {
    value != end && A::of(value).wide() == end
}

fn overflows<A: Float>(value: f64) -> bool {
    !A::of(value).wide().is_finite()
}

/// Returns true if all settings have a meaning in this precision at step t.
fn is_in_range<A: Float>(Scaled { rule, learning_rate }: &Scaled, t: u64) -> bool {
    let (l2, decoupled) = match rule.weight_decay() {
        WeightDecay::L2(lambda) => (lambda, 0.0),
        WeightDecay::Decoupled(lambda) => (0.0, lambda),
        _ => (0.0, 0.0),
    };
    let kept = A::of(1.0 - learning_rate * decoupled).wide();
    let (lower, upper) = rule.bounds();
    let bounds = [lower, upper];
    let small = [rule.epsilon(), rule.clip_value(), l2, decoupled, lower, upper];
    !overflows::<A>(learning_rate / oracle::correction(rule, t))
        && !overflows::<A>(l2)
        && kept >= 0.0
        && ![rule.beta1(), rule.beta2()].iter().any(|&rate| rounds_to::<A>(rate, 1.0))
        && !small.iter().any(|&setting| rounds_to::<A>(setting, 0.0))
        && !bounds.iter().any(|&bound| bound.is_finite() && overflows::<A>(bound))
        && (A::LARGEST + A::of(rule.epsilon())).wide().is_finite()
}

/// An entry whose structure has been checked.
struct Prepared<'a, A> {
    tensor: &'a Tensor<A>,
    entry: &'a Entry<A>,
    policy: NonFinite,
    scaled: Scaled,
    squares: Squares,
}

/// Decides whether the step is taken.
fn judge<A: Float>(
    model: &Model<A>,
    entries: &[Prepared<'_, A>],
    factors: &[Factor],
    both_ends: bool,
) -> Result<Outcome, Vec<Fault>> {
    // Under a common norm, the strictest policy counts for gradients that may propagate.
    let has = |policy| entries.iter().any(|entry| entry.policy == policy);
    let strictest = [NonFinite::Error, NonFinite::Skip].into_iter().find(|&policy| has(policy));
    let shared = strictest.filter(|_| matches!(model.max_norm, Some(MaxNorm::Global(_))));
    let by_gradient = verdict(entries.iter().map(|entry| {
        let bad = entry.entry.g.iter().any(|g| !g.wide().is_finite());
        let policy = if entry.policy == NonFinite::Propagate {
            shared.unwrap_or(entry.policy)
        } else {
            entry.policy
        };
        (entry, policy, bad)
    }))?;
    if by_gradient == Outcome::Skipped {
        return Ok(by_gradient);
    }
    verdict(entries.iter().zip(factors).map(|(entry, &factor)| {
        let factors = if both_ends && model.max_norm.is_some() {
            vec![Factor::ONE, Factor::ZERO]
        } else {
            vec![factor]
        };
        (entry, entry.policy, factors.into_iter().any(|factor| entry.loses(factor)))
    }))
}

fn verdict<'a, A: Float>(
    found: impl Iterator<Item = (&'a Prepared<'a, A>, NonFinite, bool)>,
) -> Result<Outcome, Vec<Fault>> {
    let (mut faults, mut outcome) = (Vec::new(), Outcome::Applied);
    for (entry, policy, is_bad) in found {
        match policy {
            NonFinite::Error if is_bad => {
                faults.push((ErrorKind::NonFinite, Some(entry.tensor.name.clone())));
            }
            NonFinite::Skip if is_bad => outcome = Outcome::Skipped,
            _ => {}
        }
    }
    if faults.is_empty() { Ok(outcome) } else { Err(faults) }
}

// ---------------------------------------------------------------- the second phase

/// A tensor after its step, and what its report says.
struct Taken<A> {
    tensor: Tensor<A>,
    factor: f64,
    gradient: f64,
    step: f64,
}

impl<'a, A: Float> Prepared<'a, A> {
    fn new(model: &'a Model<A>, entry: &'a Entry<A>) -> Self {
        let tensor = &model.tensors[entry.tensor.expect("its structure has been checked")];
        let scaled = scaled_rule(model, tensor.group);
        let squares = tensor.squares(&entry.g, entry.rows.is_some());
        Prepared { tensor, entry, policy: scaled.rule.non_finite(), scaled, squares }
    }

    /// Returns the runs of elements that are stepped: where they begin in the tensor and in the gradient,
    /// their length and their t.
    fn runs(&self) -> Vec<(usize, usize, usize, u64)> {
        let State { shape, steps, m, .. } = &self.tensor.state;
        match (steps, &self.entry.rows) {
            (Steps::Rows(steps), Some(rows)) => {
                let length: usize = shape[1..].iter().product();
                let run = |(place, &row)| (row * length, place * length, length, steps[row] + 1);
                rows.iter().enumerate().map(run).collect()
            }
            _ => vec![(0, 0, m.len(), steps.largest() + 1)],
        }
    }

    /// Calls `visit` with the place, the gradient and the new x, m and u of each element.
    fn elements(&self, factor: Factor, mut visit: impl FnMut(usize, A, (A, A, A))) {
        let Scaled { rule, learning_rate } = &self.scaled;
        let rule = rule.to_builder().learning_rate(*learning_rate).build().expect("in range");
        let (x, State { m, u, .. }) = (&self.tensor.x, &self.tensor.state);
        for (to, from, length, t) in self.runs() {
            let correction = oracle::correction(&rule, t);
            for i in 0..length {
                let (at, g) = (to + i, self.entry.g[from + i]);
                let scaled = factor.scale(g);
                visit(at, g, oracle::step_with(correction, x[at], scaled, m[at], u[at], &rule));
            }
        }
    }

    /// Returns true if a step would make a finite number of the tensor or of its state NaN or infinite.
    fn loses(&self, factor: Factor) -> bool {
        let (x, State { m, u, .. }) = (&self.tensor.x, &self.tensor.state);
        let is_lost = |old: A, new: A| old.wide().is_finite() && !new.wide().is_finite();
        let mut loses = false;
        self.elements(factor, |at, _, new| {
            loses |= is_lost(x[at], new.0) || is_lost(m[at], new.1) || is_lost(u[at], new.2);
        });
        loses
    }

    fn step(&self, factor: Factor, outcome: Outcome) -> Taken<A> {
        let mut tensor = self.tensor.clone();
        let norm = self.squares.root().shown();
        let gradient = self.entry.g.iter().map(|g| g.wide().abs()).fold(0.0, larger);
        let mut step = 0.0;
        let mut shown = 1.0;
        if outcome == Outcome::Applied {
            shown = factor.shown();
            self.elements(factor, |at, _, (x, m, u)| {
                step = larger(step, (x - tensor.x[at]).wide().abs());
                (tensor.x[at], tensor.state.m[at], tensor.state.u[at]) = (x, m, u);
            });
            match (&mut tensor.state.steps, &self.entry.rows) {
                (Steps::Rows(steps), Some(rows)) => rows.iter().for_each(|&row| steps[row] += 1),
                (Steps::Whole(steps), _) => *steps += 1,
                _ => {}
            }
        }
        tensor.report = Some(Figures::new(outcome, [norm, shown, gradient, step]));
        Taken { tensor, factor: shown, gradient, step }
    }
}
