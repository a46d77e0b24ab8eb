//! Every request passes here: it waits for its turn, gets so much time, and is counted.

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use wal_segment::Requests;

use crate::{ObjectOptions, error::from_store};

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    Get,
    List,
    Delete,
}

/// So many keys are on a page of a listing.
const PAGE: u64 = 1000;

/// Upper bounds of times, in nanoseconds.
const TIMES: &[u64] = &[
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];
const BUCKETS: usize = TIMES.len() + 1;

/// Counts requests and holds back those that come too fast.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    made: [AtomicU64; 4],
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    pub(crate) settled: AtomicU64,
    throttled: AtomicU64,
    in_flight: AtomicU64,
    publish: [AtomicU64; BUCKETS],
    publish_sum: AtomicU64,
    /// When the bucket of tokens is full again.
    full_at: Mutex<Option<Instant>>,
}

impl Meter {
    /// The outcome of a request, unless it takes too long.
    pub(crate) async fn request<T>(
        &self,
        kind: Kind,
        options: &ObjectOptions,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<io::Result<T>> {
        self.turn(options.requests_per_second, 1).await;
        if let Some(made) = self.made.get(kind as usize) {
            made.fetch_add(1, Relaxed);
        }
        self.within(options, request).await
    }

    /// The same for what is a part of a request that has had its turn.
    pub(crate) async fn within<T>(
        &self,
        options: &ObjectOptions,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<io::Result<T>> {
        let _counted = InFlight::of(&self.in_flight);
        let outcome = timeout(options.request_timeout, request).await;
        let failed = match &outcome {
            Ok(outcome) => outcome.as_ref().is_err_and(is_failure),
            Err(_) => true,
        };
        self.failed.fetch_add(u64::from(failed), Relaxed);
        match outcome {
            Ok(outcome) => outcome.map(Ok),
            Err(_) => Ok(Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The same, with every error as one of the system's.
    pub(crate) async fn ask<T>(
        &self,
        kind: Kind,
        options: &ObjectOptions,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> io::Result<T> {
        self.request(kind, options, request).await.map_err(|error| from_store(&error))?
    }

    /// A listing of so many names took more than the one request that was counted.
    pub(crate) async fn listed(&self, names: usize, options: &ObjectOptions) {
        let more = (names as u64).saturating_sub(1) / PAGE;
        if let Some(made) = self.made.get(Kind::List as usize) {
            made.fetch_add(more, Relaxed);
        }
        self.turn(options.requests_per_second, more).await;
    }

    /// Takes so many tokens out of a bucket that holds those of one second, and waits until they are there.
    async fn turn(&self, per_second: u32, tokens: u64) {
        if per_second == 0 || tokens == 0 {
            return;
        }
        let now = Instant::now();
        let wait = {
            let mut full_at = self.full_at.lock();
            let full_in = full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
            let (full_in, wait) = take(full_in, per_second, tokens);
            *full_at = Some(now + full_in);
            wait
        };
        if !wait.is_zero() {
            self.throttled.fetch_add(1, Relaxed);
            sleep_until(now + wait).await;
        }
    }

    pub(crate) fn published(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.publish.get(TIMES.partition_point(|bound| *bound < took)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.publish_sum.fetch_add(took, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Requests {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let [puts, gets, lists, deletes] = self.made.each_ref().map(get);
        Requests {
            puts,
            gets,
            lists,
            deletes,
            sent_bytes: get(&self.sent_bytes),
            received_bytes: get(&self.received_bytes),
            failed: get(&self.failed),
            retries: get(&self.retries),
            settled: get(&self.settled),
            throttled: get(&self.throttled),
            in_flight: get(&self.in_flight),
            publish_counts: self.publish.iter().map(get).collect(),
            publish_bounds: TIMES,
            publish_sum: get(&self.publish_sum),
        }
    }
}

/// That there is nothing, or something already, is an answer.
fn is_failure(error: &object_store::Error) -> bool {
    use object_store::Error::{AlreadyExists, NotFound, NotModified, Precondition};
    !matches!(error, AlreadyExists { .. } | NotFound { .. } | NotModified { .. } | Precondition { .. })
}

/// From how long it takes until the bucket is full: the same after some tokens were taken, and how long the taker
/// waits.
fn take(full_in: Duration, per_second: u32, tokens: u64) -> (Duration, Duration) {
    let each = Duration::from_secs(1) / per_second.max(1);
    let full_in = full_in + each.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX));
    (full_in, full_in.saturating_sub(Duration::from_secs(1)))
}

/// A request that is under way, also when nobody waits for it any more.
struct InFlight<'a>(&'a AtomicU64);

impl<'a> InFlight<'a> {
    fn of(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Relaxed);
        Self(counter)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Attempts at one thing, with pauses between them that grow.
pub(crate) struct Attempts<'a> {
    meter: &'a Meter,
    options: &'a ObjectOptions,
    made: u32,
    began: Instant,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(meter: &'a Meter, options: &'a ObjectOptions) -> Self {
        Self { meter, options, made: 0, began: Instant::now() }
    }

    /// Whether there is to be another one. Returns when its time has come.
    pub(crate) async fn next(&mut self) -> bool {
        let made = self.made;
        self.made += 1;
        if made == 0 {
            return true;
        }
        let pause = self.options.pause_after(made - 1);
        if made >= self.options.attempts || self.began.elapsed() + pause >= self.options.give_up_after {
            return false;
        }
        self.meter.retries.fetch_add(1, Relaxed);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        true
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_requests_passes_at_once_and_the_rest_at_the_rate() {
        let mut full_in = Duration::ZERO;
        for n in 0..30_u32 {
            let (full, wait) = take(full_in, 10, 1);
            let due = Duration::from_millis(100) * (n + 1).saturating_sub(10);
            assert_eq!(wait, due, "request {n}");
            full_in = full;
        }
        // After a pause there are as many tokens as time has passed, and no more than those of a second.
        assert_eq!(take(Duration::from_millis(950), 10, 1).1, Duration::from_millis(50));
        assert_eq!(take(Duration::ZERO, 10, 25).1, Duration::from_millis(1500));
    }

    #[tokio::test]
    async fn attempts_end_by_number_and_by_time() {
        let meter = Meter::default();
        let few = ObjectOptions { attempts: 3, pause: Duration::ZERO, ..ObjectOptions::default() };
        let mut attempts = Attempts::new(&meter, &few);
        let mut made = 0;
        while attempts.next().await {
            made += 1;
        }
        assert_eq!((made, meter.snapshot().retries), (3, 2));
        let late = ObjectOptions { give_up_after: Duration::ZERO, ..few };
        let mut attempts = Attempts::new(&meter, &late);
        assert!(attempts.next().await && !attempts.next().await);
    }
}
