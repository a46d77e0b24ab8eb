//! Waiting for an append that has already returned.

use std::{
    future::Future,
    ops::RangeInclusive,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use wal_format::Lsn;

use crate::Error;

/// The promise of a submitted append: its entries have their LSNs and can be read; they are durable when the ticket
/// says so.
///
/// Wait with [`wait`](Self::wait) or [`wait_timeout`](Self::wait_timeout), ask with [`is_durable`](Self::is_durable),
/// be called with [`on_durable`](Self::on_durable), or `.await` it: it is a future that needs no particular runtime.
/// Dropping it cancels nothing.
///
/// ```
/// use wal::Wal;
/// # let dir = tempfile::tempdir()?;
/// let wal = Wal::open(dir.path())?;
/// let tickets: Vec<_> = (0..10).map(|n| wal.submit(format!("entry {n}"))).collect::<Result<_, _>>()?;
/// // Tickets complete in order, so waiting for the last one is waiting for all.
/// if let Some(last) = tickets.last() {
///     last.wait()?;
/// }
/// assert!(tickets.iter().all(|ticket| ticket.is_durable()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a submitted entry is not durable before its ticket says so"]
pub struct Ticket {
    inner: wal_core::Ticket,
}

impl Ticket {
    pub(crate) const fn new(inner: wal_core::Ticket) -> Self {
        Self { inner }
    }

    /// LSN of the first entry; of the only one, unless a batch was submitted.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.inner.lsn()
    }

    /// LSNs of all its entries.
    #[must_use]
    pub const fn lsns(&self) -> RangeInclusive<Lsn> {
        RangeInclusive::new(self.inner.lsn(), self.inner.last_lsn())
    }

    /// Whether the entries survive power loss. Never waits.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.inner.is_durable()
    }

    /// Returns when the entries are durable. The caller may find itself doing the sync, for itself and others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`](crate::ErrorKind::Full): not yet; free space and wait again. Any other error is final for
    /// this process. All have the outcome [`Outcome::Unknown`](crate::Outcome::Unknown): the entries may be there
    /// after the log is reopened.
    pub fn wait(&self) -> Result<(), Error> {
        self.inner.wait().map_err(Error::new)
    }

    /// Returns `true` when the entries are durable, `false` when that took longer than `timeout`. Another thread does
    /// the sync.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        self.inner.wait_timeout(timeout).map_err(Error::new)
    }

    /// Calls `call` once: when the entries are durable, or when it is certain that this process will not make them so.
    ///
    /// It is called at once when that is so already, else by whichever thread did the sync: it must not block.
    pub fn on_durable(&self, call: impl FnOnce(Result<(), Error>) + Send + 'static) {
        self.inner.on_durable(|result| call(result.map_err(Error::new)));
    }
}

impl Future for Ticket {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(context).map_err(Error::new)
    }
}
