//! Several things at a time, on threads of the caller.

use crate::model::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Questions to a remote store that are under way at once: each waits for its answer most of the time.
const REMOTE: usize = 16;

/// How many threads pay for work on files at these places: one for each core, and more where answers come over a network.
pub fn threads_for<'l>(places: impl IntoIterator<Item = &'l Location>) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if places.into_iter().all(Location::is_local) { cores } else { cores.max(REMOTE) }
}

/// Does something with all of a list on so many threads, and keeps the order. A panic is passed on.
pub fn in_parallel<T: Sync, R: Send>(list: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(list.len()));
    let run = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = list.get(index) else { break };
            let value = work(item);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, value));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(list.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_in_the_order_of_the_list_on_any_number_of_threads() {
        let list: Vec<u32> = (0..500).collect();
        for threads in [0, 1, 3, 600] {
            assert_eq!(in_parallel(&list, threads, |n| n * 2), list.iter().map(|n| n * 2).collect::<Vec<_>>());
        }
        assert!(in_parallel(&[(); 0], 4, |()| ()).is_empty());
    }

    #[test]
    fn answers_over_a_network_are_waited_for_by_more_threads() {
        let at = |text: &str| Location::parse(text).expect("a place");
        let local = [at("/a"), at("file:/b")];
        let cores = thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(threads_for(&local), cores);
        assert!(threads_for(&[at("/a"), at("s3://b/c")]) >= REMOTE);
    }
}
