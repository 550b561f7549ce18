//! Operations: steps of batches, and of single tensors.

use super::{
    Precision,
    batch::Planned,
    bytes::Bytes,
    counts::End,
    forecast::{Entry, Fault, Forecast, forecast, wrong_tensors},
    machine::{Machine, agree, agree_state},
    model::{Figures, Model, Place},
};
use adamax::{Bound, Error, ErrorKind, Findings, Optimizer, Outcome, Report};

/// A method that takes a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    Step,
    ParStep,
    Report,
    ParReport,
    StepAll,
    CheckAndApply,
    Check,
    Agreed,
    AgreedReport,
}

impl Method {
    fn choose(bytes: &mut Bytes<'_>) -> Self {
        use Method::{
            Agreed, AgreedReport, Check, CheckAndApply, ParReport, ParStep, Report, Step, StepAll,
        };
        bytes.pick(&[
            Step,
            Step,
            Step,
            Step,
            ParStep,
            Report,
            Report,
            Report,
            ParReport,
            StepAll,
            StepAll,
            CheckAndApply,
            Check,
            Agreed,
            AgreedReport,
        ])
    }

    fn name(self) -> &'static str {
        match self {
            Method::Step => "step",
            Method::ParStep => "par_step",
            Method::Report => "step_with_report",
            Method::ParReport => "par_step_with_report",
            Method::StepAll => "step_all",
            Method::CheckAndApply => "check and apply",
            Method::Check => "check",
            Method::Agreed => "apply_agreed",
            Method::AgreedReport => "apply_agreed_with_report",
        }
    }

    fn reports(self) -> bool {
        matches!(self, Method::Report | Method::ParReport | Method::AgreedReport)
    }

    /// Returns true if other processes may add to the norm.
    fn is_open(self) -> bool {
        use Method::{Agreed, AgreedReport, Check, CheckAndApply};
        matches!(self, CheckAndApply | Check | Agreed | AgreedReport)
    }

    fn call<A: Precision>(
        self,
        optimizer: &mut Optimizer<A>,
        batch: &mut [Bound<'_, A>],
    ) -> Result<(Outcome, Option<Report>), Error> {
        let plain = |outcome| (outcome, None);
        let reported = |report: Report| (report.outcome(), Some(report));
        match self {
            Method::Step => optimizer.step(batch).map(plain),
            Method::StepAll => optimizer.step_all(batch).map(plain),
            Method::Report => optimizer.step_with_report(batch).map(reported),
            #[cfg(feature = "rayon")]
            Method::ParStep => optimizer.par_step(batch).map(plain),
            #[cfg(feature = "rayon")]
            Method::ParReport => optimizer.par_step_with_report(batch).map(reported),
            #[cfg(not(feature = "rayon"))]
            Method::ParStep => optimizer.step(batch).map(plain),
            #[cfg(not(feature = "rayon"))]
            Method::ParReport => optimizer.step_with_report(batch).map(reported),
            Method::CheckAndApply => Ok(plain(optimizer.check(batch)?.apply())),
            Method::Check => optimizer.check(batch).map(|_| plain(Outcome::Skipped)),
            Method::Agreed => {
                let checked = optimizer.check(batch);
                let findings = sent(&Findings::of(&checked));
                Ok(plain(checked?.apply_agreed(&findings)?))
            }
            Method::AgreedReport => {
                let checked = optimizer.check_for_report(batch);
                let findings = sent(&Findings::of(&checked));
                Ok(reported(checked?.apply_agreed_with_report(&findings)?))
            }
        }
    }
}

/// Returns findings as another process reads them.
fn sent(findings: &Findings) -> Findings {
    let read = Findings::from_words(&findings.to_words()).expect("words of this release");
    assert_eq!(&read, findings);
    read
}

impl<A: Precision> Machine<'_, A> {
    pub(crate) fn step(&mut self, bytes: &mut Bytes<'_>) {
        let method = Method::choose(bytes);
        let mut batch = self.plan(bytes);
        let entries: Vec<_> = batch.iter().map(|planned| planned.entry.clone()).collect();
        let expected = match self.incomplete(method, &entries) {
            Some(faults) => Err(faults),
            None => forecast(&self.model, &entries, method.is_open()),
        };
        let found = self.call(method, &mut batch);
        for planned in &batch {
            let (g, entry) = (planned.g.iter(), &planned.entry);
            agree("gradient", g, &mut entry.g.clone(), true);
        }
        match expected {
            Err(faults) => {
                self.expect_fault(method.name(), found, &faults, true);
            }
            Ok(expected) => self.accept(method, found, expected, &entries),
        }
    }

    /// Takes over the result of a step that the model foresees.
    fn accept(
        &mut self,
        method: Method,
        found: Result<(Outcome, Option<Report>), Error>,
        expected: Forecast<A>,
        entries: &[Entry<A>],
    ) {
        let (outcome, report) =
            found.unwrap_or_else(|error| panic!("{method:?}: {error:?}, but no error is foreseen"));
        if method == Method::Check {
            self.refused = true;
            return self.count(method.name(), End::Done);
        }
        assert_eq!(outcome, expected.outcome, "{method:?}");
        assert_eq!(report.is_some(), method.reports());
        if let Some(report) = report {
            assert_eq!(Figures::of(&report), expected.report, "{method:?}");
            assert_eq!(
                Report::from_words(&report.to_words()).map(|read| Figures::of(&read)),
                Some(expected.report)
            );
        }
        for (entry, mut new) in entries.iter().zip(expected.tensors) {
            let tensor = &mut self.model.tensors[entry.tensor.expect("an own tensor")];
            if report.is_none() {
                new.report = tensor.report;
            }
            *tensor = new;
        }
        let end = if outcome == Outcome::Applied { End::Done } else { End::Skipped };
        self.count(method.name(), end);
    }

    /// Returns the reasons why a batch is not complete, if it must be.
    fn incomplete(&self, method: Method, entries: &[Entry<A>]) -> Option<Vec<Fault>> {
        if method != Method::StepAll {
            return None;
        }
        let mut faults = wrong_tensors(&self.model, entries);
        if faults.is_empty() {
            let is_there = |index| entries.iter().any(|entry| entry.tensor == Some(index));
            let left_out = (0..self.subjects.len()).find(|&index| !is_there(index));
            let name = left_out.map(|index| self.model.tensors[index].name.clone());
            faults.extend(name.map(|name| (ErrorKind::Missing, Some(name))));
        }
        (!faults.is_empty()).then_some(faults)
    }

    fn call(
        &mut self,
        method: Method,
        batch: &mut [Planned<A>],
    ) -> Result<(Outcome, Option<Report>), Error> {
        let Machine { optimizer, subjects, model, .. } = self;
        let mut own: Vec<_> = subjects.iter_mut().map(|subject| Some(&mut subject.x)).collect();
        let mut lent: Vec<_> = batch
            .iter_mut()
            .map(|planned| {
                let index = planned.entry.tensor;
                let name = index.map(|index| model.tensors[index].name.as_str());
                let x = if planned.spare.is_none() {
                    index.and_then(|index| own[index].take())
                } else {
                    None
                };
                planned.lend(optimizer, name, x)
            })
            .collect();
        let mut bound: Vec<_> = lent.iter_mut().map(|lent| lent.bind()).collect();
        assert!(format!("{bound:?}").len() > 1);
        method.call(optimizer, &mut bound)
    }

    // ------------------------------------------------------------ single tensors

    /// Steps a copy of a tensor by its rule alone, without the optimizer.
    pub(crate) fn step_alone(&mut self, bytes: &mut Bytes<'_>) {
        let (Some(index), slot) = self.choose(bytes) else {
            return self.count("Adamax::step", End::Skipped);
        };
        let rule = self.model.rules[self.model.tensors[index].group];
        let mut alone = Model::new(rule);
        alone.tensors = vec![self.model.tensors[index].clone()];
        (alone.tensors[0].group, alone.tensors[0].place) = (0, Place::Whole);
        let shape = self.subjects[index].x.shape().to_vec();
        let g = bytes.numbers(shape.iter().product());
        let arranged = bytes.arranged(&g, &shape);
        let entry =
            Entry { tensor: Some(0), x_shape: shape.clone(), rows: None, g_shape: shape, g };
        let expected = forecast(&alone, &[entry], false);
        let mut x = self.subjects[index].x.clone();
        let mut state = self.optimizer.state(slot).expect("an own slot").clone();
        let (operation, found) = if bytes.below(2) == 0 {
            (
                "Adamax::step",
                rule.step(&mut state, &mut x, &arranged).map(|outcome| (outcome, None)),
            )
        } else {
            let report = rule.step_with_report(&mut state, &mut x, &arranged);
            let figures = |report: Report| (report.outcome(), Some(Figures::of(&report)));
            ("Adamax::step_with_report", report.map(figures))
        };
        match expected {
            Err(faults) => {
                self.expect_fault(operation, found, &faults, false);
            }
            Ok(expected) => {
                let (outcome, report) = found.expect("no error is foreseen");
                assert_eq!(outcome, expected.outcome);
                assert!(report.is_none_or(|report| report == expected.report));
                alone.tensors = expected.tensors;
                let end = if outcome == Outcome::Applied { End::Done } else { End::Skipped };
                self.count(operation, end);
            }
        }
        let tensor = &mut alone.tensors[0];
        agree("x alone", x.iter(), &mut tensor.x, false);
        agree_state("alone", &state, &mut tensor.state, false);
    }
}
