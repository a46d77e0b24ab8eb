//! What a log needs from its surroundings: time and chance. Both arrive as arguments, so that tests decide them.

use std::{fmt, time::Duration};

/// Two clocks: one for stamps, one for waiting.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Nanoseconds since 1970. Read once for every append, so a coarse clock is welcome; it may jump, and the log
    /// never lets its own stamps run backwards.
    fn now(&self) -> u64;

    /// Time since some fixed moment; never goes backwards. Best if it goes on while the machine is suspended: what it
    /// leaves out, retention by age does not count either.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the system. Stamps have a resolution of some milliseconds on Linux, where reading a coarse clock
/// costs a fifth of reading a fine one.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
impl Clock for SystemClock {
    fn now(&self) -> u64 {
        nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)))
    }
}

#[cfg(target_os = "linux")]
fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(target_os = "linux"))]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
    fn now(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// Where log ids and salts come from.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// The next 64 random bits.
    fn next(&self) -> u64;
}

/// Random bits of the operating system, as the standard library hands them to its hash maps.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next(&self) -> u64 {
        use std::hash::{BuildHasher, RandomState};
        // Each state is keyed with fresh or incremented random keys; hashing a constant under it spreads them.
        RandomState::new().hash_one(0x77_61_6c_u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_gives_time_and_chance() {
        assert!(SystemClock.now() > 1_700_000_000_000_000_000);
        assert!(SystemClock.monotonic() <= SystemClock.monotonic());
        assert_ne!(SystemEntropy.next(), SystemEntropy.next());
    }
}
