//! Checks of the namespace: create, open, list, rename, remove, lock.

use std::io::ErrorKind::{AlreadyExists, InvalidInput, NotFound, WouldBlock};

use super::{Check, content, kept, published, refused};
use crate::Storage;

pub(super) const CHECKS: &[Check] = &[
    only_plain_names_are_taken,
    create_is_exclusive,
    missing_names_are_not_found,
    list_names_every_file,
    rename_replaces_nothing,
    rename_keeps_content,
    rename_keeps_handles,
    remove_frees_the_name,
    remove_keeps_handles,
    lock_excludes_until_dropped,
];

fn only_plain_names_are_taken(storage: &dyn Storage) {
    published(storage, "a", b"content");
    for bad in ["", ".", "..", "/", "a/b", "../a", "a\\b", "a\0"] {
        let promise = format!("{bad:?} is no name");
        refused(&promise, storage.create(bad), &[InvalidInput]);
        refused(&promise, storage.open(bad), &[InvalidInput]);
        refused(&promise, storage.remove(bad), &[InvalidInput]);
        refused(&promise, storage.rename("a", bad), &[InvalidInput]);
        refused(&promise, storage.rename(bad, "b"), &[InvalidInput]);
    }
}

fn create_is_exclusive(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a"));
    assert!(kept("len tells the length", file.len()) == 0, "broken: a created file is empty");
    assert!(kept("is_empty tells", file.is_empty()), "broken: is_empty agrees with len");
    refused("create is exclusive", storage.create("a"), &[AlreadyExists]);
    kept("write_at writes to a created file", file.write_at(0, b"first"));
    kept("sync syncs a written file", file.sync());
    kept("sync_names syncs names", storage.sync_names());
    refused("create is exclusive", storage.create("a"), &[AlreadyExists]);
    assert!(content(&*file) == b"first", "broken: a refused create changes nothing");
}

fn missing_names_are_not_found(storage: &dyn Storage) {
    refused("open of a missing name is NotFound", storage.open("a"), &[NotFound]);
    refused("remove of a missing name is NotFound", storage.remove("a"), &[NotFound]);
    refused("rename of a missing name is NotFound", storage.rename("a", "b"), &[NotFound]);
    let names = kept("list works on an empty storage", storage.list());
    assert!(names.is_empty(), "broken: refused calls create no names, but there are {names:?}");
}

fn list_names_every_file(storage: &dyn Storage) {
    for name in ["00000000000000000001.wal", "b.tmp", "c"] {
        published(storage, name, b"content");
    }
    let mut names = kept("list lists", storage.list());
    names.sort();
    assert!(
        names == ["00000000000000000001.wal", "b.tmp", "c"],
        "broken: list names every file exactly once and nothing else, but it named {names:?}"
    );
}

fn rename_replaces_nothing(storage: &dyn Storage) {
    published(storage, "a", b"of a");
    published(storage, "b", b"of b");
    refused("rename replaces nothing", storage.rename("a", "b"), &[AlreadyExists]);
    for (name, want) in [("a", b"of a"), ("b", b"of b")] {
        let file = kept("a refused rename leaves both names", storage.open(name));
        assert!(content(&*file) == want, "broken: a refused rename leaves the content of {name}");
    }
}

fn rename_keeps_content(storage: &dyn Storage) {
    let file = kept("create makes a file under a free name", storage.create("a.tmp"));
    kept("write_at writes to a created file", file.write_at(0, b"content"));
    kept("rename renames a file that was created", storage.rename("a.tmp", "a"));
    kept("a handle can be synced after a rename", file.sync());
    kept("sync_names syncs names", storage.sync_names());
    let opened = kept("a renamed file is found under its new name", storage.open("a"));
    assert!(content(&*opened) == b"content", "broken: rename keeps the content");
    refused("a renamed file is gone under its old name", storage.open("a.tmp"), &[NotFound]);
    let names = kept("list lists", storage.list());
    assert!(names == ["a"], "broken: list names a renamed file once, but it named {names:?}");
    kept("a name that was renamed away is free", storage.create("a.tmp"));
}

fn rename_keeps_handles(storage: &dyn Storage) {
    if !storage.capabilities().append_after_sync {
        return;
    }
    let file = published(storage, "a.tmp", b"old");
    let reader = kept("open opens", storage.open("a.tmp"));
    kept("rename renames a file that was synced", storage.rename("a.tmp", "a"));
    kept("a handle can be written through after a rename", file.write_at(3, b" and new"));
    assert!(content(&*reader) == b"old and new", "broken: an open handle follows a renamed file");
    let opened = kept("a renamed file is found under its new name", storage.open("a"));
    assert!(content(&*opened) == b"old and new", "broken: writes after a rename reach the file");
}

fn remove_frees_the_name(storage: &dyn Storage) {
    published(storage, "a", b"old");
    kept("remove removes", storage.remove("a"));
    refused("a removed name is gone", storage.open("a"), &[NotFound]);
    let names = kept("list lists", storage.list());
    assert!(names.is_empty(), "broken: list leaves out removed names, but it named {names:?}");
    let again = published(storage, "a", b"n");
    assert!(content(&*again) == b"n", "broken: a name that is used again starts empty");
}

fn remove_keeps_handles(storage: &dyn Storage) {
    if !storage.capabilities().append_after_sync {
        return;
    }
    let created = published(storage, "a", b"content");
    let opened = kept("open opens", storage.open("a"));
    created.freeze(7);
    let views = [
        kept("view shows frozen bytes", created.view(2..7)),
        kept("view shows final bytes", opened.view(2..7)),
    ];
    kept("remove removes a file that is open", storage.remove("a"));
    published(storage, "a", b"another");
    for file in [created, opened] {
        assert!(content(&*file) == b"content", "broken: a removed file stays readable by open handles");
        let view = kept("a removed file stays viewable", file.view(0..7));
        assert!(view == "content", "broken: a removed file stays viewable by open handles");
    }
    for view in views {
        assert!(view == "ntent", "broken: a view keeps its bytes when the file is removed");
    }
}

fn lock_excludes_until_dropped(storage: &dyn Storage) {
    let first = kept("lock gives the right to write", storage.lock());
    let epoch = first.epoch;
    match storage.lock() {
        // A storage with epochs may let a newer writer fence the older one.
        Ok(second) => assert!(
            epoch.is_some() && second.epoch > epoch,
            "broken: a second writer is refused or has a greater epoch: {:?} after {epoch:?}",
            second.epoch
        ),
        Err(error) => refused::<()>("a second writer is refused", Err(error), &[WouldBlock]),
    }
    drop(first);
    let third = kept("dropping the lock gives the right up", storage.lock());
    assert!(
        epoch.is_none() && third.epoch.is_none() || third.epoch > epoch,
        "broken: epochs only grow: {:?} after {epoch:?}",
        third.epoch
    );
    let names = kept("list lists", storage.list());
    assert!(names.is_empty(), "broken: what a lock leaves behind is not listed, but there is {names:?}");
}
