//! Recursion that never runs out of stack: trees are walked by functions that call themselves, on threads whose
//! stacks are small.

/// Stack that must be left for one step.
const LEFT: usize = 192 * 1024;
/// Stack that is added when it is not.
const MORE: usize = 1024 * 1024;

/// Goes one step deeper.
pub(crate) fn deeper<R>(step: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(LEFT, MORE, step)
}
