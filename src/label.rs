//! Names as labels of metrics: a bounded number of them.

/// How many features, and how many models, have a label of their own.
pub(crate) const MAX_NAMES: usize = 200;

/// How many bytes a name has at most that is a label.
pub(crate) const MAX_BYTES: usize = 200;

/// The label of what has no name.
pub(crate) const NONE: &str = "none";

/// The label of all further names together.
pub(crate) const OTHER: &str = "other";
