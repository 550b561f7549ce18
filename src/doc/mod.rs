//! Documentation that belongs to no single item.

pub mod guide;
pub mod recipes;
