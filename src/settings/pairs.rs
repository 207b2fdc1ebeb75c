//! Keys and values of a configuration, each with where it was read.

use crate::storage::settings::Setting;
use std::collections::BTreeMap;
use std::fmt;

/// Keys with their values and the file that has them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    values: BTreeMap<String, Pair>,
}

#[derive(Clone, PartialEq, Eq)]
struct Pair {
    value: String,
    file: String,
    secret: bool,
}

impl Pairs {
    /// Sets a value. The last one counts.
    pub(super) fn set(&mut self, key: impl Into<String>, value: impl Into<String>, file: &str) {
        let key = key.into();
        let secret = is_sensitive(&key);
        self.values.insert(key, Pair { value: value.into(), file: file.to_owned(), secret });
    }

    /// Gives a key that is there another value, which may be a secret for a reason of its own.
    pub(super) fn change(&mut self, key: &str, value: String, secret: bool) {
        if let Some(pair) = self.values.get_mut(key) {
            pair.value = value;
            pair.secret |= secret;
        }
    }

    /// A value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|pair| pair.value.as_str())
    }

    /// A value as a setting, which is a secret where its key says so.
    pub fn setting(&self, key: &str) -> Option<Setting> {
        let pair = self.values.get(key)?;
        let origin = format!("{key} in {}", pair.file);
        let value = pair.value.trim();
        Some(if pair.secret { Setting::secret(value, origin) } else { Setting::new(value, origin) })
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// Parts of keys whose values nobody is to see: those of Flink (`GlobalConfiguration.SENSITIVE_KEYS`, 2.0) and of Hadoop
/// (`hadoop.security.sensitive-config-keys`, 3.4), and a few more.
const SENSITIVE: &[&str] = &[
    "account-key",
    "account.key",
    "apikey",
    "api-key",
    "auth-params",
    "basic-auth",
    "credential",
    "encryption.key",
    "fs.azure.sas",
    "http-headers",
    "jaas.config",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "service-key",
    "signature",
    "token",
];

/// Keys that look as if they had a secret and have none: where one is, and of what sort.
const HARMLESS: &[&str] = &[".provider", ".type", ".path", ".file", ".service", ".enable", ".enabled", ".impl"];

/// Whether the value of a key is to be kept from everybody.
pub(super) fn is_sensitive(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SENSITIVE.iter().any(|part| key.contains(part)) && !HARMLESS.iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whether_its_value_may_be_seen() {
        for key in [
            "s3.secret-key",
            "fs.s3a.secret.key",
            "fs.s3a.session.token",
            "fs.oss.accessKeySecret",
            "fs.azure.account.key.a.dfs.core.windows.net",
            "fs.azure.sas.c.a.blob.core.windows.net",
            "fs.cosn.userinfo.secretKey",
            "ssl.server.keystore.password",
        ] {
            assert!(is_sensitive(key), "{key}");
        }
        for key in ["s3.access-key", "s3.endpoint", "dfs.nameservices", "fs.s3a.aws.credentials.provider"] {
            assert!(!is_sensitive(key), "{key}");
        }
    }

    #[test]
    fn values_are_not_part_of_what_debug_shows() {
        let mut pairs = Pairs::default();
        pairs.set("s3.secret-key", "hunter2", "config.yaml");
        assert!(!format!("{pairs:?} {:?}", pairs.setting("s3.secret-key")).contains("hunter2"));
    }
}
