//! The power cut: what may be left, and making it so.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    choices::{Choices, Count, Fate},
    garbage,
    inode::Inode,
    names::{InodeId, NameFates},
    options::Unwritten,
    random::Rng,
    state::State,
};

/// Everything that one power cut decides.
#[derive(Debug)]
pub(crate) struct Verdict {
    names: NameFates,
    files: BTreeMap<InodeId, FileVerdict>,
}

#[derive(Debug)]
struct FileVerdict {
    len: u64,
    fates: Vec<Fate>,
    /// The seed of what lies where nothing was written; zeros when there is none.
    garbage: Option<u64>,
}

/// How many ways there are to decide, as far as 64 bits count.
pub(crate) fn count(state: &State) -> u64 {
    let mut count = Count(1);
    decide(state, &mut count);
    count.0
}

/// Decides what a power cut leaves.
pub(crate) fn decide(state: &State, choices: &mut dyn Choices) -> Verdict {
    let names = state.names.decide(state.options.names, choices);
    let survivors = state.names.survivors();
    let open = state.inodes.iter().filter(|(id, inode)| survivors.contains(id) && !inode.is_settled());
    let files = open.map(|(&id, inode)| (id, decide_file(inode, state.options.unwritten, choices))).collect();
    Verdict { names, files }
}

fn decide_file(inode: &Inode, unwritten: Unwritten, choices: &mut dyn Choices) -> FileVerdict {
    choices.next_file();
    let lens = inode.lens();
    let is_longer = lens.len() > 1;
    let len = if is_longer { choices.len(&lens) } else { inode.durable().len() as u64 };
    let is_garbage = match unwritten {
        Unwritten::Zeros => false,
        Unwritten::Garbage => true,
        Unwritten::Any => is_longer && choices.pick(2) == 1,
    };
    let garbage = is_garbage.then(|| choices.noise());
    let fates = (0..inode.piece_count()).map(|_| choices.piece()).collect();
    FileVerdict { len, fates, garbage }
}

/// Leaves of the state what was decided. No process survives it.
pub(crate) fn cut(state: &mut State, verdict: &Verdict) {
    // What the files held before is what their lost parts may show.
    let mut old = Vec::new();
    if verdict.files.values().any(|file| file.garbage.is_some()) {
        old.extend(state.graveyard.iter().cloned());
        for inode in state.inodes.values() {
            old.extend(
                [inode.durable(), inode.cached()].into_iter().filter(|bytes| bytes.len() >= 8).cloned(),
            );
        }
    }
    for (id, file) in &verdict.files {
        if let Some(inode) = state.inodes.get_mut(id) {
            *inode = Arc::new(inode.cut(file.len, &file.fates, |image, start| {
                if let Some(seed) = file.garbage {
                    garbage::fill(image, start, &old, &mut Rng::new(seed));
                }
            }));
        }
    }
    state.names = state.names.cut(&verdict.names);
    for (name, id) in state.names.current() {
        if let Some(inode) = state.inodes.get_mut(id).filter(|inode| inode.name != *name) {
            Arc::make_mut(inode).name = Arc::clone(name);
        }
    }
    state.end_process();
}
