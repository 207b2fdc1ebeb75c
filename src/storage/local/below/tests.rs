//! Traps: links where directories were, and links where files were.

use super::super::names::{link_and_unlink, on_threads};
use super::*;
use crate::storage::Storage as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

/// A root with `job/shared/file`, beside a directory `outside` of the same shape.
struct Trap {
    dir: tempfile::TempDir,
    root: Location,
}

const INSIDE: Option<&[u8]> = Some(b"inside");
const OUTSIDE: Option<&[u8]> = Some(b"outside");

impl Trap {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (root, content) in [("root", INSIDE), ("outside", OUTSIDE)] {
            let shared = dir.path().join(root).join("job/shared");
            fs::create_dir_all(&shared).expect("a directory");
            fs::write(shared.join("file"), content.unwrap_or_default()).expect("a file");
        }
        let root = Location::parse(&dir.path().join("root").to_string_lossy()).expect("a path");
        Trap { dir, root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn below<'a>(&'a self, dir: &'a str) -> Below<'a> {
        Below { root: &self.root, dir }
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.path(path)).ok()
    }

    /// Puts a link in the place of a directory.
    fn replace_by_link(&self, path: &str, target: &str) {
        fs::remove_dir_all(self.path(path)).expect("removed");
        symlink(self.path(target), self.path(path)).expect("a link");
    }
}

/// That an error is about a link, and never says that nothing is there.
fn is_about_a_link<T: std::fmt::Debug>(result: Result<T, StorageError>) {
    let error = result.expect_err("a link is not followed");
    assert_eq!(error.kind, StorageErrorKind::Other);
    assert!(error.message.contains("symbolic link"), "{error}");
}

#[test]
fn a_directory_that_became_a_link_is_refused() {
    for (replaced, by) in [("root/job", "outside/job"), ("root/job/shared", "outside/job/shared")] {
        let trap = Trap::new();
        fs::create_dir(trap.path("root/trash")).expect("a directory");
        fs::create_dir(trap.path("outside/job/shared/empty")).expect("a directory");
        fs::write(trap.path("root/trash/new"), b"new").expect("a file");
        trap.replace_by_link(replaced, by);
        let (shared, trash) = (trap.below("job/shared"), trap.below("trash"));
        is_about_a_link(LocalStorage.look(shared, &["file"]));
        let renamed = LocalStorage.rename_names(shared, trash, &["file", "none"]);
        assert_eq!(renamed.len(), 2);
        renamed.into_iter().for_each(is_about_a_link);
        LocalStorage.rename_names(trash, shared, &["new"]).into_iter().for_each(is_about_a_link);
        LocalStorage.delete_names(shared, &["file"]).into_iter().for_each(is_about_a_link);
        is_about_a_link(LocalStorage.delete_empty_below(trap.below("job/shared/empty")));
        is_about_a_link(LocalStorage.create_dirs_like(trap.below("job/shared/sub"), trap.below("")));
        is_about_a_link(LocalStorage.create_dirs_like(trap.below("trash/job/shared"), shared));
        assert_eq!(trap.read("outside/job/shared/file").as_deref(), OUTSIDE);
        assert!(trap.path("outside/job/shared/empty").is_dir());
        assert!(!trap.path("outside/job/shared/sub").exists() && !trap.path("outside/job/shared/new").exists());
        assert_eq!(trap.read("root/trash/new").as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn a_link_to_an_empty_directory_is_not_one() {
    let trap = Trap::new();
    fs::create_dir(trap.path("outside/empty")).expect("a directory");
    symlink(trap.path("outside/empty"), trap.path("root/job/empty")).expect("a link");
    assert!(LocalStorage.delete_empty_below(trap.below("job/empty")).is_err_and(|e| !e.is_not_found()));
    assert!(trap.path("outside/empty").is_dir() && trap.path("root/job/empty").is_dir());
}

#[test]
fn links_on_the_way_to_a_root_are_followed() {
    let trap = Trap::new();
    symlink(trap.path("root"), trap.path("alias")).expect("a link");
    let alias = Location::parse(&trap.path("alias").to_string_lossy()).expect("a path");
    let shared = Below { root: &alias, dir: "job/shared" };
    assert!(LocalStorage.look(shared, &["file"]).is_ok_and(|found| found.iter().all(Option::is_some)));
    assert_eq!(LocalStorage.delete_names(shared, &["file"]), [Ok(true)]);
    let real = LocalStorage.real_place(&alias).expect("a place");
    assert_eq!(real, LocalStorage.real_place(&trap.root).expect("a place"));
    assert_ne!(real, alias);
    assert_eq!(LocalStorage.real_place(&alias.canonical()), Ok(real.canonical()), "the scheme stays as it was");
}

#[test]
fn a_file_that_is_a_link_is_changed_itself_and_never_what_it_points_to() {
    let trap = Trap::new();
    fs::create_dir(trap.path("root/trash")).expect("a directory");
    for (link, target) in [("to-file", "outside/job/shared/file"), ("to-dir", "outside/job"), ("dangling", "none")] {
        symlink(trap.path(target), trap.path("root/job/shared").join(link)).expect("a link");
    }
    let (shared, trash) = (trap.below("job/shared"), trap.below("trash"));
    let links = ["to-file", "to-dir", "dangling"];
    let kinds = |dir| -> Vec<_> {
        let found = LocalStorage.look(dir, &links).expect("answers");
        found.into_iter().map(|entry| entry.map(|entry| (entry.kind, entry.size))).collect()
    };
    assert_eq!(kinds(shared), [Some((EntryKind::Link, 0)); 3]);
    assert_eq!(LocalStorage.rename_names(shared, trash, &links), [Ok(true), Ok(true), Ok(true)]);
    assert_eq!((kinds(shared), kinds(trash)), (vec![None; 3], vec![Some((EntryKind::Link, 0)); 3]));
    assert_eq!(LocalStorage.delete_names(trash, &links), [Ok(true), Ok(true), Ok(true)]);
    assert_eq!(kinds(trash), [None; 3]);
    assert_eq!(trap.read("outside/job/shared/file").as_deref(), OUTSIDE);
}

#[test]
fn new_directories_have_the_permissions_of_those_they_are_like() {
    let trap = Trap::new();
    let mode = |path: &str, mode| fs::set_permissions(trap.path(path), fs::Permissions::from_mode(mode)).expect("set");
    let mode_of = |path: &str| fs::metadata(trap.path(path)).expect("there").permissions().mode() & 0o7777;
    mode("root/job", 0o2777);
    mode("root/job/shared", 0o710);
    LocalStorage.create_dirs(&trap.root.with_suffix("/usual")).expect("created");
    let (to, like) = (trap.below("trash/run/job/shared"), trap.below("job/shared"));
    LocalStorage.create_dirs_like(to, like).expect("created");
    assert_eq!((mode_of("root/trash/run/job"), mode_of("root/trash/run/job/shared")), (0o2777, 0o710));
    assert_eq!((mode_of("root/trash"), mode_of("root/trash/run")), (mode_of("root/usual"), mode_of("root/usual")));
    mode("root/job/shared", 0o700);
    LocalStorage.create_dirs_like(to, like).expect("there");
    assert_eq!(mode_of("root/trash/run/job/shared"), 0o710, "a directory that is there stays as it is");
}

#[test]
fn of_many_names_each_has_its_own_answer() {
    let trap = Trap::new();
    fs::create_dir(trap.path("root/trash")).expect("a directory");
    let names: Vec<String> = (0..5_000).map(|i| format!("f{}", i * 7919 % 5_000)).collect();
    let there = |index: usize| !index.is_multiple_of(3);
    for (_, name) in names.iter().enumerate().filter(|(index, _)| there(*index)) {
        fs::write(trap.path("root/job/shared").join(name), b"").expect("a file");
    }
    let (shared, trash) = (trap.below("job/shared"), trap.below("trash"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let expected: Vec<_> = (0..names.len()).map(|index| Ok(there(index))).collect();
    let looked = LocalStorage.look(shared, &names).expect("answers");
    for (index, (entry, name)) in looked.iter().zip(&names).enumerate() {
        assert_eq!(entry.as_ref().map(|entry| entry.name.as_str()), there(index).then_some(*name));
    }
    assert_eq!(LocalStorage.rename_names(shared, trash, &names), expected);
    assert_eq!(LocalStorage.delete_names(trash, &names), expected);
    assert_eq!(LocalStorage.delete_names(trash, &names), vec![Ok(false); names.len()]);
    assert_eq!(trap.read("root/job/shared/file").as_deref(), INSIDE);
    let upper = on_threads(&names, str::to_uppercase);
    assert!(upper.iter().zip(&names).all(|(upper, name)| *upper == name.to_uppercase()) && upper.len() == 5_000);
}

#[test]
fn a_file_on_the_way_is_nothing_below_it() {
    let trap = Trap::new();
    let under = trap.below("job/shared/file");
    assert_eq!(LocalStorage.look(under, &["x"]), Ok(vec![None]));
    assert_eq!(LocalStorage.delete_names(under, &["x"]), [Ok(false)]);
    assert_eq!(LocalStorage.delete_empty_below(trap.below("job/shared/file/x")), Ok(false));
}

#[test]
fn without_a_system_call_for_it_renaming_names_does_not_replace_either() {
    let trap = Trap::new();
    fs::create_dir_all(trap.path("root/trash/file")).expect("a directory");
    let open = |dir| open_below(trap.below(dir)).expect("opened");
    let (root, job, shared, trash) = (open(""), open("job"), open("job/shared"), open("trash"));
    assert_eq!(link_and_unlink(&shared, &trash, "file"), Err(Errno::EXIST));
    assert_eq!(link_and_unlink(&shared, &trash, "none"), Err(Errno::NOENT));
    assert_eq!(link_and_unlink(&shared, &job, "file"), Ok(true));
    assert_eq!((trap.read("root/job/file").as_deref(), trap.read("root/job/shared/file")), (INSIDE, None));
    fs::create_dir(trap.path("root/shared")).expect("a directory");
    assert_eq!(link_and_unlink(&job, &root, "shared"), Err(Errno::EXIST), "not even an empty directory");
    assert_eq!(link_and_unlink(&job, &trash, "shared"), Ok(true));
    assert!(trap.path("root/trash/shared").is_dir() && !trap.path("root/job/shared").exists());
}
