//! What the keys of Flink's and Hadoop's configuration are called, and which settings they make (`docs/settings.md`).

use super::flink::FlinkConf;
use super::hadoop::HadoopConf;
use super::service::Service;
use super::{Layer, azure};
use crate::model::Location;
use crate::storage::settings::{Setting, names};

/// The user of HDFS, as a setting.
pub(super) const HADOOP_USER: &str = "hadoop.user.name";

/// Whether nothing may show a setting of this name, wherever it came from.
pub(super) fn is_secret(name: &str) -> bool {
    matches!(
        name,
        names::SECRET_KEY
            | names::SESSION_TOKEN
            | names::ACCOUNT_KEY
            | names::SAS_TOKEN
            | names::CLIENT_SECRET
            | names::DELEGATION
    )
}

/// How the keys of a service are built: a prefix, and an ending that says which setting it is. Of several, the first that is
/// there counts.
struct Keys {
    /// Prefixes in Flink's configuration.
    flink: &'static [&'static str],
    /// Prefixes in Hadoop's.
    hadoop: &'static [&'static str],
    /// Settings and their endings.
    endings: &'static [(&'static str, &'static str)],
    /// Whether `bucket.NAME.` may stand between prefix and ending, for one bucket.
    by_bucket: bool,
}

/// `S3FileSystemFactory` of flink-s3-fs-hadoop and flink-s3-fs-presto (their prefixes and mirrored keys),
/// `NativeS3FileSystemFactory` of flink-s3-fs-native, `Constants` of hadoop-aws 3.4.
const S3_ENDINGS: &[(&str, &str)] = &[
    (names::ENDPOINT, "endpoint"),
    (names::REGION, "region"),
    (names::REGION, "endpoint.region"),
    (names::ACCESS_KEY, "access-key"),
    (names::ACCESS_KEY, "access.key"),
    (names::SECRET_KEY, "secret-key"),
    (names::SECRET_KEY, "secret.key"),
    (names::SESSION_TOKEN, "session.token"),
    (names::SESSION_TOKEN, "session-token"),
    (names::PATH_STYLE, "path-style-access"),
    (names::PATH_STYLE, "path.style.access"),
    (names::ANONYMOUS, "anonymous-credentials"),
    (names::ROLE, "assume-role.arn"),
    (names::ROLE, "iam-role"),
];

const S3: Keys = Keys {
    flink: &["s3.", "s3a.", "fs.s3a.", "presto.s3."],
    hadoop: &["fs.s3a."],
    endings: S3_ENDINGS,
    by_bucket: true,
};
const S3A: Keys = Keys { flink: &["fs.s3a.", "s3a.", "s3."], ..S3 };
const S3P: Keys = Keys { flink: &["presto.s3.", "s3."], hadoop: &["presto.s3."], ..S3 };

/// `Constants` of hadoop-aliyun 3.4; `OSSFileSystemFactory` takes the same keys.
const OSS: Keys = Keys {
    flink: &["fs.oss."],
    hadoop: &["fs.oss."],
    endings: &[
        (names::ENDPOINT, "endpoint"),
        (names::REGION, "region"),
        (names::ACCESS_KEY, "accessKeyId"),
        (names::SECRET_KEY, "accessKeySecret"),
        (names::SESSION_TOKEN, "securityToken"),
    ],
    by_bucket: true,
};

/// `CosNConfigKeys` of hadoop-cos 8; `COSNFileSystemFactory` takes the same keys.
const COS: Keys = Keys {
    flink: &["fs.cosn."],
    hadoop: &["fs.cosn."],
    endings: &[
        (names::ENDPOINT, "bucket.endpoint_suffix"),
        (names::REGION, "bucket.region"),
        (names::REGION, "userinfo.region"),
        (names::ACCESS_KEY, "userinfo.secretId"),
        (names::SECRET_KEY, "userinfo.secretKey"),
        (names::SESSION_TOKEN, "userinfo.sessionToken"),
    ],
    by_bucket: false,
};

/// `OBSConstants` of hadoop-huaweicloud 3.
const OBS: Keys = Keys {
    flink: &["fs.obs."],
    hadoop: &["fs.obs."],
    endings: &[
        (names::ENDPOINT, "endpoint"),
        (names::ACCESS_KEY, "access.key"),
        (names::SECRET_KEY, "secret.key"),
        (names::SESSION_TOKEN, "session.token"),
    ],
    by_bucket: true,
};

/// `GSFileSystemFactory` (its prefixes), `GoogleHadoopFileSystemConfiguration` and `HadoopCredentialConfiguration` of the
/// Cloud Storage connector 2 and 3.
const GCS: Keys = Keys {
    flink: &["gs.", "fs.gs.", "google.cloud."],
    hadoop: &["fs.gs.", "google.cloud."],
    endings: &[
        (names::ENDPOINT, "storage.root.url"),
        (names::CREDENTIAL_FILE, "auth.service.account.json.keyfile"),
        (names::ANONYMOUS, "auth.null.enable"),
    ],
    by_bucket: false,
};

/// The prefix of Hadoop's keys in Flink's configuration (`HadoopUtils.getHadoopConfiguration`).
const FLINK_HADOOP: &str = "flink.hadoop.";

/// What Flink's configuration says of a store.
pub(super) fn of_flink(service: Service, place: &Location, conf: &FlinkConf) -> Layer {
    let direct = |keys: &Keys| of_prefixes(keys, keys.flink, place, &|key| conf.setting(key));
    let mut layer = match service {
        Service::S3 => direct(s3(place)),
        Service::Oss => direct(&OSS),
        Service::Cos => direct(&COS),
        Service::Obs => direct(&OBS),
        Service::Gcs => direct(&GCS),
        Service::Azure => azure::of_keys(place, &["fs.azure.", "azure."], &|key| conf.setting(key)),
        Service::Hdfs | Service::WebHdfs => {
            let kerberos = conf.keys().filter(|key| key.starts_with("security.kerberos."));
            kerberos.filter_map(|key| Some((key.to_owned(), conf.setting(key)?))).collect()
        }
    };
    let prefixed: Vec<&str> = conf.keys().filter_map(|key| key.strip_prefix(FLINK_HADOOP)).collect();
    let get = |key: &str| conf.setting(&format!("{FLINK_HADOOP}{key}"));
    layer.extend(of_hadoop_keys(service, place, &prefixed, &get));
    layer
}

/// What Hadoop's configuration says of a store.
pub(super) fn of_hadoop(service: Service, place: &Location, conf: &HadoopConf) -> Layer {
    let keys: Vec<&str> = conf.keys().collect();
    of_hadoop_keys(service, place, &keys, &|key| conf.setting(key))
}

fn of_hadoop_keys(service: Service, place: &Location, all: &[&str], get: &dyn Fn(&str) -> Option<Setting>) -> Layer {
    let of = |keys: &Keys| of_prefixes(keys, keys.hadoop, place, get);
    match service {
        Service::S3 => of(s3(place)),
        Service::Oss => of(&OSS),
        Service::Cos => of(&COS),
        Service::Obs => of(&OBS),
        Service::Gcs => of(&GCS),
        Service::Azure => azure::of_keys(place, &["fs.azure."], get),
        Service::Hdfs => {
            let own = all.iter().filter(|key| is_of_hdfs(key));
            own.filter_map(|key| Some(((*key).to_owned(), get(key)?))).collect()
        }
        Service::WebHdfs => get(HADOOP_USER).map(|user| (names::USER.to_owned(), user)).into_iter().collect(),
    }
}

/// Whether a client of HDFS may want to know of a key: all but those of other file systems.
fn is_of_hdfs(key: &str) -> bool {
    match key.strip_prefix("fs.") {
        Some(rest) => ["default", "hdfs.", "permissions.", "viewfs."].iter().any(|own| rest.starts_with(own)),
        None => true,
    }
}

fn s3(place: &Location) -> &'static Keys {
    match place.scheme() {
        Some("s3p") => &S3P,
        Some("s3a" | "s3n") => &S3A,
        _ => &S3,
    }
}

fn of_prefixes(keys: &Keys, prefixes: &[&str], place: &Location, get: &dyn Fn(&str) -> Option<Setting>) -> Layer {
    let bucket = place.authority().filter(|_| keys.by_bucket).map(|bucket| format!("bucket.{bucket}."));
    // What is said of one bucket goes before what is said of all.
    let middles: Vec<&str> = bucket.as_deref().into_iter().chain([""]).collect();
    let first = |ending: &str| {
        let keys =
            middles.iter().flat_map(|middle| prefixes.iter().map(move |prefix| format!("{prefix}{middle}{ending}")));
        keys.into_iter().find_map(|key| get(&key))
    };
    let secure = first("connection.ssl.enabled").or_else(|| first("ssl.enabled"));
    let secure = secure.is_none_or(|setting| !setting.value().eq_ignore_ascii_case("false"));
    let mut layer = Layer::new();
    for (name, ending) in keys.endings {
        let Some(setting) = first(ending) else { continue };
        let setting = if is_secret(name) { Setting::secret(setting.value(), setting.origin()) } else { setting };
        layer.push(((*name).to_owned(), with_scheme(name, setting, secure)));
    }
    of_providers(&first, &mut layer);
    layer
}

/// What follows from the classes that give credentials.
fn of_providers(first: &dyn Fn(&str) -> Option<Setting>, layer: &mut Layer) {
    if let Some(providers) = first("aws.credentials.provider") {
        if providers.value().contains("AnonymousAWSCredentialsProvider") {
            layer.push((names::ANONYMOUS.to_owned(), Setting::new("true", providers.origin())));
        }
        if providers.value().contains("AssumedRoleCredentialProvider") {
            layer.extend(first("assumed.role.arn").map(|role| (names::ROLE.to_owned(), role)));
        }
    }
    if let Some(kind) = first("auth.type").filter(|kind| kind.value() == "UNAUTHENTICATED") {
        layer.push((names::ANONYMOUS.to_owned(), Setting::new("true", kind.origin())));
    }
}

/// An endpoint as a URL: Hadoop's may be a host and a port alone.
pub(super) fn with_scheme(name: &str, setting: Setting, secure: bool) -> Setting {
    let value = setting.value();
    if name != names::ENDPOINT || value.is_empty() || value.contains("://") {
        return setting;
    }
    let scheme = if secure { "https" } else { "http" };
    Setting::new(format!("{scheme}://{value}"), setting.origin())
}

/// What the place itself says.
pub(super) fn of_uri(service: Service, place: &Location) -> Layer {
    let named = |name: &str, value: String| (name.to_owned(), Setting::new(value, "the place itself"));
    match service {
        Service::Azure => {
            let account = azure::Account::of(place).and_then(|account| account.name().map(str::to_owned));
            account.map(|account| named(names::ACCOUNT, account)).into_iter().collect()
        }
        _ => Layer::new(),
    }
}
