//! Many names of one directory: from a listing where that asks less, otherwise one by one, many at once.

use super::{HdfsStorage, name_of, size_of};
use crate::model::Location;
use crate::storage::below::is_exact;
use crate::storage::remote::Again;
use crate::storage::{Presence, StorageError, StorageErrorKind};
use foldhash::{HashMap, HashSet};
use hdfs_native::Client;
use hdfs_native::client::FileStatus;

/// So few names are asked for one by one.
const FEW: usize = 8;
/// A listing tells of so many entries in the time that it takes to ask for one name (measured: 40).
const LISTED_PER_NAME: usize = 32;
/// So many entries are listed at least.
const LISTED_AT_LEAST: usize = 4000;

/// What is at a name.
type Found = Result<Option<FileStatus>, StorageError>;

impl HdfsStorage {
    /// What is at names of a directory, in their order.
    pub(super) fn statuses(&self, dir: &Location, names: &[&str]) -> Vec<Found> {
        let listed = if names.len() > FEW { self.listed(dir, names) } else { Ok(None) };
        let (known, complete) = match listed {
            Ok(Some((known, complete))) => (known, complete),
            Ok(None) => (HashMap::default(), false),
            Err(error) => return vec![Err(error); names.len()],
        };
        let mut found: Vec<Option<Found>> = names
            .iter()
            .map(|name| match known.get(*name).cloned() {
                Some(status) => Some(Ok(Some(status))),
                None if complete && is_exact(name) => Some(Ok(None)),
                None => None,
            })
            .collect();
        let unknown: Vec<usize> = (0..).zip(&found).filter(|(_, found)| found.is_none()).map(|(at, _)| at).collect();
        let places: Vec<Location> =
            unknown.iter().filter_map(|at| names.get(*at)).map(|name| dir.with_suffix(&format!("/{name}"))).collect();
        let storage = self.clone();
        let asked = self.remote.each(places, move |_, place| {
            let storage = storage.clone();
            async move { storage.status_if_there(&place).await }
        });
        for (at, answer) in unknown.into_iter().zip(asked) {
            if let Some(found) = found.get_mut(at) {
                *found = Some(answer);
            }
        }
        let unasked = || Err(StorageError::new(StorageErrorKind::Other, dir, "it was not asked for"));
        found.into_iter().map(|found| found.unwrap_or_else(unasked)).collect()
    }

    /// What a listing says of names, and whether it says it of all; none of one that is not there or no directory.
    #[expect(clippy::type_complexity)]
    fn listed(
        &self,
        dir: &Location,
        names: &[&str],
    ) -> Result<Option<(HashMap<String, FileStatus>, bool)>, StorageError> {
        let most = names.len().saturating_mul(LISTED_PER_NAME).max(LISTED_AT_LEAST);
        let listed = match self.remote.wait(self.list_some(dir, most)) {
            Err(error) if error.is_not_found() => return Ok(Some((HashMap::default(), true))),
            listed => listed?,
        };
        let wanted: HashSet<&str> = names.iter().copied().collect();
        let known = listed.entries.into_iter().filter(|status| wanted.contains(name_of(status)));
        let known = known.map(|status| (name_of(&status).to_owned(), status)).collect();
        Ok(Some((known, listed.complete)))
    }

    /// Judges names of a directory.
    pub(super) fn presence_of(&self, dir: &Location, names: &[&str], progress: &dyn Fn(u64)) -> Vec<Presence> {
        let found = self.statuses(dir, names);
        let may_open = self.may_open(dir, names, &found);
        let closed = self.are_closed(dir, names, &found);
        let judge = |(found, checks): (Found, [Result<(), StorageError>; 2])| match found {
            Ok(None) => Presence::Missing,
            Ok(Some(status)) if status.isdir => Presence::NotAFile,
            Ok(Some(status)) => match checks.into_iter().collect::<Result<(), StorageError>>() {
                Ok(()) => Presence::File { size: size_of(&status) },
                Err(error) => Presence::from_error(error),
            },
            Err(error) => Presence::from_error(error),
        };
        let checks = may_open.into_iter().zip(closed).map(|(may_open, closed)| [may_open, closed]);
        let judged = found.into_iter().zip(checks).map(judge).collect();
        progress(names.len() as u64);
        judged
    }

    /// Whether the sizes that are listed are those of the files. Of one that is open for writing a NameNode knows what was
    /// synced to its last block first, or nothing, whatever is in it by now; and Flink merges the state of a running job into
    /// files that it keeps open. Closing a file sets its time of modification, which is that of its creation before
    /// (`INodeFile.toCompleteFile`); of those for which it does not tell, the NameNode is asked for their space.
    fn are_closed(&self, dir: &Location, names: &[&str], found: &[Found]) -> Vec<Result<(), StorageError>> {
        let mut asked = Vec::new();
        let mut question = Vec::with_capacity(names.len());
        for (name, found) in names.iter().zip(found) {
            let status = found.as_ref().ok().and_then(Option::as_ref).filter(|status| !status.isdir);
            let unsure = status.filter(|status| status.modification_time <= status.access_time);
            question.push(unsure.map(|status| {
                asked.push((dir.with_suffix(&format!("/{name}")), space_while_open(status)));
                asked.len() - 1
            }));
        }
        let storage = self.clone();
        let answers = self.remote.each(asked, move |_, (place, space)| {
            let storage = storage.clone();
            async move {
                let path = super::path_of(&place);
                let sum = |client: Client| async move { client.get_content_summary(path).await };
                if storage.attempt(&place, Again::Yes, sum).await?.space_consumed != space {
                    return Ok(());
                }
                let message = "it is open for writing: the NameNode does not know how large it is";
                Err(StorageError::new(StorageErrorKind::Transient, &place, message))
            }
        });
        question.into_iter().map(|question| answer_of(question, &answers)).collect()
    }

    /// Whether files may be read. Where the mode does not say so for everybody, the NameNode is asked: once for all of one
    /// directory that have the same owner, group and mode, and no further rules (`FsPermission`'s bit for an ACL).
    fn may_open(&self, dir: &Location, names: &[&str], found: &[Found]) -> Vec<Result<(), StorageError>> {
        const READABLE: u16 = 0o444;
        const HAS_ACL: u16 = 1 << 12;
        let mut asked: Vec<Location> = Vec::new();
        let mut alike = HashMap::default();
        let question: Vec<Option<usize>> = names
            .iter()
            .zip(found)
            .map(|(name, found)| {
                let status = found.as_ref().ok().and_then(Option::as_ref).filter(|status| !status.isdir)?;
                let has_acl = status.permission & HAS_ACL != 0;
                if status.permission & READABLE == READABLE && !has_acl {
                    return None;
                }
                let mut ask = || {
                    asked.push(dir.with_suffix(&format!("/{name}")));
                    asked.len() - 1
                };
                // A name with a slash in it is of another directory.
                if has_acl || name.contains('/') {
                    return Some(ask());
                }
                let key = (status.owner.clone(), status.group.clone(), status.permission);
                Some(*alike.entry(key).or_insert_with(ask))
            })
            .collect();
        let storage = self.clone();
        let answers: Vec<Result<(), StorageError>> = self.remote.each(asked, move |_, place| {
            let storage = storage.clone();
            async move {
                let path = super::path_of(&place);
                let opened = storage.attempt(&place, Again::Yes, |client| async move { client.read(path).await });
                opened.await.map(|_| ())
            }
        });
        question.into_iter().map(|question| answer_of(question, &answers)).collect()
    }
}

/// The answer to a question, where one was asked.
fn answer_of(question: Option<usize>, answers: &[Result<(), StorageError>]) -> Result<(), StorageError> {
    question.and_then(|at| answers.get(at)).cloned().unwrap_or(Ok(()))
}

/// The space that a NameNode counts for a file of such a size while it is open: its last block as a whole one, on each of
/// its nodes (`INodeFile.storagespaceConsumed`). That of one that is closed is never as much: it is its size on each node.
fn space_while_open(status: &FileStatus) -> u64 {
    let block = status.blocksize.unwrap_or(0).max(1);
    let blocks = (status.length as u64 / block).saturating_add(1);
    blocks.saturating_mul(block).saturating_mul(u64::from(status.replication.unwrap_or(1)))
}
