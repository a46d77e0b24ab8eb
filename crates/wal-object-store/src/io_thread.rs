//! Where requests run, and how a synchronous caller waits for them.

use std::{
    future::Future,
    io,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// A runtime for requests.
#[derive(Debug)]
pub(crate) struct IoThread {
    handle: Handle,
    /// Ends the thread of our own when dropped.
    own: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// The outcome of a request that is on its way.
#[derive(Debug)]
pub(crate) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// Waits for it.
    pub(crate) fn wait(self) -> io::Result<T> {
        let ended = |_| io::Error::other("the runtime that makes the requests has ended");
        self.0.recv().map_err(ended)
    }
}

impl IoThread {
    pub(crate) fn new(runtime: Option<Handle>) -> io::Result<Self> {
        if let Some(handle) = runtime {
            return Ok(Self { handle, own: None });
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("wal-object-io".to_owned()).spawn(move || {
            // Dropping the sender ends it, too.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { handle, own: Some((stop, thread)) })
    }

    /// Starts a request.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Pending<T> {
        let (done, outcome) = sync_channel(1);
        self.handle.spawn(async move {
            // Whoever asked may not wait any more.
            let _ = done.try_send(request.await);
        });
        Pending(outcome)
    }

    /// Makes a request and waits for its outcome.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        request: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> io::Result<T> {
        self.start(request).wait()?
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.own.take() {
            drop(stop);
            // The last owner may be a request itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
