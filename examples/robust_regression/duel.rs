//! Compares two optimizers on the same samples, each at its best learning rate.

use std::fmt;

use crate::{common::descent::Method, contest::Best};

/// The comparison of the errors of two optimizers.
pub(crate) struct Duel {
    methods: [Method; 2],
    /// Number of samples on which the first optimizer has the smaller error.
    wins: u32,
    samples: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Better,
    Worse,
    Unclear,
}

impl Verdict {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Verdict::Better => "better than",
            Verdict::Worse => "worse than",
            Verdict::Unclear => "neither better nor worse than",
        }
    }
}

impl Duel {
    pub(crate) fn new(first: &Best, second: &Best) -> Self {
        let mut duel =
            Duel { methods: [first.setting.method, second.setting.method], wins: 0, samples: 0 };
        for (own, other) in first.errors.iter().zip(&second.errors) {
            duel.wins += u32::from(own < other);
            duel.samples += 1;
        }
        duel
    }

    /// Returns the second optimizer.
    pub(crate) fn rival(&self) -> Method {
        self.methods[1]
    }

    /// Returns the result of the two-sided sign test at the 5 % level for the first optimizer.
    pub(crate) fn verdict(&self) -> Verdict {
        const LEVEL: f64 = 0.05;
        let losses = self.samples - self.wins;
        if chance(self.samples, self.wins.min(losses)) > LEVEL {
            Verdict::Unclear
        } else if self.wins > losses {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

impl fmt::Display for Duel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [first, second] = self.methods.map(Method::name);
        let Duel { wins, samples, .. } = self;
        write!(f, "{first} is closer to the truth than {second} on {wins} of {samples} samples")
    }
}

/// Returns the probability that `n` tosses of a fair coin show one side `few` times or fewer.
fn chance(n: u32, few: u32) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for k in 0..=few {
        sum += ways;
        ways *= f64::from(n - k) / f64::from(k + 1);
    }
    (2.0 * sum / 2_f64.powf(n.into())).min(1.0)
}
