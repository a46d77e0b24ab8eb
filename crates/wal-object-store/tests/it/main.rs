//! Storage on objects.

mod storage;
