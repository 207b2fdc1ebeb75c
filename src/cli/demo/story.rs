//! The story itself, in order.

use super::job::{INTERVAL, Job, RESTARTS, RETAINED, fail_to_start};
use super::voice::Voice;
use crate::cli::Exit;
use crate::model::OperatorId;
use crate::programs::wordcount::UIDS;
use crate::runtime::duration::format_duration;
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Tells the story; an error if it does not go as it should.
pub(super) fn tell(voice: &mut Voice<'_>, directory: &Path) -> anyhow::Result<()> {
    let checkpoints = directory.join("checkpoints");
    let root = text(&checkpoints)?;
    let newest = live_and_die(voice, &checkpoints)?;
    lose_a_file(voice, root, &newest)?;
    let good = find_the_one_before(voice, root, &newest)?;
    go_on(voice, &checkpoints, &good)
}

/// A path of the temporary directory as text.
fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the temporary directory has a name that is not UTF-8")
}

/// Sends words and shows the counts, which must be these.
fn count(voice: &mut Voice<'_>, job: &mut Job, wanted: &[(&str, i64)]) -> anyhow::Result<()> {
    for (word, count) in wanted {
        voice.sent(word)?;
        let printed = job.count(word)?;
        voice.counted(&printed)?;
        anyhow::ensure!(printed == ((*word).to_owned(), *count), "({word},{count}) was to be printed");
    }
    Ok(())
}

fn fail(voice: &mut Voice<'_>, job: &mut Job) -> anyhow::Result<()> {
    voice.sent("error")?;
    job.break_it()
}

/// The job counts, restarts three times and dies. Gives its newest checkpoint.
fn live_and_die(voice: &mut Voice<'_>, checkpoints: &Path) -> anyhow::Result<PathBuf> {
    let interval = format_duration(INTERVAL);
    voice.tell(&format!(
        "A job counts the words that a server sends it, and fails at the word \"error\".\n\
         It takes a checkpoint every {interval} and keeps the newest {RETAINED}, also when it dies. Its\n\
         restart strategy is {RESTARTS}: three times, and no more. (The tutorial that\n\
         this comes from waits 2s before each restart; this demo is in a hurry.)\n\
         There is no Flink here, but the checkpoints are in Flink's format."
    ))?;

    voice.title("1. The job counts")?;
    let mut job = Job::start(checkpoints, None)?;
    count(voice, &mut job, &[("spark", 1), ("spark", 2), ("flink", 1), ("flink", 2)])?;
    job.wait_for_checkpoints(2)?;

    voice.title("2. A task fails, and the job restarts from its last checkpoint")?;
    fail(voice, &mut job)?;
    job.wait_for_restart()?;
    voice.log()?;
    voice.tell("It still knows what it has counted:")?;
    count(voice, &mut job, &[("flink", 3)])?;
    // One that was in progress may not have it yet; then two that do.
    job.wait_for_checkpoints(3)?;

    voice.title("3. Three more failures are one too many")?;
    for _ in 0..2 {
        fail(voice, &mut job)?;
        job.wait_for_restart()?;
        voice.log()?;
    }
    fail(voice, &mut job)?;
    let (cause, newest) = job.wait_for_death()?;
    voice.log()?;
    voice.tell("The job is gone, and this is what it leaves as its cause:")?;
    voice.error(&cause)?;
    voice.tell("Its checkpoints were to be retained, and they are, newest first:")?;
    let ran = voice.chkctl(&["list", text(checkpoints)?])?;
    let listed = ran.out.contains(text(&newest)?);
    anyhow::ensure!(ran.exit == Exit::Fine && listed, "list does not show what the job left");
    Ok(newest)
}

/// Deletes the state file of a checkpoint; verify and a restore find it.
fn lose_a_file(voice: &mut Voice<'_>, root: &str, newest: &Path) -> anyhow::Result<()> {
    voice.title("4. Then somebody tidies up")?;
    // That of the counts is the largest.
    let files = fs::read_dir(newest)?.collect::<Result<Vec<_>, _>>()?;
    let state = files.into_iter().filter(|entry| entry.file_name() != "_metadata");
    let state = state.max_by_key(|entry| entry.metadata().map_or(0, |metadata| metadata.len()));
    let state = state.context("the checkpoint has no state file")?.path();
    fs::remove_file(&state)?;
    voice.tell(&format!(
        "A state file of the newest checkpoint is deleted:\n    {}\n\
         Nobody notices before the next restore, unless chkctl is asked:",
        state.display()
    ))?;
    let newest = text(newest)?;
    let ran = voice.chkctl(&["verify", newest])?;
    let operator = OperatorId::from_uid("sum").to_string();
    let seen = ran.exit == Exit::Findings && ran.out.contains("missing-file") && ran.out.contains(&operator);
    anyhow::ensure!(seen, "verify does not see what is missing");
    voice.tell(&format!(
        "Its exit code is {}, for scripts. The job, started with -s from there, says:",
        ran.exit as u8
    ))?;
    let error = fail_to_start(Path::new(root), newest)?;
    voice.log()?;
    voice.error(&error)?;
    voice.tell("What does that mean, and what now? The log goes to diagnose:")?;
    let log = Path::new(root).with_file_name("job.log");
    fs::write(&log, format!("{error:#}\n"))?;
    let ran = voice.chkctl(&["diagnose", text(&log)?, "--root", root])?;
    let next = ran.out.lines().last().unwrap_or_default().starts_with("flink run -s ");
    let seen = ran.exit == Exit::Findings && ran.out.contains("state-file-missing") && ran.out.contains(&operator);
    anyhow::ensure!(seen && next, "diagnose does not explain the error");
    voice.tell("What was in the file? The operator's id is made from one of the program's uids:")?;
    let args: Vec<&str> = std::iter::once("uid").chain(UIDS.iter().copied()).chain(["--match", newest]).collect();
    voice.chkctl(&args)?;
    voice.tell("It is that of \"sum\": the counts themselves are lost in this checkpoint.")
}

fn find_the_one_before(voice: &mut Voice<'_>, root: &str, newest: &Path) -> anyhow::Result<String> {
    voice.title("5. The newest checkpoint that is whole")?;
    let ran = voice.chkctl(&["latest", root])?;
    let good = ran.out.trim_end().to_owned();
    anyhow::ensure!(ran.exit == Exit::Fine && !good.is_empty(), "latest finds no checkpoint");
    anyhow::ensure!(Path::new(&good) != newest, "latest gives the broken checkpoint");
    voice.tell("One path on stdout, made for: flink run -s \"$(chkctl latest …)\" job.jar")?;
    Ok(good)
}

/// Starts the job again and checks that it goes on counting where it was.
fn go_on(voice: &mut Voice<'_>, checkpoints: &Path, good: &str) -> anyhow::Result<()> {
    voice.title("6. The job goes on from there")?;
    let mut job = Job::start(checkpoints, Some(good))?;
    voice.log()?;
    count(voice, &mut job, &[("flink", 4), ("spark", 3)])?;
    job.finish()?;
    voice.title("The end")?;
    voice.conclude("flink 4, spark 3: as if nothing had happened.")
}
