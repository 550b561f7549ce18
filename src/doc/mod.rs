//! Documentation that belongs to no single item.

pub mod guide;
#[cfg(feature = "safetensors")]
pub mod pytorch;
pub mod recipes;
