//! Tasks that wait for a ticket: woken in every order, wherever they have moved.

use std::task::{Wake, Waker};

use super::*;

/// A task that sleeps until it is woken, and counts how often it was.
struct Task {
    sleeper: Arc<Sleeper>,
    wakes: AtomicU64,
}

impl Task {
    fn new() -> Arc<Self> {
        let sleeper = Sleeper::current();
        Arc::new(Self { sleeper, wakes: AtomicU64::new(0) })
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::AcqRel);
        self.sleeper.wake();
    }
}

fn poll(log: &Steps, poller: &mut Poller, tick: Tick, task: &Arc<Task>) -> bool {
    poller.poll(&log.queue, log, tick, &Waker::from(Arc::clone(task)), || {})
}

/// Polls once more when it is woken; a wake-up that got lost is a deadlock.
fn finish(log: &Steps, poller: &mut Poller, tick: Tick) {
    let task = Task::new();
    while !poll(log, poller, tick, &task) {
        task.sleeper.sleep();
        assert!(log.durable() >= tick || log.failure().is_some(), "woken too early");
    }
    assert!(task.wakes.load(Ordering::Acquire) <= 1, "woken twice");
}

#[test]
fn a_task_is_woken_when_another_thread_syncs() {
    check(4, || {
        let log = Steps::new(0);
        let tick = log.append();
        let other = spawned(&log, move |log| log.queue.wait(&**log, tick));
        finish(&log, &mut Poller::new(), tick);
        assert_eq!(other.join().unwrap(), Ok(()));
        assert!(!log.queue.has_others());
    });
}

#[test]
fn a_task_that_moved_is_woken_where_it_is_now() {
    for fail_at in [0, 1] {
        check(4, move || {
            let log = Steps::new(fail_at);
            let tick = log.append();
            let other = spawned(&log, move |log| log.queue.wait(&**log, tick));
            let (mut poller, before) = (Poller::new(), Task::new());
            if !poll(&log, &mut poller, tick, &before) {
                finish(&log, &mut poller, tick);
            }
            assert_eq!(other.join().unwrap().is_err(), fail_at == 1);
            assert!(before.wakes.load(Ordering::Acquire) <= 1, "woken twice");
        });
    }
}

#[test]
fn a_future_that_is_dropped_cancels_nothing() {
    check(4, || {
        let log = Steps::new(0);
        let tick = log.append();
        let other = spawned(&log, move |log| log.queue.wait(&**log, tick));
        let task = Task::new();
        let over = poll(&log, &mut Poller::new(), tick, &task);
        assert_eq!(other.join().unwrap(), Ok(()));
        assert!(over || task.wakes.load(Ordering::Acquire) == 1);
        assert!(log.durable() >= tick && !log.queue.has_others());
    });
}

#[test]
fn two_tasks_and_a_callback_each_hear_once() {
    check(2, || {
        let log = Steps::new(0);
        let calls = Arc::new(AtomicU64::new(0));
        let ticks = [log.append(), log.append()];
        let other = spawned(&log, move |log| finish(log, &mut Poller::new(), ticks[0]));
        let syncs = spawned(&log, move |log| log.queue.wait(&**log, ticks[1]));
        log.queue.notify(&*log, ticks[1], log.counted(ticks[1], &calls));
        finish(&log, &mut Poller::new(), ticks[1]);
        other.join().unwrap();
        assert_eq!(syncs.join().unwrap(), Ok(()));
        assert_eq!(calls.load(Ordering::Acquire), 1);
    });
}

#[test]
fn news_before_the_watermark_is_caught() {
    fails(4, || {
        let log = Steps::new(0);
        let tick = log.append();
        let other = spawned(&log, move |log| {
            log.queue.wake(&**log);
            log.set_durable(tick);
        });
        finish(&log, &mut Poller::new(), tick);
        other.join().unwrap();
    });
}

#[test]
fn a_registration_that_does_not_look_again_is_caught() {
    fails(4, || {
        let log = Steps::new(0);
        let tick = log.append();
        let other = spawned(&log, move |log| log.queue.wait(&**log, tick));
        let sleeper = Sleeper::current();
        if log.durable() < tick {
            log.queue.state.lock().others.push((tick, Notify::Wake(Arc::clone(&sleeper))));
            sleeper.sleep();
        }
        assert_eq!(other.join().unwrap(), Ok(()));
    });
}
