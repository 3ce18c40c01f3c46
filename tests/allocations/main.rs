//! What is taken from the allocator, counted: a process of its own, because it has an allocator of its own.

#[cfg(test)]
mod decide;
