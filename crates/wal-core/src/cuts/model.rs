//! A reader beside a writer that cuts, in every order: it never goes from one history to the other behind the cut,
//! wherever the writer is.

use std::sync::Arc;

use loom::thread::spawn;

use super::*;
use crate::commit::model::{check, fails};

/// The edition of each entry.
type View = Vec<u64>;

#[derive(Default)]
struct Log {
    cuts: Cuts,
    view: Mutex<Arc<View>>,
}

impl Log {
    fn show(&self, view: View) {
        *self.view.lock() = Arc::new(view);
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock())
    }

    /// Reads as an iterator does. Ends early when what it stands on was cut off.
    fn read(&self) -> View {
        let mut generation = self.cuts.generation();
        let mut view = self.view();
        let mut read = View::new();
        for lsn in (1..).map_while(Lsn::new) {
            if self.cuts.generation() != generation {
                if self.cuts.notice(&mut generation, lsn).is_err() {
                    break;
                }
                view = self.view();
            }
            match view.get(read.len()) {
                Some(edition) => read.push(*edition),
                None => break,
            }
        }
        read
    }
}

/// Three entries wait in memory, of which there is one for all; those behind the first leave it and are cut off, and
/// others wait in their place, while somebody reads. Whoever `asks_again` does so after each look.
fn in_memory(asks_again: bool) {
    let log = Arc::new((Cuts::default(), Mutex::new(vec![1, 1, 1])));
    let writes = Arc::clone(&log);
    let writer = spawn(move || {
        writes.1.lock().truncate(1);
        writes.0.cut(Lsn::FIRST.next());
        *writes.1.lock() = vec![1, 2, 2];
    });
    let (cuts, memory) = &*log;
    let mut generation = cuts.generation();
    let mut read = View::new();
    while let Some(lsn) = Lsn::new(read.len() as u64 + 1) {
        if cuts.generation() != generation && cuts.notice(&mut generation, lsn).is_err() {
            break;
        }
        let edition = memory.lock().get(read.len()).copied();
        if asks_again && cuts.generation() != generation {
            continue;
        }
        match edition {
            Some(edition) => read.push(edition),
            None => break,
        }
    }
    assert!([1, 1, 1].starts_with(&read) || [1, 2, 2].starts_with(&read), "two histories in one: {read:?}");
    writer.join().unwrap();
}

/// Three entries; those behind the first are cut off and written anew, while somebody reads.
fn beside(writer: impl FnOnce(&Log, Lsn, View) + Send + 'static) {
    let log = Arc::new(Log::default());
    log.show(vec![1, 1, 1]);
    let writes = Arc::clone(&log);
    let writer = spawn(move || {
        writer(&writes, Lsn::FIRST.next(), vec![1, 2, 2]);
        writes.cuts.stir();
    });
    let read = log.read();
    assert!([1, 1, 1].starts_with(&read) || [1, 2, 2].starts_with(&read), "two histories in one: {read:?}");
    writer.join().unwrap();
    assert_eq!(log.read(), [1, 2, 2]);
}

/// The same log in another process, which takes in at once what was cut and what came instead.
#[derive(Default)]
struct Beside {
    log: Log,
    /// Held while a look is taken in.
    look: Mutex<()>,
}

/// Two halves are read with a look in between or not, and then it is asked whether they are of one history.
fn halves(look: impl FnOnce(&Beside), asks: impl FnOnce(&Beside, u64) -> Option<Lsn> + Send + 'static) {
    let beside = Arc::new(Beside::default());
    beside.log.show(vec![1, 1, 1]);
    let reads = Arc::clone(&beside);
    let reader = spawn(move || {
        let generation = reads.log.cuts.generation();
        let (first, second) = (reads.log.view(), reads.log.view());
        if asks(&reads, generation).is_none() {
            assert_eq!(first, second, "two histories in one");
        }
    });
    look(&beside);
    reader.join().unwrap();
}

/// As `look_again` does.
fn look(beside: &Beside) {
    let _look = beside.look.lock();
    beside.log.show(vec![1, 2, 2]);
    beside.log.cuts.cut(Lsn::FIRST.next());
}

/// As `get_many` does.
fn ask(beside: &Beside, generation: u64) -> Option<Lsn> {
    let _look = beside.look.lock();
    beside.log.cuts.since(generation)
}

#[test]
fn halves_are_of_one_history_whenever_another_process_looks() {
    check(4, || halves(look, ask));
}

#[test]
fn whoever_asks_in_the_middle_of_a_look_is_caught() {
    fails(4, || halves(look, |beside, generation| beside.log.cuts.since(generation)));
}

#[test]
fn a_look_that_tells_of_a_cut_before_it_shows_it_is_caught() {
    fails(4, || {
        let look = |beside: &Beside| {
            let _look = beside.look.lock();
            beside.log.cuts.cut(Lsn::FIRST.next());
            beside.log.show(vec![1, 2, 2]);
        };
        halves(look, ask);
    });
}

#[test]
fn a_reader_never_splices_two_histories() {
    check(4, || {
        beside(|log, next, view| {
            log.show(view);
            log.cuts.cut(next);
        });
    });
}

#[test]
fn a_cut_that_is_told_before_it_is_shown_is_caught() {
    fails(4, || {
        beside(|log, next, view| {
            log.cuts.cut(next);
            log.show(view);
        });
    });
}

#[test]
fn a_cut_that_nobody_is_told_of_is_caught() {
    fails(4, || beside(|log, _, view| log.show(view)));
}

#[test]
fn what_waits_in_memory_is_of_one_history() {
    check(4, || in_memory(true));
}

#[test]
fn whoever_does_not_ask_again_after_a_look_at_memory_is_caught() {
    fails(4, || in_memory(false));
}
