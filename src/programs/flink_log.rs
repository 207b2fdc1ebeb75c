//! The log of a job as Flink's own looks, which people know how to read and search.

use jiff::Zoned;
use log::{LevelFilter, Record};
use std::io::Write as _;

/// A logger that writes every message from `INFO` on as [`line()`] does; `RUST_LOG` overrules the level. It is to be
/// given a target, and to be installed.
pub fn builder() -> env_logger::Builder {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Info).parse_default_env();
    builder.format(|out, record| writeln!(out, "{}", line(&Zoned::now(), record)));
    builder
}

/// A message as Flink's `log4j-console.properties` lays it out: time, level, where it comes from, text.
pub fn line(now: &Zoned, record: &Record<'_>) -> String {
    let time = now.strftime("%Y-%m-%d %H:%M:%S,%3f");
    format!("{time} {:<5} {} - {}", record.level(), record.target(), record.args())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_looks_as_in_flink_s_log() {
        let at: jiff::Timestamp = "2020-03-26T16:04:00.424+08:00".parse().expect("a time");
        let at = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
        let message = format_args!("Map (1/1) switched from RUNNING to FAILED");
        let record = Record::builder().level(log::Level::Info).target("job").args(message).build();
        let wanted = "2020-03-26 16:04:00,424 INFO  job - Map (1/1) switched from RUNNING to FAILED";
        assert_eq!(line(&at, &record), wanted);
    }
}
