//! Bytes of which many threads keep parts.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::LocalKey,
};

use bytes::Bytes;

/// So many threads can keep and let go of parts without waiting for each other.
const STRIPES: usize = 16;

/// Bytes with several counts of who keeps a part of them. One count that all cores change is in none of their caches:
/// two threads that read what is in memory were half as fast as one. A thread always asks for the same one.
pub(super) struct Striped<T> {
    owner: T,
    stripes: [OnceLock<Bytes>; STRIPES],
}

/// Its count is in a cache line of its own.
#[repr(align(64))]
struct Alone<T>(T);

impl<T: AsRef<[u8]>> AsRef<[u8]> for Alone<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl<T: AsRef<[u8]> + Clone + Send + 'static> Striped<T> {
    /// The bytes of an owner, of which each clone must own the same ones.
    pub(super) const fn new(owner: T) -> Self {
        Self { owner, stripes: [const { OnceLock::new() }; STRIPES] }
    }

    /// All of them, counted where this thread counts.
    #[inline]
    pub(super) fn bytes(&self) -> &Bytes {
        let stripe = &self.stripes[stripe() % STRIPES];
        match stripe.get() {
            Some(bytes) => bytes,
            None => self.begin(stripe),
        }
    }

    #[cold]
    fn begin<'a>(&self, stripe: &'a OnceLock<Bytes>) -> &'a Bytes {
        stripe.get_or_init(|| Bytes::from_owner(Alone(self.owner.clone())))
    }
}

/// Which one this thread asks for: the next one at first.
#[inline]
fn stripe() -> usize {
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(STRIPES) };
    }
    let stripe = STRIPE.get();
    if stripe < STRIPES { stripe } else { choose(&STRIPE) }
}

#[cold]
fn choose(stripe: &'static LocalKey<Cell<usize>>) -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let chosen = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
    stripe.set(chosen);
    chosen
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn each_thread_counts_for_itself_and_all_see_the_same() {
        let striped = Striped::new(Bytes::from_static(b"bytes"));
        let ask = || {
            let one = striped.bytes();
            assert!(std::ptr::eq(one, striped.bytes()), "a thread asks the same one");
            assert_eq!(one, "bytes");
            std::ptr::from_ref(one).addr()
        };
        let asked: HashSet<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        // Threads of other tests take their turns, too.
        assert!(asked.len() > 1, "{asked:?}");
    }

    #[test]
    fn a_count_has_a_cache_line_of_its_own() {
        // It stands before the owner, in the same allocation.
        assert_eq!((align_of::<Alone<u8>>(), size_of::<Alone<u8>>()), (64, 64));
    }

    #[test]
    fn parts_outlive_what_they_are_of() {
        let part = Striped::new(Bytes::from_static(b"bytes")).bytes().slice(1..3);
        assert_eq!(part, "yt");
    }
}
