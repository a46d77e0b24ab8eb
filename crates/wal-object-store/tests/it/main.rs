//! Storage on objects, and logs on it.

mod faulty;
mod log;
mod schedules;
mod storage;
