//! What is taken from the allocator, counted: a process of its own, because it has an allocator of its own.

#[cfg(test)]
#[path = "../../benches/compare/ask.rs"]
#[expect(dead_code, reason = "shared with the comparison")]
mod ask;
#[cfg(test)]
mod decide;
#[cfg(test)]
#[path = "../../benches/compare/inside.rs"]
mod inside;
#[cfg(test)]
mod remembered;
#[cfg(test)]
mod traces;
