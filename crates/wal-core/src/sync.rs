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

    pub(crate) use parking_lot::{Condvar, Mutex};
}

#[cfg(all(test, loom))]
mod modelled {
    use std::{
        ops::{Deref, DerefMut},
        time::Duration,
    };

    pub(crate) use self::thread::Thread;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};

    /// Never poisoned, like the usual one.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { mutex: &self.0, inner: Some(self.0.lock().unwrap()) }
        }
    }

    pub(crate) struct MutexGuard<'a, T> {
        mutex: &'a loom::sync::Mutex<T>,
        /// Nothing only inside of a wait.
        inner: Option<loom::sync::MutexGuard<'a, T>>,
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.inner.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.inner.as_mut().unwrap()
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    /// How a wait ended, which nobody asks.
    pub(crate) struct WaitTimeoutResult;

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            guard.inner = guard.inner.take().map(|inner| self.0.wait(inner).unwrap());
        }

        pub(crate) fn wait_while<T>(
            &self,
            guard: &mut MutexGuard<'_, T>,
            mut waits: impl FnMut(&mut T) -> bool,
        ) {
            while waits(guard) {
                self.wait(guard);
            }
        }

        /// There is no time in a model: it is over as soon as others had a chance, unless it is endless.
        pub(crate) fn wait_while_for<T>(
            &self,
            guard: &mut MutexGuard<'_, T>,
            mut waits: impl FnMut(&mut T) -> bool,
            timeout: Duration,
        ) -> WaitTimeoutResult {
            if timeout == Duration::MAX {
                self.wait_while(guard, waits);
            } else if waits(guard) {
                guard.inner = None;
                thread::yield_now();
                guard.inner = Some(guard.mutex.lock().unwrap());
            }
            WaitTimeoutResult
        }
    }

    /// Parking after its documentation. In loom's own, a token that comes late also ends the wait for a lock.
    pub(crate) mod thread {
        use std::{sync::Arc, time::Duration};

        use super::{Condvar, Mutex};

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
            parked.1.wait_while(&mut token, |token| !*token);
            *token = false;
        }

        /// There is no time in a model: it always returns early, which the usual one may, too.
        pub(crate) fn park_timeout(_: Duration) {
            *current().0.0.lock() = false;
            yield_now();
        }
    }
}
