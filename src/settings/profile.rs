//! The profile of AWS: region and endpoint, which its credential chain does not bring.
//!
//! The file is that of the AWS command line, `~/.aws/config` or `AWS_CONFIG_FILE`, its section `[default]` or
//! `[profile NAME]` with the name in `AWS_PROFILE`. Keys and tokens in it and beside it are left to the chain.

use super::environment::Variables;
use super::{Layer, SettingsError};
use crate::storage::settings::{Setting, names};
use ini::Ini;
use std::path::PathBuf;

/// What the profile says; nothing where there is no such file or section.
pub(super) fn layer(variables: &Variables) -> Result<Layer, SettingsError> {
    let named = variables.get("AWS_CONFIG_FILE").map(PathBuf::from);
    let usual = || variables.get("HOME").map(|home| PathBuf::from(home).join(".aws/config"));
    let Some(file) = named.or_else(usual).filter(|file| file.is_file()) else { return Ok(Layer::new()) };
    let profile = variables.get("AWS_PROFILE").unwrap_or("default");
    // The words of the error may be of the content.
    let content = Ini::load_from_file(&file).map_err(|error| match error {
        ini::Error::Io(error) => SettingsError::Unreadable(format!("{}: {error}", file.display())),
        ini::Error::Parse(error) => {
            SettingsError::Wrong(format!("{} is not understood: see line {}", file.display(), error.line))
        }
    })?;
    let named = format!("profile {profile}");
    let section = content.section(Some(named.as_str())).or_else(|| content.section(Some(profile)));
    let found = |(name, key): (&str, &str)| {
        let value = section?.get(key)?.trim();
        Some((name.to_owned(), Setting::new(value, format!("{key} of profile {profile} in {}", file.display()))))
    };
    let pairs = [(names::REGION, "region"), (names::ENDPOINT, "endpoint_url")];
    Ok(pairs.into_iter().filter_map(found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_that_is_named_gives_region_and_endpoint() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "[default]\nregion = one\n[profile mine]\nregion=two\nendpoint_url = http://x:1\n\
            aws_secret_access_key = hunter2\ns3 =\n  max_concurrent_requests = 20\n";
        std::fs::write(file.path(), text).expect("written");
        let of = |profile: &str| {
            let path = file.path().to_str().expect("text");
            let layer = layer(&Variables::of(&[("AWS_CONFIG_FILE", path), ("AWS_PROFILE", profile)])).expect("read");
            layer.iter().map(|(name, setting)| format!("{name}={}", setting.value())).collect::<Vec<_>>()
        };
        assert_eq!(of(""), ["region=one"]);
        assert_eq!(of("mine"), ["region=two", "endpoint=http://x:1"]);
        assert!(of("none").is_empty());
        std::fs::write(file.path(), "[default\nhunter2").expect("written");
        let path = file.path().to_str().expect("text");
        let error = layer(&Variables::of(&[("AWS_CONFIG_FILE", path)])).expect_err("refused").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
