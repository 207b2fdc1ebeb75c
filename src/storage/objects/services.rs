//! Which service a place is in, and how its settings are handed on.

use crate::model::Location;
use crate::storage::settings::{StoreSettings, names};
use crate::storage::{StorageError, StorageErrorKind};
use opendal::{Builder, HttpTransporter, Operator, services};
use opendal_http_transport_reqwest::ReqwestTransport;
use std::sync::OnceLock;
use std::time::Duration;

/// A connection is there within this time, or it is tried again.
const CONNECT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("chkctl/", env!("CARGO_PKG_VERSION"));

/// A client of a store.
pub struct Service {
    pub operator: Operator,
    /// Whether directories are there of themselves.
    pub has_directories: bool,
}

/// Settings of one store, to be handed on.
struct Settings<'a> {
    place: &'a Location,
    all: &'a StoreSettings,
}

/// The client of the store that a place is in.
pub fn of(place: &Location, settings: &StoreSettings) -> Result<Service, StorageError> {
    prepare(place)?;
    let settings = Settings { place, all: settings };
    let scheme = place.scheme().unwrap_or_default();
    match scheme {
        "s3" | "s3a" | "s3n" | "s3p" => settings.s3(),
        "oss" => settings.oss(),
        "cosn" => settings.cos(),
        "obs" => settings.obs(),
        "gs" => settings.gcs(),
        "abfs" | "abfss" => settings.azdls(),
        "wasb" | "wasbs" => settings.azblob(),
        "webhdfs" | "swebhdfs" => settings.webhdfs(),
        _ => {
            let message = format!("no object store has {scheme}: locations");
            Err(StorageError::new(StorageErrorKind::Unsupported, place, message))
        }
    }
}

/// Gives the client what it needs in a process once: HTTP, and the TLS below it.
fn prepare(place: &Location) -> Result<(), StorageError> {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        // Another part of the process may have installed its own, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().connect_timeout(CONNECT).user_agent(USER_AGENT).build();
        client.map(|client| HttpTransporter::install_default(ReqwestTransport::new(client))).map_err(|e| e.to_string())
    });
    ready.clone().map_err(|why| StorageError::new(StorageErrorKind::Other, place, format!("no HTTP client: {why}")))
}

impl Settings<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.all.value(name).filter(|value| !value.is_empty())
    }

    fn is(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn wrong(&self, message: impl Into<String>) -> StorageError {
        StorageError::new(StorageErrorKind::Other, self.place, message)
    }

    /// What stands before the path: mostly a bucket.
    fn authority(&self) -> Result<&str, StorageError> {
        self.place.authority().ok_or_else(|| self.wrong("the bucket is missing, as in s3://BUCKET/PATH"))
    }

    /// `CONTAINER@ACCOUNT.HOST`.
    fn container(&self) -> Result<(&str, &str, &str), StorageError> {
        let form = || self.wrong("the container is missing, as in abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH");
        let (container, host) = self.authority()?.split_once('@').ok_or_else(form)?;
        let (account, _) = host.split_once('.').unwrap_or((host, ""));
        if container.is_empty() || account.is_empty() { Err(form()) } else { Ok((container, account, host)) }
    }

    fn service(&self, builder: impl Builder, has_directories: bool) -> Result<Service, StorageError> {
        let operator = Operator::new(builder)
            .map_err(|error| self.wrong(format!("the settings of this store make no sense: {}", error.message())))?;
        Ok(Service { operator, has_directories })
    }

    fn s3(&self) -> Result<Service, StorageError> {
        let bucket = self.authority()?;
        if bucket.ends_with("--x-s3") {
            // Their listings have no order.
            return Err(self.wrong("directory buckets (S3 Express) are not supported"));
        }
        let mut builder = services::S3::default().bucket(bucket);
        let variable = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.get(names::REGION) {
            Some(region) => builder = builder.region(region),
            None if !variable("AWS_REGION") && !variable("AWS_DEFAULT_REGION") => builder = builder.region("us-east-1"),
            None => {}
        }
        if let Some(endpoint) = self.get(names::ENDPOINT) {
            builder = builder.endpoint(endpoint);
        }
        if let Some(key) = self.get(names::ACCESS_KEY) {
            builder = builder.access_key_id(key);
        }
        if let Some(key) = self.get(names::SECRET_KEY) {
            builder = builder.secret_access_key(key);
        }
        if let Some(token) = self.get(names::SESSION_TOKEN) {
            builder = builder.session_token(token);
        }
        if let Some(role) = self.get(names::ROLE) {
            builder = builder.role_arn(role);
        }
        // A bucket in the host name is what AWS wants; other services are told by `path-style`.
        let own_endpoint = self.get(names::ENDPOINT).is_some()
            || ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_S3_ENDPOINT"].into_iter().any(variable);
        let path_style = self.get(names::PATH_STYLE).map_or(own_endpoint, |_| self.is(names::PATH_STYLE));
        if !path_style {
            builder = builder.enable_virtual_host_style();
        }
        if self.is(names::ANONYMOUS) {
            builder = builder.skip_signature();
        }
        if !is_on_ec2() {
            builder = builder.disable_ec2_metadata();
        }
        self.service(builder, false)
    }

    fn oss(&self) -> Result<Service, StorageError> {
        let mut builder = services::Oss::default().bucket(self.authority()?);
        builder = match (self.get(names::ENDPOINT), self.get(names::REGION)) {
            (Some(endpoint), _) => builder.endpoint(endpoint),
            (None, Some(region)) => builder.endpoint(&format!("https://oss-{region}.aliyuncs.com")),
            (None, None) => return Err(self.wrong("the endpoint of OSS is not set (fs.oss.endpoint)")),
        };
        if let Some(key) = self.get(names::ACCESS_KEY) {
            builder = builder.access_key_id(key);
        }
        if let Some(key) = self.get(names::SECRET_KEY) {
            builder = builder.access_key_secret(key);
        }
        if let Some(token) = self.get(names::SESSION_TOKEN) {
            builder = builder.security_token(token);
        }
        if let Some(role) = self.get(names::ROLE) {
            builder = builder.role_arn(role);
        }
        if self.is(names::PATH_STYLE) {
            builder = builder.addressing_style("path");
        }
        if self.is(names::ANONYMOUS) {
            builder = builder.skip_signature();
        }
        self.service(builder, false)
    }

    fn cos(&self) -> Result<Service, StorageError> {
        let mut builder = services::Cos::default().bucket(self.authority()?);
        builder = match (self.get(names::ENDPOINT), self.get(names::REGION)) {
            (Some(endpoint), _) => builder.endpoint(endpoint),
            (None, Some(region)) => builder.endpoint(&format!("https://cos.{region}.myqcloud.com")),
            (None, None) => return Err(self.wrong("the region of COS is not set (fs.cosn.bucket.region)")),
        };
        if let Some(key) = self.get(names::ACCESS_KEY) {
            builder = builder.secret_id(key);
        }
        if let Some(key) = self.get(names::SECRET_KEY) {
            builder = builder.secret_key(key);
        }
        if let Some(token) = self.get(names::SESSION_TOKEN) {
            builder = builder.security_token(token);
        }
        self.service(builder, false)
    }

    fn obs(&self) -> Result<Service, StorageError> {
        let mut builder = services::Obs::default().bucket(self.authority()?);
        builder = match (self.get(names::ENDPOINT), self.get(names::REGION)) {
            (Some(endpoint), _) => builder.endpoint(endpoint),
            (None, Some(region)) => builder.endpoint(&format!("https://obs.{region}.myhuaweicloud.com")),
            (None, None) => return Err(self.wrong("the endpoint of OBS is not set (fs.obs.endpoint)")),
        };
        if let Some(key) = self.get(names::ACCESS_KEY) {
            builder = builder.access_key_id(key);
        }
        if let Some(key) = self.get(names::SECRET_KEY) {
            builder = builder.secret_access_key(key);
        }
        self.service(builder, false)
    }

    fn gcs(&self) -> Result<Service, StorageError> {
        let mut builder = services::Gcs::default().bucket(self.authority()?);
        if let Some(endpoint) = self.get(names::ENDPOINT) {
            builder = builder.endpoint(endpoint);
        }
        if let Some(file) = self.get(names::CREDENTIAL_FILE) {
            builder = builder.credential_path(file);
        }
        if self.is(names::ANONYMOUS) {
            builder = builder.skip_signature();
        }
        self.service(builder, false)
    }

    fn azdls(&self) -> Result<Service, StorageError> {
        let (container, account, host) = self.container()?;
        let mut builder = services::Azdls::default().filesystem(container);
        builder = builder.account_name(self.get(names::ACCOUNT).unwrap_or(account));
        builder = match self.get(names::ENDPOINT) {
            Some(endpoint) => builder.endpoint(endpoint),
            None => builder.endpoint(&format!("https://{host}")),
        };
        if let Some(key) = self.get(names::ACCOUNT_KEY) {
            builder = builder.account_key(key);
        }
        if let Some(token) = self.get(names::SAS_TOKEN) {
            builder = builder.sas_token(token);
        }
        if let (Some(tenant), Some(id), Some(secret)) =
            (self.get(names::TENANT), self.get(names::CLIENT_ID), self.get(names::CLIENT_SECRET))
        {
            builder = builder.tenant_id(tenant).client_id(id).client_secret(secret);
        }
        self.service(builder, true)
    }

    fn azblob(&self) -> Result<Service, StorageError> {
        let (container, account, host) = self.container()?;
        let mut builder = services::Azblob::default().container(container);
        builder = builder.account_name(self.get(names::ACCOUNT).unwrap_or(account));
        let scheme = if self.place.scheme() == Some("wasb") { "http" } else { "https" };
        builder = match self.get(names::ENDPOINT) {
            Some(endpoint) => builder.endpoint(endpoint),
            None => builder.endpoint(&format!("{scheme}://{host}")),
        };
        if let Some(key) = self.get(names::ACCOUNT_KEY) {
            builder = builder.account_key(key);
        }
        if let Some(token) = self.get(names::SAS_TOKEN) {
            builder = builder.sas_token(token);
        }
        self.service(builder, false)
    }

    fn webhdfs(&self) -> Result<Service, StorageError> {
        let scheme = if self.place.scheme() == Some("swebhdfs") { "https" } else { "http" };
        let host = self.place.authority();
        let endpoint = match (self.get(names::ENDPOINT), host) {
            (Some(endpoint), _) => endpoint.to_owned(),
            (None, Some(host)) => format!("{scheme}://{host}"),
            (None, None) => return Err(self.wrong("the host is missing, as in webhdfs://HOST:PORT/PATH")),
        };
        // Old clusters have no lists in batches, and all have the others.
        let mut builder = services::Webhdfs::default().endpoint(&endpoint).root("/").disable_list_batch();
        if let Some(user) = self.get(names::USER) {
            builder = builder.user_name(user);
        }
        if let Some(token) = self.get(names::DELEGATION) {
            builder = builder.delegation(token);
        }
        self.service(builder, true)
    }
}

/// Whether this machine is one of Amazon's, which hand out credentials over an address that leads nowhere elsewhere.
fn is_on_ec2() -> bool {
    let file = |name: &str| std::fs::read_to_string(format!("/sys/devices/virtual/dmi/id/{name}")).unwrap_or_default();
    file("sys_vendor").starts_with("Amazon EC2")
        || file("product_uuid").to_ascii_lowercase().starts_with("ec2")
        || std::env::var_os("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some()
}
