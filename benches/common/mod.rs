//! Code that the benches share: inputs, implementations, checks of their results, and groups.

#![allow(dead_code, unused_imports)] // each bench uses only a part

pub(crate) mod batch;
pub(crate) mod by_hand;
pub(crate) mod check;
pub(crate) mod group;
pub(crate) mod input;
pub(crate) mod layout;
pub(crate) mod library;
pub(crate) mod number;
pub(crate) mod rows;

pub(crate) use batch::{Batch, MAX_NORM, Set};
pub(crate) use by_hand::ByHand;
pub(crate) use layout::Layout;
pub(crate) use library::{Library, unchecked};
pub(crate) use number::Number;
pub(crate) use rows::{Choice, Size, TableRows};
