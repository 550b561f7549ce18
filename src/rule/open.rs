//! Settings that a file leaves open.

use super::Adamax;

/// The names of the settings, as documents spell them.
const NAMES: [&str; 12] = [
    "learning_rate",
    "beta1",
    "beta2",
    "epsilon",
    "epsilon_placement",
    "bias_correction",
    "weight_decay",
    "clip_value",
    "lower_bound",
    "upper_bound",
    "objective",
    "non_finite",
];

/// A set of settings of a rule. Bit i stands for the setting `NAMES[i]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings(u16);

impl Settings {
    fn contains(self, name: &str) -> bool {
        self.names().any(|member| member == name)
    }

    /// Returns the names of the members.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let members = NAMES.into_iter().enumerate();
        members.filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name)
    }

    /// Returns the set of all settings.
    #[cfg(feature = "safetensors")]
    pub(crate) fn all() -> Self {
        Settings((1 << NAMES.len()) - 1)
    }

    #[cfg(feature = "safetensors")]
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(bit) = NAMES.iter().position(|&member| member == name) {
            self.0 &= !(1 << bit);
        }
    }
}

impl Adamax {
    /// Returns this rule with the settings in `open` taken from `own`.
    pub(crate) fn completed_by(&self, own: &Adamax, open: Settings) -> Adamax {
        fn choose<T>(open: bool, own: T, found: T) -> T {
            if open { own } else { found }
        }
        let lower = choose(open.contains("lower_bound"), own.lower_bound, self.lower_bound);
        let upper = choose(open.contains("upper_bound"), own.upper_bound, self.upper_bound);
        // One bound of the file and one of the optimizer need not fit each other.
        let fit = lower <= upper;
        // All fields are named, so that a new setting cannot be forgotten here.
        let completed = Adamax {
            learning_rate: choose(
                open.contains("learning_rate"),
                own.learning_rate,
                self.learning_rate,
            ),
            beta1: choose(open.contains("beta1"), own.beta1, self.beta1),
            beta2: choose(open.contains("beta2"), own.beta2, self.beta2),
            epsilon: choose(open.contains("epsilon"), own.epsilon, self.epsilon),
            epsilon_placement: choose(
                open.contains("epsilon_placement"),
                own.epsilon_placement,
                self.epsilon_placement,
            ),
            bias_correction: choose(
                open.contains("bias_correction"),
                own.bias_correction,
                self.bias_correction,
            ),
            weight_decay: choose(
                open.contains("weight_decay"),
                own.weight_decay,
                self.weight_decay,
            ),
            clip_value: choose(open.contains("clip_value"), own.clip_value, self.clip_value),
            lower_bound: choose(fit, lower, self.lower_bound),
            upper_bound: choose(fit, upper, self.upper_bound),
            objective: choose(open.contains("objective"), own.objective, self.objective),
            non_finite: choose(open.contains("non_finite"), own.non_finite, self.non_finite),
            precisions: self.precisions,
        };
        completed.with_precisions()
    }
}
