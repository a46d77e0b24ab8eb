//! Whether a store can be trusted with a log. There are some that take the condition and write over what is there.

use std::{
    hash::{BuildHasher, RandomState},
    io,
};

use bytes::Bytes;
use object_store::{ObjectStoreExt, PutMode, PutOptions, path::Path};

use crate::{error::from_store, meter::Kind, publish::publish, remote::Shared};

/// How the names of probes begin; sixteen hexadecimal digits follow.
const PROBE: &str = "probe-";
const DIGITS: usize = 16;

/// Whether an object of this name belongs to no log and may be deleted. The names of a log's files may begin the same,
/// but they end in letters that are no digits.
pub(crate) fn is_probe(name: &str) -> bool {
    name.strip_prefix(PROBE)
        .is_some_and(|number| number.len() == DIGITS && number.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Creates an object, tries to create it again, reads the middle of it, and deletes it.
pub(crate) async fn probe(shared: &Shared, prefix: &Path) -> io::Result<()> {
    let number = RandomState::new().hash_one(prefix.as_ref());
    let name = format!("{PROBE}{number:016x}");
    let path = prefix.clone().join(name.as_str());
    let content = Bytes::from(format!("a probe {number:016x}"));
    publish(shared, &name, &path, &content).await?;
    let answers = ask(shared, &path, &content).await;
    // One that stays is a few bytes that nobody lists.
    let _ = shared.meter.ask(Kind::Delete, &shared.options, shared.store.delete(&path)).await;
    answers
}

async fn ask(shared: &Shared, path: &Path, content: &Bytes) -> io::Result<()> {
    refuses_again(shared, path).await?;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let mut attempts = shared.attempts();
    while attempts.next().await {
        match shared.get_once(path, 2..7, None).await {
            Ok((_, middle)) if middle == content.slice(2..7) => return Ok(()),
            Ok(_) => return Err(unfit("it does not serve the range of an object that was asked for")),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn refuses_again(shared: &Shared, path: &Path) -> io::Result<()> {
    use object_store::Error::{AlreadyExists, NotImplemented, Precondition};
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    let mut attempts = shared.attempts();
    while attempts.next().await {
        let put = shared.store.put_opts(path, "another".into(), PutOptions::from(PutMode::Create));
        match shared.meter.request(Kind::Put, &shared.options, put).await {
            Err(AlreadyExists { .. } | Precondition { .. }) => return Ok(()),
            Ok(Ok(_)) => {
                return Err(unfit(
                    "it creates an object although there is one, so two writers could overwrite each other",
                ));
            }
            Err(error @ NotImplemented { .. }) => return Err(from_store(&error)),
            Err(error) => last = from_store(&error),
            Ok(Err(error)) => last = error,
        }
    }
    Err(last)
}

fn unfit(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("this store cannot keep a log: {why}"))
}
