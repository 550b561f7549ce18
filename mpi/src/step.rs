//! A step of all ranks: agreement, sum, check, agreement, update, new parameters.

use core::ops::Range;

use adamax::{Bound, Error as CoreError, ErrorKind, Findings, Optimizer, Outcome, Report};
use ndarray::{ArrayView1, ArrayViewMut1, Dimension};

use crate::{
    element::Element,
    error::{Error, Refusal},
    exchange::{self, Buffers},
    optimizer::{Call, ShardedOptimizer, Tensor, describe},
    runs::{Target, index_at, position_of},
    slot::ShardedBound,
    transport::Transport,
    words::{Reader, Signature, Words, Writer},
};

impl<A: Element, T: Transport> ShardedOptimizer<A, T> {
    /// Advances all tensors of the batch by one step, on all ranks, or none. All ranks call this together,
    /// with the same tensors in the same order.
    ///
    /// Each rank binds the whole parameter and the gradient that it has computed itself. The step is that
    /// of the [combined](ShardedOptimizer::set_combination) gradients of all ranks. Tensors that are left
    /// out of the batch keep their state. [`NonFinite`](adamax::NonFinite) decides what happens if a
    /// combined gradient is not finite.
    ///
    /// # Errors
    /// After one of these, which all ranks return, nothing has changed on any of them:
    /// - [`Error::Refused`] if a rank has refused: everything that [`adamax::Optimizer::step`] refuses, and
    ///   no memory for buffers. If a gradient is not finite, the error names the first rank whose
    ///   gradient it is, and the index;
    /// - [`Error::Differs`] if the ranks differ in the call, a setting, or a tensor: its name, shape, group
    ///   or number of steps, or its place in the batch.
    ///
    /// [`Error::Transport`] if a message fails. Parameters may be incomplete then.
    ///
    /// # Cost
    /// Two short messages between all ranks, and two exchanges of about n/N elements with each rank. A
    /// tensor whose elements are not row-major is copied on the way.
    ///
    /// # Allocation
    /// A list of the tensors of the batch. In the first step with these tensors, buffers, which stay. For
    /// a norm bound, as [`adamax::Optimizer::check`]; with more than 4 axes, also the shapes of arrays that
    /// are not row-major.
    ///
    /// # Examples
    /// See [`ShardedOptimizer`].
    pub fn step(&mut self, batch: &mut [ShardedBound<'_, A>]) -> Result<Outcome, Error> {
        self.step_with(Call::Step, batch).map(|(outcome, _)| outcome)
    }

    /// Takes a [`step`](ShardedOptimizer::step), and says what it did. The report is that of one process.
    ///
    /// # Errors
    /// As [`step`](ShardedOptimizer::step).
    ///
    /// # Cost
    /// As [`step`](ShardedOptimizer::step), two more reads of this rank's part of the summed gradients,
    /// and one more short message.
    pub fn step_with_report(&mut self, batch: &mut [ShardedBound<'_, A>]) -> Result<Report, Error> {
        let (_, report) = self.step_with(Call::StepWithReport, batch)?;
        report.ok_or_else(|| {
            let message = "there is no report".to_owned();
            Error::Refused { rank: self.rank(), tensor: None, message }
        })
    }

    fn step_with(
        &mut self,
        call: Call,
        batch: &mut [ShardedBound<'_, A>],
    ) -> Result<(Outcome, Option<Report>), Error> {
        let local = self.check(batch);
        let mut content = Signature::EMPTY;
        for bound in &*batch {
            if let Some(tensor) = self.tensor(bound.key) {
                content = content.with(self.signature_of(tensor).word());
            }
        }
        self.agree(call, content, local, |inner, tensors, manifest| {
            for (place, bound) in batch.iter().enumerate() {
                if let Some(tensor) = tensors.get(bound.key.number) {
                    describe(inner, manifest, place, tensor);
                }
            }
        })?;

        let Self { transport, inner, tensors, words, plan, buffers, reduction, .. } = self;
        let divisor = self.combination.divisor::<A>(transport.size());
        exchange::sum_gradients(transport, plan, batch, *reduction, divisor, buffers)?;
        let reporting = matches!(call, Call::StepWithReport);
        let result = apply(inner, tensors, plan.own(), batch, buffers, reporting, |found| {
            join(transport, words, found)
        })?;
        let (outcome, report) = match result {
            Ok(applied) => applied,
            Err(error) => return Err(self.explain(batch, error.as_ref())?),
        };
        let Self { transport, words, plan, buffers, .. } = self;
        if outcome == Outcome::Applied {
            put_back(plan.own(), batch, buffers);
            exchange::share_parameters(transport, plan, batch, buffers)?;
        }
        let Some(own) = report else { return Ok((outcome, None)) };
        let mut joined = own;
        for of_rank in words.gather(transport, &own.to_words())? {
            if let Some(of_rank) = Report::from_words(of_rank) {
                joined.join(&of_rank);
            }
        }
        Ok((outcome, Some(joined)))
    }

    /// Checks what this rank can see alone, makes the plan, and makes room.
    fn check(&mut self, batch: &[ShardedBound<'_, A>]) -> Result<(), Refusal> {
        self.batches += 1;
        let mut in_other_order = 0;
        for (place, bound) in batch.iter().enumerate() {
            let own = bound.key.optimizer == self.id;
            let Some(tensor) = self.tensors.get_mut(bound.key.number).filter(|_| own) else {
                let text =
                    format!("slot at index {place} of the batch belongs to another optimizer");
                return Err(Refusal::new(text));
            };
            if tensor.batch == self.batches {
                return Err(Refusal::of_tensor(&tensor.name, "comes twice in one batch"));
            }
            tensor.batch = self.batches;
            check_shapes(tensor, bound)?;
            if let Target::Other(_) = bound.param {
                in_other_order += tensor.part.len();
            }
        }
        let Self { transport, tensors, plan, buffers, .. } = self;
        let members = batch.iter().filter_map(|bound| {
            let tensor = tensors.get(bound.key.number)?;
            Some((bound.key.number, &tensor.owners))
        });
        let (rank, size) = (transport.rank(), transport.size());
        plan.make(members, rank, size);
        if buffers.prepare(plan, (rank, size), self.reduction, in_other_order) {
            Ok(())
        } else {
            Err(Refusal::new("there is no memory for the buffers of a step"))
        }
    }

    /// Returns the reason why the batch was refused after the sum: the same on all ranks. `own` is what
    /// this rank has found.
    #[cold]
    fn explain(
        &mut self,
        batch: &[ShardedBound<'_, A>],
        own: Option<&CoreError>,
    ) -> Result<Error, Error> {
        let Self { transport, words, tensors, .. } = self;
        let mut writer = Writer::default();
        if let Some(error) = own {
            Found::of(error, batch, tensors).write(&mut writer);
        }
        let all = words.gather_any(transport, &writer.0)?.enumerate();
        let all = all.filter_map(|(rank, words)| Some((rank, Found::read(words)?)));
        let first = all.min_by_key(|(rank, found)| (found.place, found.position, *rank));
        let Some((owner, found)) = first else {
            let message = "the step was refused without a reason".to_owned();
            return Ok(Error::Refused { rank: 0, tensor: None, message });
        };
        let Found { place, position, gradient, tensor, message } = found;
        let (Some(value), Some(name)) = (gradient, &tensor) else {
            return Ok(Error::Refused { rank: owner, tensor, message });
        };
        // The combined gradient is bad. Whose gradient is it?
        let bound = batch.get(place);
        let own = bound.and_then(|bound| bound.grad.at(position)).map_or(0.0, A::wide);
        let index = bound.map(|bound| index_at(bound.grad_shape.slice(), position));
        let index = index.unwrap_or_default();
        let mut culprits = words.gather(transport, &[own.to_bits()])?.enumerate();
        let culprit = culprits.find_map(|(rank, words)| {
            let value = f64::from_bits(words.first().copied().unwrap_or_default());
            (!value.is_finite()).then_some((rank, value))
        });
        let (rank, text) = match culprit {
            Some((rank, value)) => (rank, format!("gradient is {value} at index {index:?}")),
            None => (owner, format!("combined gradient is {value} at index {index:?}")),
        };
        let Refusal { tensor, message } = Refusal::of_tensor(name, text);
        Ok(Error::Refused { rank, tensor, message })
    }
}

/// An error that one rank has found in its part of the combined gradients.
struct Found {
    /// The place of the tensor in the batch, and the position of the element.
    place: usize,
    position: usize,
    /// The value, if it is a gradient that is not finite.
    gradient: Option<f64>,
    tensor: Option<String>,
    message: String,
}

impl Found {
    fn of<A>(error: &CoreError, batch: &[ShardedBound<'_, A>], tensors: &[Tensor]) -> Self {
        let name =
            |bound: &ShardedBound<'_, A>| tensors.get(bound.key.number).map(|t| t.name.as_str());
        let place = batch.iter().position(|bound| name(bound) == error.tensor());
        let place = place.filter(|_| error.tensor().is_some()).unwrap_or_default();
        let shape = batch.get(place).and_then(|bound| tensors.get(bound.key.number));
        let position = match (shape, error.index()) {
            (Some(tensor), Some(index)) => position_of(tensor.part.shape(), index),
            _ => 0,
        };
        let is_gradient = error.kind() == ErrorKind::NonFinite && error.array() == Some("gradient");
        let gradient = error.value().filter(|_| is_gradient);
        let Refusal { tensor, message } = error.into();
        Found { place, position, gradient, tensor, message }
    }

    fn write(&self, writer: &mut Writer) {
        writer.number(self.place);
        writer.number(self.position);
        writer.number(usize::from(self.gradient.is_some()));
        writer.0.push(self.gradient.unwrap_or_default().to_bits());
        writer.name(self.tensor.as_deref());
        writer.text(&self.message);
    }

    /// Returns what a rank has found; `None` if it has found nothing.
    fn read(words: &[u64]) -> Option<Self> {
        if words.is_empty() {
            return None;
        }
        let mut reader = Reader(words);
        let (place, position) = (reader.number(), reader.number());
        let (is_gradient, value) = (reader.number() == 1, f64::from_bits(reader.word()));
        let gradient = Some(value).filter(|_| is_gradient);
        Some(Found { place, position, gradient, tensor: reader.name(), message: reader.text() })
    }
}

fn check_shapes<A>(tensor: &Tensor, bound: &ShardedBound<'_, A>) -> Result<(), Refusal> {
    let (param, grad) = (bound.param_shape(), bound.grad_shape.slice());
    let registered = tensor.part.shape();
    let fault = if param != grad {
        format!("gradient has shape {grad:?}, but parameter has shape {param:?}")
    } else if param != registered {
        format!("parameter has shape {param:?}, but the registered shape is {registered:?}")
    } else {
        return Ok(());
    };
    Err(Refusal::of_tensor(&tensor.name, fault))
}

/// Tells the other ranks what this one has found, and joins what all have found.
fn join(
    transport: &mut impl Transport,
    words: &mut Words,
    found: &Findings,
) -> Result<Findings, Error> {
    let mut all = words.gather_any(transport, &found.to_words())?.map(Findings::from_words);
    let Some(first) = all.next() else { return Ok(found.clone()) };
    Ok(all.try_fold(first?, |joined, next| joined.join(&next?))?)
}

/// The result of a step; or the error of this rank, if it is one that has refused.
type Applied = Result<(Outcome, Option<Report>), Option<CoreError>>;

/// Checks this rank's parts, agrees with the others, and steps the parts.
fn apply<A: Element>(
    inner: &mut Optimizer<A>,
    tensors: &[Tensor],
    own: &[Range<usize>],
    batch: &mut [ShardedBound<'_, A>],
    buffers: &mut Buffers<A>,
    reporting: bool,
    agree: impl FnOnce(&Findings) -> Result<Findings, Error>,
) -> Result<Applied, Error> {
    let (mut sums, mut params) = (&*buffers.sums, &mut *buffers.params);
    let mut bound: Vec<Bound<'_, A>> = Vec::with_capacity(batch.len());
    for (member, run) in batch.iter_mut().zip(own) {
        let Some(tensor) = tensors.get(member.key.number) else { continue };
        let (grad, other_sums) = sums.split_at(run.len().min(sums.len()));
        sums = other_sums;
        let param = match &mut member.param {
            Target::RowMajor(values) => values.get_mut(run.clone()).unwrap_or_default(),
            other @ Target::Other(_) => {
                let length = run.len().min(params.len());
                let (part, rest) = core::mem::take(&mut params).split_at_mut(length);
                params = rest;
                other.copy_to(run, part);
                part
            }
        };
        bound.push(tensor.slot.bind_view(ArrayViewMut1::from(param), ArrayView1::from(grad)));
    }
    let checked =
        if reporting { inner.check_for_report(&mut bound) } else { inner.check(&mut bound) };
    let agreed = agree(&Findings::of(&checked))?;
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return Ok(Err(Some(error))),
    };
    let applied = if reporting {
        let report = checked.apply_agreed_with_report(&agreed);
        report.map(|report| (report.outcome(), Some(report)))
    } else {
        checked.apply_agreed(&agreed).map(|outcome| (outcome, None))
    };
    // Its only error is that another rank has refused.
    Ok(applied.map_err(|_| None))
}

/// Writes this rank's parts of parameters that are not row-major.
fn put_back<A: Element>(
    own: &[Range<usize>],
    batch: &mut [ShardedBound<'_, A>],
    buffers: &Buffers<A>,
) {
    let mut params = &*buffers.params;
    for (member, run) in batch.iter_mut().zip(own) {
        if let Target::Other(_) = member.param {
            let (part, rest) = params.split_at(run.len().min(params.len()));
            params = rest;
            member.param.copy_from(run, part);
        }
    }
}
