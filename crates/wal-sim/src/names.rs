//! The directory: which names lead to which files, durably and for now.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use crate::{
    choices::{Choices, Fate},
    options::NameOrder,
};

/// A number that one file has for ever.
pub(crate) type InodeId = u64;

/// Names, by what a power cut leaves of them. A file has one name at most.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    durable: BTreeMap<Arc<str>, InodeId>,
    current: BTreeMap<Arc<str>, InodeId>,
    /// In order of issue.
    pending: Vec<NameChange>,
}

/// A creation, a rename or a removal: they differ only in the name that the file has afterwards.
#[derive(Clone, Debug)]
struct NameChange {
    inode: InodeId,
    to: Option<Arc<str>>,
    /// A sync of it failed: none that follows makes it durable.
    failed: bool,
}

/// What is to become of each pending change.
#[derive(Debug)]
pub(crate) struct NameFates(Vec<bool>);

impl Names {
    pub(crate) const fn current(&self) -> &BTreeMap<Arc<str>, InodeId> {
        &self.current
    }

    pub(crate) const fn durable(&self) -> &BTreeMap<Arc<str>, InodeId> {
        &self.durable
    }

    pub(crate) fn find(&self, name: &str) -> io::Result<InodeId> {
        self.current.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn check_free(&self, name: &str) -> io::Result<()> {
        if self.current.contains_key(name) { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    /// Gives a file its name: its first one, a new one, or none.
    pub(crate) fn change(&mut self, inode: InodeId, from: Option<&str>, to: Option<Arc<str>>) {
        if let Some(from) = from {
            self.current.remove(from);
        }
        if let Some(to) = &to {
            self.current.insert(Arc::clone(to), inode);
        }
        self.pending.push(NameChange { inode, to, failed: false });
    }

    /// Adds a durable name, which no pending change takes away.
    pub(crate) fn put(&mut self, name: Arc<str>, inode: InodeId) {
        self.pending.retain(|change| change.to.as_ref() != Some(&name));
        self.durable.insert(Arc::clone(&name), inode);
        self.current.insert(name, inode);
    }

    /// The files to which a name may lead after a power cut.
    pub(crate) fn survivors(&self) -> BTreeSet<InodeId> {
        let pending = self.pending.iter().filter(|change| change.to.is_some()).map(|change| change.inode);
        self.durable.values().copied().chain(pending).collect()
    }

    /// The files to which a name leads now.
    pub(crate) fn named(&self) -> BTreeSet<InodeId> {
        self.current.values().copied().collect()
    }

    pub(crate) fn sync(&mut self) {
        let (durable, steps) = self.after(|change| !change.failed);
        self.durable = durable;
        let mut step = 0;
        self.pending.retain(|change| {
            step += 1;
            change.failed && steps.get(&change.inode).is_none_or(|&last| last < step)
        });
    }

    pub(crate) fn fail_sync(&mut self) {
        self.pending.iter_mut().for_each(|change| change.failed = true);
    }

    pub(crate) fn decide(&self, order: NameOrder, choices: &mut dyn Choices) -> NameFates {
        let count = self.pending.len();
        NameFates(match order {
            NameOrder::Any => {
                choices.next_file();
                (0..count).map(|_| choices.piece() != Fate::Lost).collect()
            }
            NameOrder::Journal => {
                let kept = choices.pick(count as u64 + 1);
                (0..count as u64).map(|change| change < kept).collect()
            }
        })
    }

    /// The directory after a power cut.
    pub(crate) fn cut(&self, fates: &NameFates) -> Self {
        let mut fates = fates.0.iter();
        let (durable, _) = self.after(|_| fates.next().is_some_and(|&kept| kept));
        Self { current: durable.clone(), durable, pending: Vec::new() }
    }

    /// The durable names if these changes were kept and the others lost, and for each file the last change that
    /// made its name, counted from 1.
    ///
    /// A name that two files would then have belongs to the one that took it last, so the other must have left it: the
    /// change by which it did is kept after all. This is what keeps a durable file from losing both of its names when
    /// the old one is used again.
    fn after(
        &self,
        mut is_kept: impl FnMut(&NameChange) -> bool,
    ) -> (BTreeMap<Arc<str>, InodeId>, BTreeMap<InodeId, usize>) {
        let mut places: BTreeMap<InodeId, (usize, Option<Arc<str>>)> =
            self.durable.iter().map(|(name, &inode)| (inode, (0, Some(Arc::clone(name))))).collect();
        for (index, change) in self.pending.iter().enumerate() {
            if is_kept(change) {
                places.insert(change.inode, (index + 1, change.to.clone()));
            }
        }
        while let Some((inode, last)) = self.displaced(&places) {
            let later = self.pending.iter().enumerate().skip(last);
            let left = later.into_iter().find(|(_, change)| change.inode == inode);
            let place = left.map_or((usize::MAX, None), |(index, change)| (index + 1, change.to.clone()));
            places.insert(inode, place);
        }
        let names = places.iter().filter_map(|(&inode, (_, name))| Some((Arc::clone(name.as_ref()?), inode)));
        (names.collect(), places.iter().map(|(&inode, (step, _))| (inode, *step)).collect())
    }

    /// A file whose name another took later, with the step at which it got that name.
    fn displaced(&self, places: &BTreeMap<InodeId, (usize, Option<Arc<str>>)>) -> Option<(InodeId, usize)> {
        let mut holders: BTreeMap<&str, (InodeId, usize)> = BTreeMap::new();
        for (&inode, (step, name)) in places {
            let Some(name) = name else { continue };
            if let Some((other, since)) = holders.insert(name, (inode, *step)) {
                return Some(if since < *step { (other, since) } else { (inode, *step) });
            }
        }
        None
    }
}

/// Refuses what is not a plain file name.
pub(crate) fn check_plain(name: &str) -> io::Result<()> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\\', '\0']) {
        let why = format!("{name:?} is not a plain file name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(())
}
