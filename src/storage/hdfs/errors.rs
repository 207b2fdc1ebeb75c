//! What went wrong, sorted. A NameNode answers with the class of an exception and its text, the stack of Java behind it.

use crate::model::Location;
use crate::storage::{StorageError, StorageErrorKind};
use hdfs_native::HdfsError;
use std::io;

/// The error of a call about `place`.
pub(super) fn failed(place: &Location, error: &HdfsError) -> StorageError {
    let (kind, message) = sorted(error);
    StorageError::new(kind, place, message)
}

/// The kind of an error, and its words in one line.
fn sorted(error: &HdfsError) -> (StorageErrorKind, String) {
    use StorageErrorKind as Kind;
    match error {
        HdfsError::RPCError(class, text) | HdfsError::FatalRPCError(class, text) => exception(class, text),
        // All that this client reads and writes goes over the network.
        HdfsError::IOError(error) => (Kind::Transient, first_line(&error.to_string())),
        HdfsError::DataTransferError(text) if text.starts_with("All DataNodes failed") => {
            (Kind::Transient, "no DataNode gave the data of a block".to_owned())
        }
        HdfsError::DataTransferError(_) | HdfsError::OperationFailed(_) => (Kind::Transient, text_of(error)),
        HdfsError::AlreadyExists(text) => (Kind::AlreadyExists, first_line(text)),
        HdfsError::FileNotFound(_) => (Kind::NotFound, "nothing is there".to_owned()),
        // Kerberos: no ticket, an expired one, or one of another realm. Where no KDC answers, that may pass.
        HdfsError::GSSAPIError(..) if text_of(error).contains("Cannot contact any KDC") => {
            (Kind::Transient, text_of(error))
        }
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
            (Kind::PermissionDenied, text_of(error))
        }
        HdfsError::UnsupportedFeature(_) | HdfsError::UnsupportedErasureCodingPolicy(_) => {
            (Kind::Unsupported, text_of(error))
        }
        _ => (Kind::Other, text_of(error)),
    }
}

/// An exception of Java's.
fn exception(class: &str, text: &str) -> (StorageErrorKind, String) {
    use StorageErrorKind as Kind;
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    let line = first_line(text);
    let kind = match name {
        // INodeFile.valueOf says so of a directory that is to be read.
        "FileNotFoundException" if line.starts_with("Path is not a file") => Kind::Other,
        "FileNotFoundException" | "ParentNotDirectoryException" => Kind::NotFound,
        // A name that no file can have (DFSUtil.isValidName): one with a colon, for example.
        "InvalidPathException" => Kind::NotFound,
        // Below a file there is nothing; FSPermissionChecker.checkTraverse says that it may not be entered.
        "AccessControlException" if is_below_a_file(&line) => Kind::NotFound,
        "AccessControlException" | "AuthorizationException" | "InvalidToken" | "SaslException" | "GSSException" => {
            Kind::PermissionDenied
        }
        "FileAlreadyExistsException" | "AlreadyBeingCreatedException" => Kind::AlreadyExists,
        "SafeModeException"
        | "StandbyException"
        | "RetriableException"
        | "ObserverRetryOnActiveException"
        | "NotReplicatedYetException"
        | "RecoveryInProgressException"
        | "RetryStartFileException"
        | "ServerTooBusyException"
        | "CallQueueOverflowException"
        | "ConnectException"
        | "ConnectTimeoutException"
        | "SocketTimeoutException"
        | "NoRouteToHostException"
        | "UnknownHostException"
        | "InterruptedIOException" => Kind::Transient,
        _ => Kind::Other,
    };
    (kind, format!("{name}: {line}"))
}

/// Whether a denial is about entering a file: `… inode="/f":owner:group:-rw-r--r--`, or in so many words since 2.8.
fn is_below_a_file(line: &str) -> bool {
    if line.contains("is not a directory)") {
        return true;
    }
    let mode = line.rsplit(':').next().unwrap_or_default();
    line.contains("access=EXECUTE") && line.contains("inode=\"") && mode.len() >= 10 && mode.starts_with('-')
}

/// Whether a failed call had certainly no effect, though it failed in passing.
pub(super) fn had_no_effect(error: &HdfsError) -> bool {
    match error {
        HdfsError::IOError(error) => matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
        ),
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => {
            ["SafeModeException", "StandbyException", "RetriableException"].iter().any(|name| class.ends_with(name))
        }
        _ => sorted(error).0 != StorageErrorKind::Transient,
    }
}

fn text_of(error: &HdfsError) -> String {
    first_line(&error.to_string())
}

/// The first line, and of that so much that it can be read.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted_exception(class: &str, text: &str) -> (StorageErrorKind, String) {
        sorted(&HdfsError::RPCError(class.to_owned(), text.to_owned()))
    }

    #[test]
    fn only_what_says_so_is_missing() {
        use StorageErrorKind as Kind;
        let denied = "Permission denied: user=alice, access=EXECUTE, inode=";
        for (class, text, wanted) in [
            ("java.io.FileNotFoundException", "File does not exist: /x", Kind::NotFound),
            ("java.io.FileNotFoundException", "Path is not a file: /x", Kind::Other),
            ("org.apache.hadoop.fs.ParentNotDirectoryException", "/f (is not a directory)", Kind::NotFound),
            ("org.apache.hadoop.fs.InvalidPathException", "Invalid file name: /a:b", Kind::NotFound),
            (
                "org.apache.hadoop.security.AccessControlException",
                &format!("{denied}\"/f\":hdfs:supergroup:-rw-r--r--"),
                Kind::NotFound,
            ),
            (
                "org.apache.hadoop.security.AccessControlException",
                &format!("{denied}\"/d\":hdfs:supergroup:drwx------"),
                Kind::PermissionDenied,
            ),
            ("org.apache.hadoop.ipc.StandbyException", "Operation category READ is not supported", Kind::Transient),
            ("org.apache.hadoop.hdfs.server.namenode.SafeModeException", "Cannot delete /x.", Kind::Transient),
            ("org.apache.hadoop.security.token.SecretManager$InvalidToken", "gone", Kind::PermissionDenied),
            ("org.apache.hadoop.fs.PathIsNotEmptyDirectoryException", "/d is non empty", Kind::Other),
            ("java.io.IOException", "something new", Kind::Other),
        ] {
            assert_eq!(sorted_exception(class, text).0, wanted, "{class}: {text}");
        }
        let refused = HdfsError::IOError(io::ErrorKind::ConnectionRefused.into());
        assert_eq!((sorted(&refused).0, had_no_effect(&refused)), (Kind::Transient, true));
        let aborted = HdfsError::IOError(io::ErrorKind::ConnectionAborted.into());
        assert_eq!((sorted(&aborted).0, had_no_effect(&aborted)), (Kind::Transient, false));
    }

    #[test]
    fn the_stack_of_java_is_not_told() {
        let text =
            "File does not exist: /x\n\tat org.apache.hadoop.hdfs.server.namenode.INodeFile.valueOf(INodeFile.java:71)";
        let (_, message) = sorted_exception("java.io.FileNotFoundException", text);
        assert_eq!(message, "FileNotFoundException: File does not exist: /x");
    }
}
