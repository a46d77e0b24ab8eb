//! What the parts that threads share synchronise with: the usual types, or those of loom, which runs a test in every
//! order of its steps.

#[cfg(not(all(test, loom)))]
pub(crate) use self::usual::*;

#[cfg(all(test, loom))]
pub(crate) use self::modelled::*;

#[cfg(not(all(test, loom)))]
mod usual {
    pub(crate) use std::{
        sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence},
        thread::{self, Thread},
    };

    pub(crate) use parking_lot::Mutex;
}

#[cfg(all(test, loom))]
mod modelled {
    pub(crate) use self::thread::Thread;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};

    /// Never poisoned, like the usual one.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    /// Parking after its documentation. In loom's own, a token that comes late also ends the wait for a lock.
    pub(crate) mod thread {
        use std::{sync::Arc, time::Duration};

        use loom::sync::Condvar;

        use super::Mutex;

        pub(crate) use loom::thread::yield_now;

        #[derive(Clone, Debug, Default)]
        pub(crate) struct Thread(Arc<(Mutex<bool>, Condvar)>);

        impl Thread {
            pub(crate) fn unpark(&self) {
                *self.0.0.lock() = true;
                self.0.1.notify_one();
            }
        }

        loom::thread_local! {
            static CURRENT: Thread = Thread::default();
        }

        pub(crate) fn current() -> Thread {
            CURRENT.with(Clone::clone)
        }

        pub(crate) fn park() {
            let Thread(parked) = current();
            let mut token = parked.0.lock();
            while !*token {
                token = parked.1.wait(token).unwrap();
            }
            *token = false;
        }

        /// There is no time in a model: it always returns early, which the usual one may, too.
        pub(crate) fn park_timeout(_: Duration) {
            *current().0.0.lock() = false;
            yield_now();
        }
    }
}
