//! From the client's errors to ours, without secrets.

use crate::model::Location;
use crate::storage::settings::StoreSettings;
use crate::storage::{StorageError, StorageErrorKind};
use opendal::{Error, ErrorKind};
use std::error::Error as _;

/// So much of a message is told: some servers answer with a page.
const LONGEST: usize = 400;

/// What a store says of a bucket that is not there, which is no missing file.
const NO_BUCKET: &[&str] = &["NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"];

/// Makes errors of one store.
pub struct Failure {
    bucket: String,
    is_webhdfs: bool,
    secrets: Vec<String>,
}

impl Failure {
    /// For the store that a place is in.
    pub fn new(place: &Location, settings: &StoreSettings) -> Self {
        let secrets = settings.iter().filter(|(_, setting)| setting.is_secret() && !setting.value().is_empty());
        Failure {
            bucket: place.authority().unwrap_or_default().to_owned(),
            is_webhdfs: place.scheme().is_some_and(|scheme| scheme.ends_with("webhdfs")),
            secrets: secrets.map(|(_, setting)| setting.value().to_owned()).collect(),
        }
    }

    /// The error of a store whose bucket is not there, which is no missing file.
    pub fn no_bucket(&self, error: &StorageError) -> StorageError {
        let message = format!("the store has no bucket {}", self.bucket);
        StorageError { kind: StorageErrorKind::Other, message, ..error.clone() }
    }

    /// What an error of the client is here. Its context is left out: it has whole addresses, which may be signed.
    pub fn of(&self, place: &Location, error: &Error) -> StorageError {
        let words = error.to_string();
        if NO_BUCKET.iter().any(|word| words.contains(word)) {
            return self.no_bucket(&StorageError::new(StorageErrorKind::Other, place, ""));
        }
        // What is not there is named by an exception. Any other server may say 404.
        if self.is_webhdfs && error.kind() == ErrorKind::NotFound && !words.contains("FileNotFoundException") {
            return StorageError::new(
                StorageErrorKind::Other,
                place,
                "no WebHDFS is there (404, and not for the file)",
            );
        }
        let mut message = error.message().to_owned();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        if message.is_empty() {
            message = error.kind().to_string();
        }
        for secret in &self.secrets {
            message = message.replace(secret.as_str(), "(secret)");
        }
        if message.len() > LONGEST {
            message = message.chars().take(LONGEST).chain("…".chars()).collect();
        }
        StorageError::new(kind(error), place, message)
    }
}

/// The kind of an error.
fn kind(error: &Error) -> StorageErrorKind {
    match error.kind() {
        ErrorKind::NotFound => StorageErrorKind::NotFound,
        ErrorKind::PermissionDenied => StorageErrorKind::PermissionDenied,
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMatch => StorageErrorKind::AlreadyExists,
        ErrorKind::RateLimited => StorageErrorKind::Transient,
        ErrorKind::Unsupported => StorageErrorKind::Unsupported,
        ErrorKind::Unexpected | ErrorKind::Conflict if is_of_the_moment(error) => StorageErrorKind::Transient,
        _ => StorageErrorKind::Other,
    }
}

/// What errors say that another try may not give, in the client's words and in those of servers.
const OF_THE_MOMENT: &[&str] = &[
    "send http request",
    "read data from http response",
    "too little data",
    "operation timeout reached",
    "status: 429",
    "status: 499",
    "status: 500",
    "status: 502",
    "status: 503",
    "status: 504",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
];

/// Whether an error is one of the moment. The layer that tries again calls every error persistent in the end, so that its
/// words have to tell. A wrong yes costs the user another try, and never makes a snapshot broken.
fn is_of_the_moment(error: &Error) -> bool {
    if error.is_temporary() {
        return true;
    }
    let words = error.to_string();
    OF_THE_MOMENT.iter().any(|word| words.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::settings::Setting;

    #[test]
    fn a_server_that_is_none_makes_nothing_missing() {
        let place = Location::parse("webhdfs://host:80/x").expect("a place");
        let failure = Failure::new(&place, &StoreSettings::default());
        let kind = |message: &str| failure.of(&place, &Error::new(ErrorKind::NotFound, message)).kind;
        assert_eq!(kind("<html>404</html>"), StorageErrorKind::Other);
        assert_eq!(kind("{ exception: \"FileNotFoundException\" }"), StorageErrorKind::NotFound);
        assert_eq!(kind("code: FilesystemNotFound"), StorageErrorKind::Other);
    }

    #[test]
    fn errors_are_kept_apart_and_tell_no_secret() {
        let place = Location::parse("s3://b/x").expect("a place");
        let mut settings = StoreSettings::default();
        settings.add("sas-token", Setting::secret("hunter2", "a file"));
        let failure = Failure::new(&place, &settings);
        let of = |error: Error| failure.of(&place, &error);
        let temporary = |kind| Error::new(kind, "no").set_temporary();
        for (error, wanted) in [
            (Error::new(ErrorKind::NotFound, "no"), StorageErrorKind::NotFound),
            (Error::new(ErrorKind::PermissionDenied, "no"), StorageErrorKind::PermissionDenied),
            (Error::new(ErrorKind::ConditionNotMatch, "no"), StorageErrorKind::AlreadyExists),
            (temporary(ErrorKind::Unexpected), StorageErrorKind::Transient),
            (Error::new(ErrorKind::Unexpected, "send http request").set_persistent(), StorageErrorKind::Transient),
            (
                Error::new(ErrorKind::Unexpected, "no").with_context("response", "Parts { status: 503, }"),
                StorageErrorKind::Transient,
            ),
            (Error::new(ErrorKind::Unexpected, "no"), StorageErrorKind::Other),
            (Error::new(ErrorKind::ConfigInvalid, "code: NoSuchBucket"), StorageErrorKind::Other),
        ] {
            assert_eq!(of(error).kind, wanted);
        }
        let error = of(Error::new(ErrorKind::Unexpected, "https://x/?sig=hunter2").with_context("url", "hunter2"));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
