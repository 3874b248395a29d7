//! The logic, on a bucket in memory.
