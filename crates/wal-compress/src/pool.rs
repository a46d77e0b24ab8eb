use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How many idle contexts are kept. More threads than this may work at once; the surplus is freed afterwards, because
/// one context of zstd holds megabytes.
const IDLE_MAX: usize = 8;

/// Contexts of an algorithm that wait for their next use.
///
/// The lock is held for a push or a pop, never while a context works.
pub(crate) struct Pool<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }

    /// Runs `work` with an idle context, or with a new one made by `make`.
    ///
    /// A context that has failed is dropped instead of kept, so that a failure cannot reach the next use.
    pub(crate) fn with<R, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        // The lock guards a plain stack that no panic can leave half changed.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut context = match idle {
            Some(context) => context,
            None => make()?,
        };
        let result = work(&mut context)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(context);
        }
        Ok(result)
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Pool").field("idle", &idle).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_used_again_unless_it_failed() {
        let pool = Pool::new();
        let mut made = 0;
        let mut run = |work: Result<(), ()>| {
            let make = || {
                made += 1;
                Ok(made)
            };
            let _ = pool.with(make, |_| work);
            made
        };
        assert_eq!(run(Ok(())), 1);
        assert_eq!(run(Ok(())), 1);
        assert_eq!(run(Err(())), 1);
        assert_eq!(run(Ok(())), 2);
    }
}
