//! Azure, whose keys end in the host or name of an account.

use super::environment::Variables;
use super::{Layer, keys};
use crate::model::Location;
use crate::storage::settings::{Setting, names};

/// The parts of `abfs://container@account.dfs.core.windows.net/…`.
pub(super) struct Account<'p> {
    container: Option<&'p str>,
    host: &'p str,
}

impl<'p> Account<'p> {
    /// Those of a place, where it has an authority.
    pub(super) fn of(place: &'p Location) -> Option<Self> {
        let authority = place.authority()?;
        Some(match authority.split_once('@') {
            Some((container, host)) => Account { container: Some(container), host },
            None => Account { container: None, host: authority },
        })
    }

    /// The name of the account, where the host is one of Azure's: `name.dfs.core.windows.net`.
    pub(super) fn name(&self) -> Option<&'p str> {
        let (name, rest) = self.host.split_once('.')?;
        (!name.is_empty() && (rest.starts_with("dfs.") || rest.starts_with("blob."))).then_some(name)
    }
}

/// Keys below `fs.azure.` (`ConfigurationKeys` of hadoop-azure 3.4, `AzureNativeFileSystemStore` for `wasb`,
/// `AzureFileSystemOptions` of Flink's native file system).
const KEYS: &[(&str, &str)] = &[
    (names::ACCOUNT_KEY, "account.key"),
    (names::ACCOUNT_KEY, "account-key"),
    (names::SAS_TOKEN, "sas.fixed.token"),
    (names::CLIENT_ID, "account.oauth2.client.id"),
    (names::CLIENT_SECRET, "account.oauth2.client.secret"),
    (names::TENANT, "account.oauth2.msi.tenant"),
];

/// What keys with these prefixes say of the account of a place.
pub(super) fn of_keys(place: &Location, prefixes: &[&str], get: &dyn Fn(&str) -> Option<Setting>) -> Layer {
    let Some(account) = Account::of(place) else { return Layer::new() };
    let mut ends = Vec::new();
    if let Some(container) = account.container {
        ends.push(format!(".{container}.{}", account.host));
        ends.extend(account.name().map(|name| format!(".{container}.{name}")));
    }
    ends.push(format!(".{}", account.host));
    if let Some(name) = account.name() {
        // The two services of one account have one key.
        ends.push(format!(".{name}.dfs.core.windows.net"));
        ends.push(format!(".{name}.blob.core.windows.net"));
        ends.push(format!(".{name}"));
    }
    ends.push(String::new());
    let first = |key: &str| {
        ends.iter()
            .flat_map(|end| prefixes.iter().map(move |prefix| format!("{prefix}{key}{end}")))
            .find_map(|k| get(&k))
    };
    let mut layer: Layer = KEYS.iter().filter_map(|(name, key)| Some(((*name).to_owned(), first(key)?))).collect();
    if let Some(container) = account.container
        && let Some(sas) = prefixes.iter().find_map(|prefix| get(&format!("{prefix}sas.{container}.{}", account.host)))
    {
        layer.push((names::SAS_TOKEN.to_owned(), Setting::secret(sas.value(), sas.origin())));
    }
    // https://login.microsoftonline.com/TENANT/oauth2/token
    if let Some(endpoint) = first("account.oauth2.client.endpoint")
        && let Some(tenant) = endpoint.value().split("://").nth(1).and_then(|rest| rest.split('/').nth(1))
    {
        layer.push((names::TENANT.to_owned(), Setting::new(tenant, endpoint.origin())));
    }
    layer
}

/// What the variables of Azure's tools say of the account of a place.
pub(super) fn of_environment(place: &Location, variables: &Variables) -> Vec<Layer> {
    let name = Account::of(place).and_then(|account| account.name());
    let of_this = |account: Option<&str>| account.is_none() || name.is_none() || account == name;
    let mut layers = Vec::new();
    if of_this(variables.get("AZURE_STORAGE_ACCOUNT")) {
        layers.push(layer(
            variables,
            &[
                (names::ACCOUNT, "AZURE_STORAGE_ACCOUNT"),
                (names::ENDPOINT, "AZURE_STORAGE_SERVICE_ENDPOINT"),
                (names::ACCOUNT_KEY, "AZURE_STORAGE_KEY"),
                (names::ACCOUNT_KEY, "AZURE_STORAGE_ACCOUNT_KEY"),
                (names::SAS_TOKEN, "AZURE_STORAGE_SAS_TOKEN"),
            ],
        ));
    }
    if let Some(text) = variables.get("AZURE_STORAGE_CONNECTION_STRING") {
        layers.extend(connection(text).filter(|(account, _)| of_this(account.as_deref())).map(|(_, layer)| layer));
    }
    layers.push(layer(
        variables,
        &[
            (names::TENANT, "AZURE_TENANT_ID"),
            (names::CLIENT_ID, "AZURE_CLIENT_ID"),
            (names::CLIENT_SECRET, "AZURE_CLIENT_SECRET"),
        ],
    ));
    layers
}

fn layer(variables: &Variables, table: &[(&str, &str)]) -> Layer {
    let pair = |(name, variable): &(&str, &str)| Some(((*name).to_owned(), variables.setting(variable, name)?));
    table.iter().filter_map(pair).collect()
}

/// A connection string: `AccountName=…;AccountKey=…;BlobEndpoint=…`, and the account that it is for.
fn connection(text: &str) -> Option<(Option<String>, Layer)> {
    const VARIABLE: &str = "AZURE_STORAGE_CONNECTION_STRING";
    let part = |key: &str| {
        text.split(';')
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, v)| v.trim())
    };
    let mut layer = Layer::new();
    for (name, key) in [
        (names::ACCOUNT, "AccountName"),
        (names::ACCOUNT_KEY, "AccountKey"),
        (names::SAS_TOKEN, "SharedAccessSignature"),
        (names::ENDPOINT, "BlobEndpoint"),
    ] {
        let Some(value) = part(key) else { continue };
        let origin = format!("{key} in {VARIABLE}");
        let secret = keys::is_secret(name);
        layer
            .push((name.to_owned(), if secret { Setting::secret(value, origin) } else { Setting::new(value, origin) }));
    }
    (!layer.is_empty()).then(|| (part("AccountName").map(str::to_owned), layer))
}
