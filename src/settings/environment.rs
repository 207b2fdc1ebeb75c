//! The environment of each cloud: the variables that its own tools take.

use super::azure;
use super::pairs::is_sensitive;
use super::service::Service;
use super::{Layer, keys};
use crate::model::Location;
use crate::storage::settings::{Setting, names};
use std::collections::BTreeMap;

/// The variables of an environment.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process that are text.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Variables(std::env::vars_os().filter_map(text).collect())
    }

    /// Some of one's own.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        Variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable as a setting.
    pub(super) fn setting(&self, variable: &str, setting: &str) -> Option<Setting> {
        let value = self.get(variable)?.trim();
        let secret = keys::is_secret(setting) || is_sensitive(variable);
        Some(if secret { Setting::secret(value, variable) } else { Setting::new(value, variable) })
    }
}

/// Variables and the settings that they make. What belongs together is in one list: of two lists the first counts.
type Table = &'static [(&'static str, &'static str)];

const S3: &[Table] = &[&[
    (names::ENDPOINT, "AWS_ENDPOINT_URL_S3"),
    (names::ENDPOINT, "AWS_ENDPOINT_URL"),
    (names::REGION, "AWS_REGION"),
    (names::REGION, "AWS_DEFAULT_REGION"),
    (names::ACCESS_KEY, "AWS_ACCESS_KEY_ID"),
    (names::SECRET_KEY, "AWS_SECRET_ACCESS_KEY"),
    (names::SESSION_TOKEN, "AWS_SESSION_TOKEN"),
]];

const OSS: &[Table] = &[
    &[
        (names::ENDPOINT, "OSS_ENDPOINT"),
        (names::REGION, "OSS_REGION"),
        (names::ACCESS_KEY, "OSS_ACCESS_KEY_ID"),
        (names::SECRET_KEY, "OSS_ACCESS_KEY_SECRET"),
        (names::SESSION_TOKEN, "OSS_SESSION_TOKEN"),
    ],
    &[
        (names::ACCESS_KEY, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        (names::SECRET_KEY, "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
        (names::SESSION_TOKEN, "ALIBABA_CLOUD_SECURITY_TOKEN"),
    ],
];

const COS: &[Table] = &[
    &[(names::ACCESS_KEY, "COSN_SECRET_ID"), (names::SECRET_KEY, "COSN_SECRET_KEY")],
    &[
        (names::ENDPOINT, "COS_ENDPOINT"),
        (names::REGION, "TENCENTCLOUD_REGION"),
        (names::ACCESS_KEY, "TENCENTCLOUD_SECRET_ID"),
        (names::SECRET_KEY, "TENCENTCLOUD_SECRET_KEY"),
        (names::SESSION_TOKEN, "TENCENTCLOUD_TOKEN"),
        (names::SESSION_TOKEN, "TENCENTCLOUD_SECURITY_TOKEN"),
    ],
];

const OBS: &[Table] = &[
    &[
        (names::ENDPOINT, "OBS_ENDPOINT"),
        (names::ACCESS_KEY, "OBS_ACCESS_KEY_ID"),
        (names::SECRET_KEY, "OBS_SECRET_ACCESS_KEY"),
        (names::SESSION_TOKEN, "OBS_SECURITY_TOKEN"),
    ],
    &[
        (names::ACCESS_KEY, "HUAWEI_CLOUD_ACCESS_KEY_ID"),
        (names::SECRET_KEY, "HUAWEI_CLOUD_SECRET_ACCESS_KEY"),
        (names::SESSION_TOKEN, "HUAWEI_CLOUD_SECURITY_TOKEN"),
    ],
];

const GCS: &[Table] =
    &[&[(names::ENDPOINT, "STORAGE_EMULATOR_HOST"), (names::CREDENTIAL_FILE, "GOOGLE_APPLICATION_CREDENTIALS")]];

const WEB_HDFS: &[Table] = &[&[(names::USER, "HADOOP_USER_NAME")]];

const HDFS: &[Table] = &[&[(keys::HADOOP_USER, "HADOOP_USER_NAME")]];

/// What the environment says of a store, the first first.
pub(super) fn layers(service: Service, place: &Location, variables: &Variables) -> Vec<Layer> {
    let tables = match service {
        Service::S3 => S3,
        Service::Oss => OSS,
        Service::Cos => COS,
        Service::Obs => OBS,
        Service::Gcs => GCS,
        Service::WebHdfs => WEB_HDFS,
        Service::Hdfs => HDFS,
        Service::Azure => return azure::of_environment(place, variables),
    };
    let found = |table: &Table| {
        let pair = |(name, variable): &(&str, &str)| {
            let setting = variables.setting(variable, name)?;
            Some(((*name).to_owned(), keys::with_scheme(name, setting, true)))
        };
        table.iter().filter_map(pair).collect()
    };
    tables.iter().map(found).collect()
}
