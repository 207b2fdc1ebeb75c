use super::*;
use std::fs;
use tempfile::TempDir;

/// Directories with configurations.
struct Conf {
    dir: TempDir,
}

impl Conf {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("written");
        }
        Conf { dir }
    }

    fn settings(&self, variables: &[(&str, &str)]) -> Settings {
        let file = |name: &str| Some(self.dir.path().join(name)).filter(|path| path.exists());
        let config = file("chkctl.toml").map(|path| ConfigFile::read(&path).expect("a configuration file"));
        let flink = ["config.yaml", "flink-conf.yaml"].into_iter().any(|name| file(name).is_some());
        let hadoop = [("HADOOP_CONF_DIR", self.dir.path().to_str().expect("text"))];
        let variables = [variables, &hadoop].concat();
        Settings::new(config.unwrap_or_default(), flink.then(|| self.dir.path()), Variables::of(&variables))
    }

    /// Every setting of a place as `name=value`, with what its origin begins with.
    fn of(&self, place: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let place = Location::parse(place).expect("a place");
        let settings = self.settings(variables).of(&place).expect("settings");
        let dir = format!("{}/", self.dir.path().display());
        let line = |(name, setting): (&str, &Setting)| {
            format!("{name}={} ({})", setting.value(), setting.origin().replace(&dir, ""))
        };
        settings.iter().map(line).collect()
    }
}

#[test]
fn both_generations_of_flink_s_keys_make_the_same_settings() {
    let new =
        "s3:\n  access-key: me\n  secret-key: hunter2\n  path-style-access: true\n  endpoint: http://localhost:9000\n";
    let old =
        "s3.access.key: me\ns3.secret.key: hunter2\ns3.path.style.access: true\ns3.endpoint: http://localhost:9000\n";
    for (file, text) in [("config.yaml", new), ("flink-conf.yaml", old)] {
        let conf = Conf::new(&[(file, text)]);
        for scheme in ["s3", "s3a", "s3p"] {
            let found = conf.of(&format!("{scheme}://b/ck"), &[]);
            let values: Vec<&str> = found.iter().filter_map(|line| line.split(' ').next()).collect();
            let wanted = ["access-key=me", "endpoint=http://localhost:9000", "path-style=true", "secret-key=hunter2"];
            assert_eq!(values, wanted, "{file} {scheme}");
            assert!(found.iter().all(|line| line.ends_with(&format!(" in {file})"))), "{found:?}");
        }
    }
}

#[test]
fn the_keys_of_a_plugin_count_for_its_scheme_first() {
    let text = "s3.endpoint: one:1\nfs.s3a.endpoint: two:2\nfs.s3a.connection.ssl.enabled: false\npresto.s3.endpoint: three:3\n";
    let conf = Conf::new(&[("flink-conf.yaml", text)]);
    assert_eq!(conf.of("s3://b/", &[]), ["endpoint=http://one:1 (s3.endpoint in flink-conf.yaml)"]);
    assert_eq!(conf.of("s3a://b/", &[]), ["endpoint=http://two:2 (fs.s3a.endpoint in flink-conf.yaml)"]);
    assert_eq!(conf.of("s3p://b/", &[]), ["endpoint=https://three:3 (presto.s3.endpoint in flink-conf.yaml)"]);
}

const CORE_SITE: &str = "<configuration>\
    <property><name>fs.s3a.endpoint</name><value>hadoop:1</value></property>\
    <property><name>fs.s3a.bucket.special.endpoint</name><value>special:1</value></property>\
    <property><name>fs.s3a.access.key</name><value>of-hadoop</value></property>\
    <property><name>fs.s3a.secret.key</name><value>hunter2</value></property>\
    <property><name>fs.defaultFS</name><value>hdfs://ns</value></property>\
    <property><name>dfs.nameservices</name><value> ns </value></property>\
    </configuration>";

#[cfg(any(feature = "hdfs", feature = "object-stores"))]
#[test]
fn the_first_source_counts_and_credentials_come_from_one_as_a_whole() {
    let flink = "s3.endpoint: http://flink:1\n";
    let own = "[s3]\nregion = \"here\"\n[store.\"s3a://special\"]\naccess-key = \"own\"\nsecret-key = \"hunter3\"\n";
    let conf = Conf::new(&[("flink-conf.yaml", flink), ("core-site.xml", CORE_SITE), ("chkctl.toml", own)]);
    let environment = [
        ("AWS_ACCESS_KEY_ID", "of-env"),
        ("AWS_SESSION_TOKEN", "hunter4"),
        ("AWS_REGION", "there"),
        ("AWS_PROFILE", "x"),
    ];
    assert_eq!(
        conf.of("s3://b/ck", &environment),
        [
            "access-key=of-hadoop (fs.s3a.access.key in core-site.xml)",
            "endpoint=http://flink:1 (s3.endpoint in flink-conf.yaml)",
            "region=here (region of [s3] in chkctl.toml)",
            "secret-key=hunter2 (fs.s3a.secret.key in core-site.xml)",
        ]
    );
    let special = conf.of("s3://special/ck", &environment);
    assert_eq!(
        special.first().map(String::as_str),
        Some("access-key=own (access-key of [store.\"s3a://special\"] in chkctl.toml)")
    );
    assert_eq!(
        special.last().map(String::as_str),
        Some("secret-key=hunter3 (secret-key of [store.\"s3a://special\"] in chkctl.toml)")
    );
    let bare = Conf::new(&[("core-site.xml", CORE_SITE)]);
    assert!(
        bare.of("s3://special/", &[])
            .contains(&"endpoint=https://special:1 (fs.s3a.bucket.special.endpoint in core-site.xml)".to_owned())
    );
    let nothing = Conf::new(&[]);
    assert_eq!(
        nothing.of("s3://b/ck", &environment),
        [
            "access-key=of-env (AWS_ACCESS_KEY_ID)",
            "region=there (AWS_REGION)",
            "session-token=hunter4 (AWS_SESSION_TOKEN)"
        ]
    );
}

#[cfg(any(feature = "hdfs", feature = "object-stores"))]
#[test]
fn hdfs_gets_hadoop_s_keys_as_they_are_and_none_of_other_stores() {
    let flink = "flink.hadoop.dfs.nameservices: other\nsecurity.kerberos.login.principal: me@REALM\n";
    let conf = Conf::new(&[("flink-conf.yaml", flink), ("core-site.xml", CORE_SITE)]);
    assert_eq!(
        conf.of("hdfs://ns/ck", &[("HADOOP_USER_NAME", "flink")]),
        [
            "dfs.nameservices=other (flink.hadoop.dfs.nameservices in flink-conf.yaml)",
            "fs.defaultFS=hdfs://ns (fs.defaultFS in core-site.xml)",
            "hadoop.user.name=flink (HADOOP_USER_NAME)",
            "security.kerberos.login.principal=me@REALM (security.kerberos.login.principal in flink-conf.yaml)",
        ]
    );
}

#[test]
fn each_cloud_s_keys_are_understood() {
    let text = "fs.oss.endpoint: oss-cn-hangzhou.aliyuncs.com\nfs.oss.accessKeyId: me\nfs.oss.accessKeySecret: hunter2\n\
        fs.cosn.userinfo.secretId: me\nfs.cosn.userinfo.secretKey: hunter2\nfs.cosn.bucket.region: ap-beijing\n\
        fs.obs.access.key: me\nfs.obs.secret.key: hunter2\nfs.obs.endpoint: obs.example.com\n\
        gs.auth.service.account.json.keyfile: /key.json\n\
        fs.azure.account.key.acc.blob.core.windows.net: hunter2\n\
        fs.azure.sas.c.other.blob.core.windows.net: hunter3\n\
        fs.azure.account.oauth2.client.id.third.dfs.core.windows.net: app\n\
        fs.azure.account.oauth2.client.secret: hunter4\n\
        fs.azure.account.oauth2.client.endpoint: https://login.microsoftonline.com/tenant-7/oauth2/token\n\
        s3.anonymous-credentials: true\n";
    let conf = Conf::new(&[("flink-conf.yaml", text)]);
    let of = |place: &str| {
        let lines = conf.of(place, &[]);
        lines.iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("oss://b/"), "access-key=me endpoint=https://oss-cn-hangzhou.aliyuncs.com secret-key=hunter2");
    assert_eq!(of("cosn://b/"), "access-key=me region=ap-beijing secret-key=hunter2");
    assert_eq!(of("obs://b/"), "access-key=me endpoint=https://obs.example.com secret-key=hunter2");
    assert_eq!(of("gs://b/"), "credential-file=/key.json");
    assert_eq!(of("s3://b/"), "anonymous=true");
    let own = "client-secret=hunter4 tenant=tenant-7";
    assert_eq!(of("abfss://c@acc.dfs.core.windows.net/"), format!("account=acc account-key=hunter2 {own}"));
    assert_eq!(
        of("wasb://c@other.blob.core.windows.net/"),
        format!("account=other client-secret=hunter4 sas-token=hunter3 tenant=tenant-7")
    );
    assert_eq!(of("abfs://c@third.dfs.core.windows.net/"), format!("account=third client-id=app {own}"));
}

#[test]
fn each_cloud_s_environment_is_understood() {
    let variables = [
        ("OSS_ACCESS_KEY_ID", "one"),
        ("OSS_ACCESS_KEY_SECRET", "hunter2"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "of another key"),
        ("TENCENTCLOUD_SECRET_ID", "two"),
        ("HUAWEI_CLOUD_ACCESS_KEY_ID", "three"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
        ("AZURE_STORAGE_ACCOUNT", "acc"),
        ("AZURE_STORAGE_KEY", "hunter3"),
        ("AZURE_TENANT_ID", "tenant"),
        ("HADOOP_USER_NAME", "flink"),
        ("AWS_REGION", ""),
    ];
    let conf = Conf::new(&[]);
    let of = |place: &str| conf.of(place, &variables).join("; ");
    assert_eq!(of("oss://b/"), "access-key=one (OSS_ACCESS_KEY_ID); secret-key=hunter2 (OSS_ACCESS_KEY_SECRET)");
    assert_eq!(of("cosn://b/"), "access-key=two (TENCENTCLOUD_SECRET_ID)");
    assert_eq!(of("obs://b/"), "access-key=three (HUAWEI_CLOUD_ACCESS_KEY_ID)");
    assert_eq!(of("gs://b/"), "credential-file=/key.json (GOOGLE_APPLICATION_CREDENTIALS)");
    assert_eq!(of("webhdfs://h:1/"), "user=flink (HADOOP_USER_NAME)");
    assert_eq!(of("s3://b/"), "");
    assert_eq!(
        of("abfs://c@acc.dfs.core.windows.net/"),
        "account=acc (AZURE_STORAGE_ACCOUNT); account-key=hunter3 (AZURE_STORAGE_KEY)"
    );
    // The key of another account is of no use.
    let other = of("abfs://c@other.dfs.core.windows.net/");
    assert_eq!(other, "account=other (the place itself); tenant=tenant (AZURE_TENANT_ID)");
    let text = "DefaultEndpointsProtocol=http;AccountName=dev;AccountKey=aA==;BlobEndpoint=http://127.0.0.1:10000/dev;";
    let found = conf.of("abfs://c@dev.dfs.core.windows.net/", &[("AZURE_STORAGE_CONNECTION_STRING", text)]);
    assert!(found.iter().any(|line| line.starts_with("account-key=aA== (AccountKey in")), "{found:?}");
    assert!(found.iter().any(|line| line.starts_with("endpoint=http://127.0.0.1:10000/dev ")), "{found:?}");
}

#[test]
fn whatever_is_a_secret_is_never_shown() {
    let spellings = [
        "s3.secret-key",
        "s3.secret.key",
        "s3a.secret-key",
        "fs.s3a.secret.key",
        "presto.s3.secret-key",
        "s3.session.token",
        "fs.s3a.session.token",
        "fs.s3a.bucket.b.secret.key",
        "fs.oss.accessKeySecret",
        "fs.oss.securityToken",
        "fs.cosn.userinfo.secretKey",
        "fs.cosn.userinfo.sessionToken",
        "fs.obs.secret.key",
        "fs.obs.session.token",
        "fs.azure.account.key.acc.dfs.core.windows.net",
        "fs.azure.account.key",
        "fs.azure.account-key",
        "fs.azure.sas.c.acc.dfs.core.windows.net",
        "fs.azure.sas.fixed.token",
        "fs.azure.account.oauth2.client.secret",
        "flink.hadoop.fs.s3a.secret.key",
        "flink.hadoop.ssl.client.keystore.password",
    ];
    let variables = [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "OSS_ACCESS_KEY_SECRET",
        "OSS_SESSION_TOKEN",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
        "TENCENTCLOUD_SECRET_KEY",
        "TENCENTCLOUD_TOKEN",
        "COSN_SECRET_KEY",
        "OBS_SECRET_ACCESS_KEY",
        "OBS_SECURITY_TOKEN",
        "HUAWEI_CLOUD_SECRET_ACCESS_KEY",
        "AZURE_STORAGE_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_CLIENT_SECRET",
    ];
    let mut shown = 0;
    for place in [
        "s3://b/",
        "s3a://b/",
        "s3p://b/",
        "oss://b/",
        "cosn://b/",
        "obs://b/",
        "gs://b/",
        "abfs://c@acc.dfs.core.windows.net/",
        "wasbs://c@acc.blob.core.windows.net/",
        "hdfs://nn/",
        "webhdfs://nn/",
    ] {
        let place = Location::parse(place).expect("a place");
        for key in spellings {
            let conf = Conf::new(&[("flink-conf.yaml", &format!("{key}: hunter2\n"))]);
            let settings = conf.settings(&[]).of(&place).expect("settings");
            shown += usize::from(settings.iter().any(|(_, setting)| setting.value() == "hunter2"));
            let all = settings.iter().map(|(_, setting)| setting.shown()).collect::<String>();
            assert!(!all.contains("hunter2") && !format!("{settings:?}").contains("hunter2"), "{key} {place}");
        }
        for variable in variables {
            let settings = Conf::new(&[]).settings(&[(variable, "hunter2")]).of(&place).expect("settings");
            shown += usize::from(settings.iter().any(|(_, setting)| setting.value() == "hunter2"));
            assert!(!format!("{settings:?}").contains("hunter2"), "{variable} {place}");
        }
    }
    assert!(shown > 40, "they are settings: {shown}");
}
