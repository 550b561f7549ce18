//! Settings by their names: those that a file leaves open, and all of them as text.

use core::fmt::{self, Debug};

use super::{Adamax, AdamaxBuilder};

/// A set of settings of a rule. Bit i stands for the setting `NAMES[i]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings(u16);

impl Settings {
    fn contains(self, name: &str) -> bool {
        self.names().any(|member| member == name)
    }

    /// Returns the names of the members.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let members = NAMES.iter().copied().enumerate();
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

/// Takes the settings, which are named in documents like the fields of [`Adamax`]. The compiler asks for
/// one that is forgotten.
macro_rules! settings {
    ($($setting:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($setting)),*];

        impl Adamax {
            fn chosen(&self, own: &Adamax, open: Settings) -> Adamax {
                Adamax {
                    $($setting: if open.contains(stringify!($setting)) {
                        own.$setting
                    } else {
                        self.$setting
                    },)*
                    precisions: self.precisions,
                    operations: self.operations,
                }
            }

            fn settings(&self) -> [(&'static str, &dyn Debug); NAMES.len()] {
                [$((stringify!($setting), &self.$setting)),*]
            }
        }
    };
}
settings! {
    learning_rate beta1 beta2 epsilon epsilon_placement bias_correction weight_decay clip_value
    lower_bound upper_bound objective non_finite
}

impl Adamax {
    /// Returns this rule with the settings in `open` taken from `own`.
    pub(crate) fn completed_by(&self, own: &Adamax, open: Settings) -> Adamax {
        let mut completed = self.chosen(own, open);
        if completed.lower_bound > completed.upper_bound {
            // One bound of the file and one of the optimizer need not fit each other.
            (completed.lower_bound, completed.upper_bound) = self.bounds();
        }
        completed.computed()
    }
}

// By hand, because a derive shows fields that are no settings.

impl Debug for Adamax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Adamax");
        for (name, value) in self.settings() {
            text.field(name, value);
        }
        text.finish()
    }
}

impl Debug for AdamaxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("AdamaxBuilder");
        for (name, value) in self.rule.settings() {
            match name {
                "beta1" => text.field(name, &self.beta1),
                "beta2" => text.field(name, &self.beta2),
                _ => text.field(name, value),
            };
        }
        text.finish()
    }
}
