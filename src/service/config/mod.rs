//! The configuration: the file as written, then what is meant.
