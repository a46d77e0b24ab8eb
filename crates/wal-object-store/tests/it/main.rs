//! Storage on objects, and logs on it.

mod faulty;
mod log;
mod storage;
