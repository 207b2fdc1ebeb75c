//! Looking at single objects and at lists of them.

use super::keys::{self, Key};
use super::{Inner, ObjectStorage, nothing, other};
use crate::model::Location;
use crate::storage::{Details, EntryKind, Presence, Stat, StorageError, StorageErrorKind, below};
use foldhash::{HashMap, HashMapExt as _, HashSet};
use futures::StreamExt as _;
use jiff::Timestamp;
use opendal::Entry;
use opendal::options::ListOptions;

/// A page has at most so many entries on most stores.
pub const PAGE: usize = 1000;
/// So few names are asked for one by one.
const FEW: usize = 2;
/// For so many names a page is listed more, before the rest are asked for one by one.
const NAMES_FOR_A_PAGE: usize = 16;

/// The pages of a listing.
pub type Pages = futures::stream::ReadyChunks<opendal::Lister>;

impl Inner {
    /// What is at a place.
    pub async fn stat(&self, place: &Location, key: &Key) -> Result<Stat, StorageError> {
        let directory = Stat { kind: EntryKind::Directory, size: 0, modified: None };
        if self.has_directories {
            let path = if key.is_root() { "/" } else { key.file() };
            let metadata = self.patient.stat(path).await.map_err(self.fail(place))?;
            let modified = metadata.last_modified().map(Timestamp::from);
            return Ok(match metadata.is_dir() {
                true => Stat { modified, ..directory },
                false => Stat { kind: EntryKind::File, size: metadata.content_length(), modified },
            });
        }
        if key.is_root() {
            // It is there if the bucket is.
            return self.first(place, "/").await.map(|_| directory);
        }
        // Of the keys that begin with this one it is the first.
        match self.first(place, key.file()).await? {
            None => Err(nothing(place)),
            Some(entry) if entry.path() == key.file() => Ok(stat_of(&entry)),
            Some(entry) if key.rest(entry.path()).is_some() => Ok(directory),
            Some(_) if self.first(place, &key.dir()).await?.is_some() => Ok(directory),
            Some(_) => Err(nothing(place)),
        }
    }

    /// The first of the keys that begin with a prefix.
    pub async fn first(&self, place: &Location, prefix: &str) -> Result<Option<Entry>, StorageError> {
        Ok(self.some(place, prefix, 1).await?.into_iter().next())
    }

    /// The first keys that begin with a prefix.
    pub async fn some(&self, place: &Location, prefix: &str, count: usize) -> Result<Vec<Entry>, StorageError> {
        let options = ListOptions { recursive: true, limit: Some(count), ..ListOptions::default() };
        let mut lister = self.patient.lister_options(prefix, options).await.map_err(self.fail_to_list(place))?;
        let mut entries = Vec::with_capacity(count);
        while entries.len() < count
            && let Some(entry) = self.remote.in_time(place, self.next(place, &mut lister)).await?
        {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The pages of a listing.
    pub async fn pages(&self, place: &Location, key: &Key, recursive: bool) -> Result<Pages, StorageError> {
        let options = ListOptions { recursive, ..ListOptions::default() };
        let lister = self.patient.lister_options(&key.dir(), options).await.map_err(self.fail_to_list(place))?;
        Ok(lister.ready_chunks(PAGE))
    }

    /// The next page of a listing; none at its end.
    pub async fn page(&self, place: &Location, pages: &mut Pages) -> Result<Option<Vec<Entry>>, StorageError> {
        let next = async {
            let Some(page) = pages.next().await else { return Ok(None) };
            page.into_iter().collect::<Result<Vec<Entry>, _>>().map(Some).map_err(self.fail_to_list(place))
        };
        match self.remote.in_time(place, next).await {
            // Where directories are there of themselves, who lists looks for them before or after.
            Err(error) if error.is_not_found() => Ok(None),
            page => page,
        }
    }

    /// The next entry of a listing.
    async fn next(&self, place: &Location, lister: &mut opendal::Lister) -> Result<Option<Entry>, StorageError> {
        match lister.next().await.transpose().map_err(self.fail_to_list(place)) {
            Err(error) if error.is_not_found() => Ok(None),
            next => next,
        }
    }

    /// The error of a listing. A prefix is never missing: where something is, it is the bucket.
    fn fail_to_list(&self, place: &Location) -> impl Fn(opendal::Error) -> StorageError {
        let fail = self.fail(place);
        move |error| match fail(error) {
            error if error.is_not_found() && !self.has_directories => self.failure.no_bucket(&error),
            error => error,
        }
    }

    /// The entries of a directory.
    pub async fn list(&self, dir: &Location) -> Result<Vec<Details>, StorageError> {
        let key = self.key(dir)?;
        let mut pages = self.pages(dir, &key, false).await?;
        let mut entries = Entries::new(&key);
        while let Some(page) = self.page(dir, &mut pages).await? {
            entries.add(page);
        }
        if entries.found.is_empty() && !entries.marker && !self.is_directory(dir, &key).await? {
            return Err(nothing(dir));
        }
        Ok(entries.found)
    }

    /// Whether a directory is there that has nothing in it.
    async fn is_directory(&self, dir: &Location, key: &Key) -> Result<bool, StorageError> {
        if key.is_root() {
            return Ok(true);
        }
        if !self.has_directories {
            return Ok(false);
        }
        match self.stat(dir, key).await {
            Ok(stat) if stat.kind == EntryKind::Directory => Ok(true),
            Ok(_) => Err(other(dir, "not a directory")),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl ObjectStorage {
    /// What is at some names of a directory, `None` where nothing is: by listing it, as far as that is cheaper than to ask
    /// for the names.
    pub fn find(&self, dir: &Location, names: &[&str]) -> Vec<Result<Option<Details>, StorageError>> {
        let mut found: HashMap<&str, Details> = HashMap::new();
        let mut rest: HashSet<&str> = names.iter().copied().collect();
        let complete = match rest.len() <= FEW || rest.iter().any(|name| !below::is_exact(name)) {
            true => false,
            false => match self.inner.remote.wait(self.search(dir, &mut rest, &mut found)) {
                Ok(complete) => complete,
                Err(error) => return vec![Err(error); names.len()],
            },
        };
        let rest: Vec<&str> = if complete { Vec::new() } else { rest.into_iter().collect() };
        let places: Vec<(String, Location)> =
            rest.iter().map(|name| ((*name).to_owned(), dir.with_suffix(&format!("/{name}")))).collect();
        let inner = &self.inner;
        let asked = inner.remote.each(places, |remote, (name, place)| {
            let inner = std::sync::Arc::clone(inner);
            async move {
                let stat = async {
                    let key = inner.key(&place)?;
                    inner.stat(&place, &key).await
                };
                match remote.in_time(&place, stat).await {
                    Ok(stat) => {
                        let Stat { kind, size, modified } = stat;
                        Ok(Some(Details { name, exact: true, kind, size, modified }))
                    }
                    Err(error) if error.is_not_found() => Ok(None),
                    Err(error) => Err(error),
                }
            }
        });
        let asked: HashMap<&str, Result<Option<Details>, StorageError>> = rest.into_iter().zip(asked).collect();
        let answer = |name: &&str| match asked.get(name) {
            Some(answer) => answer.clone(),
            None => Ok(found.get(name).cloned()),
        };
        names.iter().map(answer).collect()
    }

    /// Lists a directory for names, and moves those that it has from `rest` to `found`. Whether it was listed to its end.
    async fn search<'n>(
        &self,
        dir: &Location,
        rest: &mut HashSet<&'n str>,
        found: &mut HashMap<&'n str, Details>,
    ) -> Result<bool, StorageError> {
        let key = self.inner.key(dir)?;
        let most = PAGE * (1 + rest.len() / NAMES_FOR_A_PAGE);
        let mut pages = self.inner.pages(dir, &key, false).await?;
        let mut entries = Entries::new(&key);
        let mut seen = 0;
        while !rest.is_empty() {
            if seen >= most {
                return Ok(false);
            }
            let Some(page) = self.inner.page(dir, &mut pages).await? else { return Ok(true) };
            seen += page.len();
            entries.add(page);
            for details in entries.found.drain(..).filter(|details| details.exact) {
                if let Some(name) = rest.take(details.name.as_str()) {
                    found.insert(name, details);
                }
            }
        }
        Ok(true)
    }
}

/// The entries of one directory, put together.
struct Entries<'k> {
    key: &'k Key,
    names: HashMap<String, EntryKind>,
    found: Vec<Details>,
    /// Whether the directory has a marker.
    marker: bool,
}

impl<'k> Entries<'k> {
    fn new(key: &'k Key) -> Self {
        Entries { key, names: HashMap::new(), found: Vec::new(), marker: false }
    }

    fn add(&mut self, page: Vec<Entry>) {
        for entry in page {
            let Some(rest) = self.key.rest(entry.path()) else { continue };
            if rest.is_empty() {
                self.marker = true;
                continue;
            }
            let stat = stat_of(&entry);
            let name = if stat.kind == EntryKind::Directory { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
            let mut exact = keys::is_exact(self.key, "", name);
            match self.names.insert(name.to_owned(), stat.kind) {
                // A marker, and what is below it.
                Some(EntryKind::Directory) if stat.kind == EntryKind::Directory => continue,
                // An object and a directory of one name: the object is what is seen there.
                Some(EntryKind::Directory) => {
                    self.found.iter_mut().filter(|found| found.name == name).for_each(|found| found.exact = false);
                }
                // The same, or a key that the client took for another.
                Some(_) => exact = false,
                None => {}
            }
            let Stat { kind, size, modified } = stat;
            self.found.push(Details { name: name.to_owned(), exact, kind, size, modified });
        }
    }
}

/// What a listing says of an entry.
pub fn stat_of(entry: &Entry) -> Stat {
    let metadata = entry.metadata();
    match metadata.is_dir() || entry.path().ends_with('/') {
        true => Stat { kind: EntryKind::Directory, size: 0, modified: None },
        false => Stat {
            kind: EntryKind::File,
            size: metadata.content_length(),
            modified: metadata.last_modified().map(Timestamp::from),
        },
    }
}

/// What there is to say of a file that a handle names.
pub fn presence(found: Result<Option<Details>, StorageError>) -> Presence {
    match found {
        Ok(Some(details)) if details.kind == EntryKind::File => Presence::File { size: details.size },
        Ok(Some(_)) => Presence::NotAFile,
        Ok(None) => Presence::Missing,
        Err(error) if error.kind == StorageErrorKind::NotFound => Presence::Missing,
        Err(error) => Presence::Unknown(error),
    }
}
