//! The ticket cache of Kerberos, as far as to say whether there is a ticket and until when.
//!
//! The format is that of MIT Kerberos, "Credential cache file format", versions 3 and 4.

use jiff::Timestamp;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A cache that is to be read is smaller.
const LARGEST: u64 = 1 << 20;

/// A ticket to get others with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Whose it is, `name@REALM`.
    pub principal: String,
    /// When it ends.
    pub ends: Timestamp,
}

/// The file that the tickets of this user are in, by `KRB5CCNAME` or the usual name.
///
/// # Errors
/// Where they are in something that is not a file, with its name.
pub fn cache(variable: Option<&str>, user_id: Option<u32>) -> Result<PathBuf, String> {
    match variable {
        Some(name) if name.starts_with('/') => Ok(PathBuf::from(name)),
        Some(name) => match name.strip_prefix("FILE:") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(name.to_owned()),
        },
        None => user_id.map(|id| PathBuf::from(format!("/tmp/krb5cc_{id}"))).ok_or_else(|| "unknown".to_owned()),
    }
}

/// The ticket in a cache that others are got with; of several that which ends last.
pub fn ticket(file: &Path) -> Result<Option<Ticket>, String> {
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| error.to_string())?;
    opened.take(LARGEST).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Reader(&bytes).cache().ok_or_else(|| "it is no ticket cache that is known".to_owned())
}

struct Reader<'b>(&'b [u8]);

/// A principal: its realm and its components.
struct Principal {
    realm: String,
    components: Vec<String>,
}

impl Principal {
    fn name(&self) -> String {
        format!("{}@{}", self.components.join("/"), self.realm)
    }
}

impl Reader<'_> {
    fn cache(mut self) -> Option<Option<Ticket>> {
        let version = self.u16()?;
        match version {
            0x0504 => {
                let length = self.u16()?;
                self.skip(u32::from(length))?;
            }
            0x0503 => {}
            _ => return None,
        }
        let owner = self.principal()?;
        let mut found: Option<Ticket> = None;
        while !self.0.is_empty() {
            let (server, ends) = self.credential(version)?;
            if server.components.first().is_some_and(|name| name == "krbtgt")
                && found.as_ref().is_none_or(|ticket| ticket.ends < ends)
            {
                found = Some(Ticket { principal: owner.name(), ends });
            }
        }
        Some(found)
    }

    /// The server and the end of a credential.
    fn credential(&mut self, version: u16) -> Option<(Principal, Timestamp)> {
        self.principal()?;
        let server = self.principal()?;
        self.skip(if version == 0x0503 { 4 } else { 2 })?;
        self.counted()?;
        let _ = (self.u32()?, self.u32()?);
        let ends = Timestamp::from_second(i64::from(self.u32()?)).ok()?;
        // Until when it can be renewed, whether it is a session key, its flags.
        self.skip(4 + 1 + 4)?;
        // Addresses and authorisation data: each has a type and bytes.
        for _ in 0..2 {
            for _ in 0..self.u32()? {
                self.u16()?;
                self.counted()?;
            }
        }
        self.counted()?;
        self.counted()?;
        Some((server, ends))
    }

    fn principal(&mut self) -> Option<Principal> {
        self.u32()?;
        let count = self.u32()?;
        let mut text = || self.counted().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let realm = text()?;
        let mut components = Vec::new();
        for _ in 0..count {
            components.push(text()?);
        }
        Some(Principal { realm, components })
    }

    fn counted(&mut self) -> Option<&[u8]> {
        let length = self.u32()?;
        self.skip(length)
    }

    fn skip(&mut self, length: u32) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.skip(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.skip(4)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Vec<u8> {
        [&u32::try_from(text.len()).expect("short").to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn principal(components: &[&str]) -> Vec<u8> {
        let count = u32::try_from(components.len()).expect("few");
        let mut bytes = [1_u32.to_be_bytes(), count.to_be_bytes()].concat();
        bytes.extend(counted("REALM"));
        components.iter().for_each(|component| bytes.extend(counted(component)));
        bytes
    }

    fn credential(server: &[&str], ends: u32) -> Vec<u8> {
        let mut bytes = [principal(&["me"]), principal(server), vec![0, 18], counted("key")].concat();
        [1, 2, ends, 3].iter().for_each(|time: &u32| bytes.extend(time.to_be_bytes()));
        bytes.extend([0, 0, 0, 0, 7]);
        bytes.extend(1_u32.to_be_bytes());
        bytes.extend([0, 2]);
        bytes.extend(counted("addr"));
        bytes.extend(0_u32.to_be_bytes());
        [bytes, counted("ticket"), counted("")].concat()
    }

    #[test]
    fn the_ticket_that_ends_last_is_found() {
        let header = [&[5, 4, 0, 4][..], &[0, 1, 0, 0]].concat();
        let all = [
            header,
            principal(&["me"]),
            credential(&["hdfs", "host"], 9_000),
            credential(&["krbtgt", "REALM"], 5_000),
            credential(&["krbtgt", "REALM"], 4_000),
        ]
        .concat();
        let ends = Timestamp::from_second(5_000).expect("a time");
        assert_eq!(Reader(&all).cache(), Some(Some(Ticket { principal: "me@REALM".to_owned(), ends })));
        let file = tempfile::NamedTempFile::new().expect("a file");
        for cut in 0..all.len() {
            std::fs::write(file.path(), &all[..cut]).expect("written");
            let _ = ticket(file.path());
        }
        std::fs::write(file.path(), b"no cache").expect("written");
        assert!(ticket(file.path()).is_err());
    }

    #[test]
    fn the_cache_is_where_the_variable_says() {
        assert_eq!(cache(Some("FILE:/x"), None), Ok(PathBuf::from("/x")));
        assert_eq!(cache(Some("/y"), Some(1)), Ok(PathBuf::from("/y")));
        assert_eq!(cache(None, Some(7)), Ok(PathBuf::from("/tmp/krb5cc_7")));
        assert_eq!(cache(Some("KEYRING:persistent:0"), Some(7)), Err("KEYRING:persistent:0".to_owned()));
    }
}
