//! What a log on object storage asks of the store.

use wal_segment::Requests;

use super::{
    Histogram, MetricKind,
    series::{List, NANO},
};

/// What was asked of the store since its storage was made. Attempts count, each by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RequestStats {
    /// Creations of objects.
    pub puts: u64,
    /// Reads of objects and of what is known about them.
    pub gets: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Removals.
    pub deletes: u64,
    /// Bytes of the objects that were sent, each as often as it was.
    pub sent_bytes: u64,
    /// Bytes of objects that were received.
    pub received_bytes: u64,
    /// Requests that failed for another reason than that there is nothing, or something already.
    pub failed: u64,
    /// Requests that were made again because one before had failed.
    pub retries: u64,
    /// Publications whose outcome was unknown after an error, and that turned out to be done.
    pub settled: u64,
    /// Requests that had to wait for their turn because of a limit.
    pub throttled: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Nanoseconds that publishing an object took, with all attempts.
    pub publish_duration: Histogram,
}

impl From<Requests> for RequestStats {
    fn from(seen: Requests) -> Self {
        let (bounds, counts, sum) = (seen.publish_bounds, seen.publish_counts, seen.publish_sum);
        Self {
            puts: seen.puts,
            gets: seen.gets,
            lists: seen.lists,
            deletes: seen.deletes,
            sent_bytes: seen.sent_bytes,
            received_bytes: seen.received_bytes,
            failed: seen.failed,
            retries: seen.retries,
            settled: seen.settled,
            throttled: seen.throttled,
            in_flight: seen.in_flight,
            publish_duration: Histogram { bounds, counts, sum },
        }
    }
}

impl RequestStats {
    pub(super) fn series(&self, list: &mut List) {
        let kinds = [("put", self.puts), ("get", self.gets), ("list", self.lists), ("delete", self.deletes)];
        list.labelled(
            ("wal_object_requests", "Requests to the store, attempts included", MetricKind::Counter),
            kinds.map(|(kind, count)| (vec![("kind", kind.to_owned())], count)),
        );
        list.counter("wal_object_sent_bytes", "Bytes of objects sent to the store", self.sent_bytes);
        list.counter("wal_object_received_bytes", "Bytes of objects received from it", self.received_bytes);
        list.counter("wal_object_errors", "Requests that failed", self.failed);
        list.counter("wal_object_retries", "Requests made again after one that failed", self.retries);
        list.counter(
            "wal_object_settled",
            "Publications of unknown outcome that turned out to be done",
            self.settled,
        );
        list.counter("wal_object_throttled", "Requests that waited because of a limit", self.throttled);
        list.gauge("wal_object_in_flight", "Requests under way", self.in_flight);
        list.histogram(
            ("wal_object_publish_duration_seconds", "Time of publishing an object, attempts included"),
            &self.publish_duration,
            NANO,
        );
    }
}
