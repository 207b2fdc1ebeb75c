//! The settings of a store, each with where it came from. Values that are secrets are never shown.

use std::collections::BTreeMap;
use std::fmt;

/// What the settings of an object store are called here, whatever they are called where they come from. Those of HDFS are
/// called as Hadoop calls them (`dfs.nameservices`), with `hadoop.user.name` for the user.
pub mod names {
    /// The URL of the service.
    pub const ENDPOINT: &str = "endpoint";
    /// The region.
    pub const REGION: &str = "region";
    /// The access key id; a secret half goes with it.
    pub const ACCESS_KEY: &str = "access-key";
    /// The secret half of the access key.
    pub const SECRET_KEY: &str = "secret-key";
    /// The token of a session that the access key is of.
    pub const SESSION_TOKEN: &str = "session-token";
    /// `true` where the bucket is in the path of the URL and not in its host name.
    pub const PATH_STYLE: &str = "path-style";
    /// `true` where requests are not signed.
    pub const ANONYMOUS: &str = "anonymous";
    /// The storage account of Azure.
    pub const ACCOUNT: &str = "account";
    /// The key of an account of Azure.
    pub const ACCOUNT_KEY: &str = "account-key";
    /// A shared access signature of Azure.
    pub const SAS_TOKEN: &str = "sas-token";
    /// The tenant of an application of Azure.
    pub const TENANT: &str = "tenant";
    /// The id of an application of Azure.
    pub const CLIENT_ID: &str = "client-id";
    /// The secret of an application of Azure.
    pub const CLIENT_SECRET: &str = "client-secret";
    /// A file with credentials, as Google's services have them.
    pub const CREDENTIAL_FILE: &str = "credential-file";
    /// The role to assume.
    pub const ROLE: &str = "role";
    /// The user of WebHDFS.
    pub const USER: &str = "user";
    /// A delegation token of WebHDFS.
    pub const DELEGATION: &str = "delegation";
}

/// A setting of a store.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    value: String,
    origin: String,
    secret: bool,
}

impl Setting {
    /// A setting that may be shown. `origin` says where it came from, such as `s3.endpoint in /opt/flink/conf/config.yaml`.
    pub fn new(value: impl Into<String>, origin: impl Into<String>) -> Self {
        Setting { value: value.into(), origin: origin.into(), secret: false }
    }

    /// A setting that nothing shows.
    pub fn secret(value: impl Into<String>, origin: impl Into<String>) -> Self {
        Setting { secret: true, ..Setting::new(value, origin) }
    }

    /// The value, for a back end.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it must not be shown.
    pub fn is_secret(&self) -> bool {
        self.secret
    }

    /// The value as it may be shown: a secret is its length alone.
    pub fn shown(&self) -> String {
        if self.secret { format!("(secret, {} characters)", self.value.chars().count()) } else { self.value.clone() }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.shown(), self.origin)
    }
}

/// The settings of one store by the names that its back end gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreSettings {
    values: BTreeMap<String, Setting>,
}

impl StoreSettings {
    /// Sets one that is not set yet: who comes first wins.
    pub fn add(&mut self, name: impl Into<String>, setting: Setting) {
        self.values.entry(name.into()).or_insert(setting);
    }

    /// A setting.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.values.get(name)
    }

    /// The value of a setting.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(Setting::value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.values.iter().map(|(name, setting)| (name.as_str(), setting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown_and_the_first_setting_wins() {
        let mut settings = StoreSettings::default();
        settings.add("secret-key", Setting::secret("hunter2", "AWS_SECRET_ACCESS_KEY"));
        settings.add("secret-key", Setting::new("other", "elsewhere"));
        assert_eq!(settings.value("secret-key"), Some("hunter2"));
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
