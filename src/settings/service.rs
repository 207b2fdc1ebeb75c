//! Which service a scheme stands for.

use crate::model::Location;

/// A kind of remote store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// HDFS by its own protocol.
    Hdfs,
    /// HDFS over HTTP.
    WebHdfs,
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// Alibaba Cloud OSS.
    Oss,
    /// Tencent Cloud COS.
    Cos,
    /// Huawei Cloud OBS.
    Obs,
    /// Google Cloud Storage.
    Gcs,
    /// Azure: Data Lake Storage (`abfs`) and Blob Storage (`wasb`).
    Azure,
}

impl Service {
    /// The service of a place; `None` for local ones and for schemes that nobody knows.
    pub fn of(place: &Location) -> Option<Self> {
        Some(match place.scheme()? {
            "hdfs" => Service::Hdfs,
            "webhdfs" | "swebhdfs" => Service::WebHdfs,
            "s3" | "s3a" | "s3n" | "s3p" => Service::S3,
            "oss" => Service::Oss,
            "cosn" => Service::Cos,
            "obs" => Service::Obs,
            "gs" => Service::Gcs,
            "abfs" | "abfss" | "wasb" | "wasbs" => Service::Azure,
            _ => return None,
        })
    }

    /// What its section in chkctl's configuration file is called.
    pub fn section(self) -> &'static str {
        match self {
            Service::Hdfs => "hdfs",
            Service::WebHdfs => "webhdfs",
            Service::S3 => "s3",
            Service::Oss => "oss",
            Service::Cos => "cosn",
            Service::Obs => "obs",
            Service::Gcs => "gs",
            Service::Azure => "azure",
        }
    }

    /// All of them.
    pub const ALL: [Service; 8] = [
        Service::Hdfs,
        Service::WebHdfs,
        Service::S3,
        Service::Oss,
        Service::Cos,
        Service::Obs,
        Service::Gcs,
        Service::Azure,
    ];
}
