//! Benchmarks of the write-ahead log against raw system calls.
