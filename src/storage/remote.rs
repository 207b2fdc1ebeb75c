//! What back ends over a network share: a runtime for their futures, a deadline for every call, more tries with growing
//! pauses, and a bound on how many calls are under way.
//!
//! The rest of the program is blocking. A thread that asks for something waits for it here, and no longer than
//! [`Limits::total`] allows: a server that is frozen gives `Transient`, which makes a snapshot unknown and never broken.

use super::{StorageError, StorageErrorKind};
use crate::model::Location;
use std::collections::HashSet;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How patient a back end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long one try of a call may take.
    pub call: Duration,
    /// How long all tries of a call may take, pauses included.
    pub total: Duration,
    /// How often a call is tried that fails in passing.
    pub tries: u32,
    /// The pause after the first try. It doubles from try to try, up to fifty times as much.
    pub pause: Duration,
    /// How many calls are under way at once.
    pub at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            call: Duration::from_secs(30),
            total: Duration::from_secs(120),
            tries: 8,
            pause: Duration::from_millis(100),
            at_once: 32,
        }
    }
}

/// Whether a call may be made again after one that failed in passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It reads, or does the same however often it is done.
    Yes,
    /// It might be done twice: the answer to the first try may have been lost.
    No,
}

/// Carries out the calls of a back end. Clones share their threads and their bound.
#[derive(Clone)]
pub struct Remote {
    runtime: Arc<Runtime>,
    limits: Limits,
    calls: Arc<Semaphore>,
    /// Schemes and authorities that let all the time of a call pass, and gave no answer since.
    silent: Arc<Mutex<HashSet<Server>>>,
}

/// A scheme and an authority.
type Server = (Option<String>, Option<String>);

/// How long an answer is waited for from a server that was silent for all the time that a call has: a run over hundreds of
/// directories would not end otherwise.
const SILENT: Duration = Duration::from_secs(5);

fn server(place: &Location) -> Server {
    (place.scheme().map(str::to_owned), place.authority().map(str::to_owned))
}

impl Remote {
    /// A runtime of its own, with a few threads.
    pub fn new(limits: Limits) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(threads).thread_name("storage").enable_all().build()?;
        Ok(Remote {
            runtime: Arc::new(runtime),
            limits,
            calls: Arc::new(Semaphore::new(limits.at_once)),
            silent: Arc::default(),
        })
    }

    /// How patient it is.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits for a future that keeps deadlines of its own, such as one of [`Remote::attempt`].
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets a call that tries again by itself take no longer than all tries of one may.
    pub async fn in_time<T>(
        &self,
        place: &Location,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let limit = if self.is_silent(place) { self.limits.total.min(SILENT) } else { self.limits.total };
        match timeout(limit, call).await {
            Ok(answer) => {
                self.note(place, false);
                answer
            }
            Err(_) => {
                self.note(place, true);
                Err(no_answer(place, limit))
            }
        }
    }

    fn is_silent(&self, place: &Location) -> bool {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        !silent.is_empty() && silent.contains(&server(place))
    }

    /// Notes that a server let the time of a call pass, or that it answered.
    fn note(&self, place: &Location, is_silent: bool) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if is_silent {
            silent.insert(server(place));
        } else if !silent.is_empty() {
            silent.remove(&server(place));
        }
    }

    /// Runs a future beside the caller, on the threads of the runtime.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// Makes a call, and waits for its answer.
    pub fn call<T, F>(&self, place: &Location, again: Again, call: impl FnMut() -> F) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        self.wait(self.attempt(place, again, call))
    }

    /// Makes a call with its deadline, and again while it fails in passing and there are tries and time left.
    pub async fn attempt<T, F>(
        &self,
        place: &Location,
        again: Again,
        mut call: impl FnMut() -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let start = Instant::now();
        let silent = self.is_silent(place);
        let total = if silent { self.limits.total.min(SILENT) } else { self.limits.total };
        let tries = if again == Again::Yes && !silent { self.limits.tries.max(1) } else { 1 };
        let mut pause = self.limits.pause;
        let mut tried = 0;
        loop {
            // The bound is never closed, so that this cannot fail.
            let turn = self.calls.acquire().await.ok();
            let left = total.saturating_sub(start.elapsed()).min(self.limits.call);
            let answer = timeout(left, call()).await.unwrap_or_else(|_| Err(no_answer(place, left)));
            drop(turn);
            tried += 1;
            match answer {
                Err(error) if error.kind == StorageErrorKind::Transient => {
                    if tried >= tries || start.elapsed() + pause >= total {
                        // One that says at once that it is busy, or that nobody is there, does not hold a run up.
                        self.note(place, silent || start.elapsed() + pause >= total);
                        return Err(after_all(error, tried, start.elapsed()));
                    }
                    // Some of it by chance, so that those who failed together do not come back together.
                    sleep(pause.mul_f64(0.5 + chance() / 2.0)).await;
                    pause = (pause * 2).min(self.limits.pause * 50);
                }
                answer => {
                    self.note(place, false);
                    return answer;
                }
            }
        }
    }

    /// Makes calls for all items, as many at once as the bound allows. The answers are in the order of the items.
    pub fn each<I, T, F>(&self, items: Vec<I>, call: impl Fn(Remote, I) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.wait(async {
            let mut answers: Vec<Option<T>> = items.iter().map(|_| None).collect();
            let mut items = items.into_iter().enumerate();
            let mut running = JoinSet::new();
            loop {
                while running.len() < self.limits.at_once
                    && let Some((index, item)) = items.next()
                {
                    let future = call(self.clone(), item);
                    running.spawn(async move { (index, future.await) });
                }
                match running.join_next().await {
                    Some(Ok((index, answer))) => {
                        if let Some(slot) = answers.get_mut(index) {
                            *slot = Some(answer);
                        }
                    }
                    Some(Err(stopped)) => {
                        if let Ok(panic) = stopped.try_into_panic() {
                            std::panic::resume_unwind(panic);
                        }
                    }
                    None => break,
                }
            }
            answers.into_iter().flatten().collect()
        })
    }
}

fn no_answer(place: &Location, waited: Duration) -> StorageError {
    StorageError::new(StorageErrorKind::Transient, place, format!("no answer within {:.1} s", waited.as_secs_f64()))
}

fn after_all(error: StorageError, tried: u32, waited: Duration) -> StorageError {
    if tried == 1 {
        return error;
    }
    let message = format!("{} (tried {tried} times in {:.1} s)", error.message, waited.as_secs_f64());
    StorageError { message, ..error }
}

/// A number from 0 to 1, for pauses.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let bits = u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn place() -> Location {
        Location::parse("s3://b/x").expect("a place")
    }

    fn quick() -> Remote {
        let limits = Limits {
            call: Duration::from_millis(50),
            total: Duration::from_secs(5),
            tries: 4,
            pause: Duration::from_millis(1),
            at_once: 3,
        };
        Remote::new(limits).expect("a runtime")
    }

    fn failing(kind: StorageErrorKind) -> StorageError {
        StorageError::new(kind, &place(), "no")
    }

    #[test]
    fn what_fails_in_passing_is_tried_again_and_the_rest_is_not() {
        let remote = quick();
        let count = AtomicU32::new(0);
        let answer = remote.call(&place(), Again::Yes, || async {
            let done = count.fetch_add(1, Ordering::Relaxed);
            if done < 3 { Err(failing(StorageErrorKind::Transient)) } else { Ok(done) }
        });
        assert_eq!(answer, Ok(3));
        for (kind, again, wanted) in [
            (StorageErrorKind::Transient, Again::Yes, 4),
            (StorageErrorKind::Transient, Again::No, 1),
            (StorageErrorKind::NotFound, Again::Yes, 1),
        ] {
            let count = AtomicU32::new(0);
            let answer: Result<(), _> = remote.call(&place(), again, || async {
                count.fetch_add(1, Ordering::Relaxed);
                Err(failing(kind))
            });
            assert_eq!((answer.map_err(|e| e.kind), count.into_inner()), (Err(kind), wanted));
        }
    }

    #[test]
    fn a_call_without_an_answer_ends_as_one_that_failed_in_passing() {
        let answer: Result<(), _> = quick().call(&place(), Again::No, std::future::pending);
        assert_eq!(answer.map_err(|e| e.kind), Err(StorageErrorKind::Transient));
    }

    #[test]
    fn a_server_that_let_all_the_time_pass_is_waited_for_once_and_trusted_again_when_it_answers() {
        let limits = Limits { total: Duration::from_millis(150), ..quick().limits() };
        let remote = Remote::new(limits).expect("a runtime");
        let tries_of = |place: &Location, answers: bool| {
            let count = AtomicU32::new(0);
            let call = || async {
                count.fetch_add(1, Ordering::Relaxed);
                if answers { Ok(()) } else { std::future::pending().await }
            };
            let answer = remote.call(place, Again::Yes, call);
            assert_eq!(answer.is_ok(), answers);
            count.into_inner()
        };
        assert!(tries_of(&place(), false) > 1);
        assert_eq!(tries_of(&place(), false), 1, "it is silent");
        let other = Location::parse("s3://other/x").expect("a place");
        assert!(tries_of(&other, false) > 1, "another server");
        assert_eq!(tries_of(&place(), true), 1);
        assert!(tries_of(&place(), false) > 1, "it had answered");
    }

    #[test]
    fn many_calls_answer_in_their_order_and_not_all_are_under_way_at_once() {
        let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let answers = quick().each((0..20_u64).collect(), |_, number| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(Duration::from_millis(20 - number)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                number
            }
        });
        assert_eq!(answers, (0..20).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 3);
    }
}
