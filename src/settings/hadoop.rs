//! Hadoop's configuration: `core-site.xml` and `hdfs-site.xml`.
//!
//! Files are read as Hadoop's `Configuration` does (3.4): what a later file says counts, unless an earlier one called it final;
//! values are trimmed, and `${name}` stands for another key, a property of the system or, as `${env.NAME}`, a variable.
//! Which files there are is what Flink looks for (`HadoopUtils.getHadoopConfiguration`, and `config.sh`, which takes
//! `/etc/hadoop/conf` where nothing else is named).

use super::SettingsError;
use super::environment::Variables;
use super::flink::FlinkConf;
use super::pairs::{Pairs, is_sensitive};
use crate::storage::settings::Setting;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A file that is to be read is smaller.
const LARGEST: u64 = 16 << 20;
/// How many times a `${name}` is replaced (`Configuration.MAX_SUBST`).
const MOST_SUBSTITUTIONS: usize = 20;

/// A configuration of Hadoop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HadoopConf {
    files: Vec<PathBuf>,
    pairs: Pairs,
}

/// The files to look for, the one that counts most last.
pub(super) fn files(flink: Option<&FlinkConf>, variables: &Variables) -> Vec<PathBuf> {
    let of_flink = |key: &str| flink.and_then(|conf| conf.first(&[key])).map(PathBuf::from);
    let home = variables.get("HADOOP_HOME").map(PathBuf::from);
    let mut dirs: Vec<PathBuf> = home.iter().flat_map(|home| [home.join("conf"), home.join("etc/hadoop")]).collect();
    let sites = [of_flink("fs.hdfs.hdfsdefault"), of_flink("fs.hdfs.hdfssite")];
    let named = of_flink("fs.hdfs.hadoopconf");
    let usual = || {
        let nothing = home.is_none() && named.is_none() && variables.get("HADOOP_CLASSPATH").is_none();
        nothing.then(|| PathBuf::from("/etc/hadoop/conf"))
    };
    let main = variables.get("HADOOP_CONF_DIR").map(PathBuf::from).or_else(|| of_flink("env.hadoop.conf.dir"));
    let main = main.or_else(usual);
    let both = |dir: PathBuf| ["core-site.xml", "hdfs-site.xml"].map(|name| dir.join(name));
    let mut files: Vec<PathBuf> = dirs.drain(..).flat_map(both).collect();
    files.extend(sites.into_iter().flatten());
    files.extend(named.into_iter().chain(main).flat_map(both));
    files
}

impl HadoopConf {
    /// Reads the files that are there.
    ///
    /// # Errors
    /// `Wrong` where one is not XML or includes others; `Unreadable` where one cannot be read.
    pub fn read(files: &[PathBuf], variables: &Variables) -> Result<Self, SettingsError> {
        let mut conf = HadoopConf::default();
        let mut last = Vec::new();
        for file in files {
            if let Some(text) = text_of(file)? {
                add(file, &text, &mut conf.pairs, &mut last)?;
                conf.files.push(file.clone());
            }
        }
        conf.expand(variables);
        Ok(conf)
    }

    /// The files that were read.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key)
    }

    /// The value of a key, with where it is from.
    pub fn setting(&self, key: &str) -> Option<Setting> {
        self.pairs.setting(key)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.pairs.keys()
    }

    fn expand(&mut self, variables: &Variables) {
        let raw = self.pairs.clone();
        for key in raw.keys() {
            let Some(value) = raw.get(key).filter(|value| value.contains("${")) else { continue };
            let (value, secret) = expanded(value, &raw, variables);
            self.pairs.change(key, value, secret);
        }
    }
}

/// A value with what its variables stand for, and whether one of them is a secret.
fn expanded(value: &str, pairs: &Pairs, variables: &Variables) -> (String, bool) {
    let mut value = value.to_owned();
    let (mut from, mut secret) = (0, false);
    for _ in 0..MOST_SUBSTITUTIONS {
        let Some((start, end)) = innermost(&value, from) else { break };
        let name = value.get(start + 2..end - 1).unwrap_or_default();
        match meaning(name, pairs, variables) {
            Some(text) => {
                secret |= is_sensitive(name);
                value.replace_range(start..end, &text);
                from = 0;
            }
            // It stays as it is, as in Hadoop.
            None => from = end,
        }
    }
    (value, secret)
}

/// The first `${name}` from a position on that has no other in it.
fn innermost(value: &str, from: usize) -> Option<(usize, usize)> {
    let end = from + value.get(from..)?.find('}')?;
    let Some(start) = value.get(from..end)?.rfind("${") else { return innermost(value, end + 1) };
    Some((from + start, end + 1))
}

fn meaning(name: &str, pairs: &Pairs, variables: &Variables) -> Option<String> {
    if let Some(variable) = name.strip_prefix("env.") {
        let (variable, other) = match variable.find('-') {
            Some(dash) => {
                let (variable, other) = variable.split_at(dash);
                (variable.strip_suffix(':').unwrap_or(variable), other.get(1..))
            }
            None => (variable, None),
        };
        return variables.get(variable).or(other).map(str::to_owned);
    }
    let of_system = match name {
        "user.name" => variables.get("USER").or_else(|| variables.get("LOGNAME")),
        "user.home" => variables.get("HOME"),
        "java.io.tmpdir" => Some("/tmp"),
        _ => None,
    };
    of_system.or_else(|| pairs.get(name)).map(str::to_owned)
}

fn text_of(file: &Path) -> Result<Option<String>, SettingsError> {
    let refuse = |error: std::io::Error| SettingsError::Unreadable(format!("{}: {error}", file.display()));
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error)),
    };
    if !opened.metadata().map_err(refuse)?.is_file() {
        return Err(SettingsError::Wrong(format!("{} is not a file", file.display())));
    }
    let mut text = String::new();
    opened.take(LARGEST).read_to_string(&mut text).map_err(refuse)?;
    Ok(Some(text))
}

/// Adds the properties of a file to those of the files before. `last` are the keys that were called final.
#[cfg(any(feature = "hdfs", feature = "object-stores"))]
fn add(file: &Path, text: &str, pairs: &mut Pairs, last: &mut Vec<String>) -> Result<(), SettingsError> {
    use roxmltree::{Document, Node};
    let name = file.display().to_string();
    // The words of the error may be of the content.
    let document = Document::parse(text).map_err(|error| {
        SettingsError::Wrong(format!("{name} is not XML that can be read: see line {}", error.pos().row))
    })?;
    let child = |node: Node<'_, '_>, tag: &str| {
        let child = node.children().find(|child| child.has_tag_name(tag))?;
        Some(child.text().unwrap_or_default().trim().to_owned())
    };
    let mut called_final = Vec::new();
    for node in document.root_element().descendants() {
        if node.tag_name().name() == "include" {
            let message = format!("{name} includes another file (XInclude), which is not supported");
            return Err(SettingsError::Wrong(message));
        }
        if !node.has_tag_name("property") {
            continue;
        }
        let attribute = |tag: &str| node.attribute(tag).map(|text| text.trim().to_owned());
        let of = |tag: &str| attribute(tag).or_else(|| child(node, tag));
        let (Some(key), Some(value)) = (of("name").filter(|key| !key.is_empty()), of("value")) else { continue };
        if last.contains(&key) {
            continue;
        }
        if of("final").is_some_and(|flag| flag == "true") {
            called_final.push(key.clone());
        }
        pairs.set(key, value, &name);
    }
    last.append(&mut called_final);
    Ok(())
}

#[cfg(not(any(feature = "hdfs", feature = "object-stores")))]
fn add(_: &Path, _: &str, _: &mut Pairs, _: &mut Vec<String>) -> Result<(), SettingsError> {
    // No store of this build asks for them.
    Ok(())
}

#[cfg(all(test, any(feature = "hdfs", feature = "object-stores")))]
mod tests {
    use super::*;
    use std::fs;

    fn property(name: &str, value: &str) -> String {
        format!("<property><name>{name}</name><value>{value}</value></property>")
    }

    fn conf(files: &[(&str, String)], variables: &[(&str, &str)]) -> Result<HadoopConf, SettingsError> {
        let dir = tempfile::tempdir().expect("a directory");
        let paths: Vec<PathBuf> = files.iter().map(|(name, _)| dir.path().join(name)).collect();
        for ((_, content), path) in files.iter().zip(&paths) {
            fs::write(path, format!("<?xml version=\"1.0\"?>\n<configuration>{content}</configuration>"))
                .expect("written");
        }
        HadoopConf::read(&paths, &Variables::of(variables))
    }

    #[test]
    fn a_later_file_counts_unless_an_earlier_one_is_final() {
        let first = format!(
            "{}<property><name>b</name><value> 1\n</value><final>true</final></property>{}",
            property("a", "1"),
            property("b", "2"),
        );
        let conf = conf(&[("1", first), ("2", property("a", "3") + &property("b", "3"))], &[]).expect("read");
        assert_eq!((conf.get("a"), conf.get("b")), (Some("3"), Some("2")));
        assert!(conf.setting("a").is_some_and(|setting| setting.origin().ends_with("/2")));
    }

    #[test]
    fn variables_stand_for_other_keys_the_environment_and_themselves_where_nothing_is_known() {
        let content = [
            ("a", "${b}/x"),
            ("b", "${env.PLACE}"),
            ("c", "${env.NONE:-there}"),
            ("d", "/user/${user.name}"),
            ("e", "${nobody}/${b}"),
            ("loop", "x${loop}"),
            ("n", "${${env.KEY}}"),
            ("shown", "${my.secret}"),
            ("my.secret", "hunter2"),
        ];
        let content = content.iter().map(|(name, value)| property(name, value)).collect();
        let variables = [("PLACE", "here"), ("USER", "flink"), ("KEY", "b")];
        let conf = conf(&[("1", content)], &variables).expect("read");
        let keys = ["a", "c", "d", "e", "n"];
        let values = ["here/x", "there", "/user/flink", "${nobody}/here", "here"];
        assert_eq!(keys.map(|key| conf.get(key).unwrap_or_default()), values);
        assert!(conf.get("loop").is_some_and(|text| text.len() < 100));
        assert!(conf.setting("shown").is_some_and(|setting| setting.is_secret()), "a secret stays one");
    }

    #[test]
    fn a_file_that_is_not_xml_is_refused_without_its_words() {
        for content in ["<property><name>x</name><value>&hunter2;</value>", "<xi:include href=\"hunter2\"/>"] {
            let error = conf(&[("core-site.xml", content.to_owned())], &[]).expect_err("refused").to_string();
            assert!(error.contains("core-site.xml") && !error.contains("hunter2"), "{error}");
        }
        let include = "<include xmlns=\"http://www.w3.org/2001/XInclude\" href=\"hunter2.xml\"/>".to_owned();
        assert!(conf(&[("1", include)], &[]).is_err());
    }

    #[test]
    fn the_files_are_those_that_flink_looks_for() {
        let names = |variables: &[(&str, &str)]| -> Vec<String> {
            let files = files(None, &Variables::of(variables));
            files.iter().map(|file| file.parent().expect("a directory").display().to_string()).collect()
        };
        assert_eq!(names(&[]), ["/etc/hadoop/conf", "/etc/hadoop/conf"]);
        let both = [("HADOOP_HOME", "/h"), ("HADOOP_CONF_DIR", "/c")];
        assert_eq!(names(&both), ["/h/conf", "/h/conf", "/h/etc/hadoop", "/h/etc/hadoop", "/c", "/c"]);
    }
}
