//! How chkctl does with files on S3, beside the client that it asks with: `docs/benchmarks.md`.
//!
//! `cargo bench --bench stores` measures everything, `cargo bench --bench stores -- list` this. A goal that is missed is
//! printed as MISSED and fails nothing; a wrong answer ends the run.

#[allow(dead_code, reason = "most of it is for the benchmark of surveys")]
mod generate;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod measure;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../suite/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "shared with the tests")]
#[path = "../suite/servers/s3.rs"]
mod servers;
#[allow(dead_code, reason = "shared with the other benchmarks")]
mod table;

use chkctl::model::Location;
use chkctl::storage::objects::ObjectStorage;
use chkctl::storage::remote::Limits;
use chkctl::storage::settings::names;
use chkctl::storage::{
    Below, Details, LocalStorage, Remembered, Storage as _, StorageError, WalkVisitor, WriteStorage as _,
};
use chkctl::survey::inventory::Inventory;
use chkctl::survey::resolve::{PathMap, PathMaps};
use chkctl::survey::{Catalog, Judge, Silent, Verdict};
use futures::StreamExt as _;
use generate::{Shape, Snapshot};
use measure::{in_turn, timed};
use proxy::{Fault, Proxy};
use servers::{S3, with_s3};
use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;
use table::{Other, Results, time};

type Case = fn(&mut Results, &S3);

const CASES: [(&str, Case); 3] = [("list", list), ("verify", verify), ("delete", delete)];

/// A page of a listing.
const PAGE: u64 = 1000;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    // Cargo runs benchmarks as tests too, unoptimised, and then without this flag.
    if !args.iter().any(|arg| arg == "--bench") {
        eprintln!("nothing is measured; cargo bench --bench stores does that");
        return;
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    for name in &wanted {
        assert!(CASES.iter().any(|(case, _)| case == name), "there is no benchmark {name}");
    }
    let mut results = Results::new();
    with_s3(|s3| {
        for (name, case) in CASES {
            if wanted.is_empty() || wanted.iter().any(|wanted| *wanted == name) {
                case(&mut results, s3);
            }
        }
    });
    results.print();
}

/// Makes files, many at once.
fn fill(store: &ObjectStorage, files: &[(Location, u64)]) {
    thread::scope(|scope| {
        for part in files.chunks(files.len().div_ceil(32)) {
            scope.spawn(move || {
                for (file, size) in part {
                    store.replace(file, &vec![0; *size as usize]).unwrap_or_else(|e| panic!("{e}"));
                }
            });
        }
    });
}

/// Counts files.
#[derive(Default)]
struct Count(AtomicU64);

impl WalkVisitor for Count {
    fn enters(&self, _: &Location, _: &str) -> bool {
        true
    }

    fn found(&self, _: &Location, entries: Vec<Details>) {
        let files = entries.iter().filter(|entry| entry.kind == chkctl::storage::EntryKind::File).count();
        self.0.fetch_add(files as u64, Ordering::Relaxed);
    }

    fn failed(&self, dir: &Location, error: StorageError) {
        panic!("{dir}: {error}");
    }
}

fn list(results: &mut Results, s3: &S3) {
    const FILES: u64 = 100_000;
    let (store, root) = (s3.store(), s3.dir("list"));
    let file = |i: u64| {
        (root.with_suffix(&format!("/job{}/shared/{:08x}-f", i % 20, i.wrapping_mul(2_654_435_761) as u32)), 1)
    };
    fill(&store, &(0..FILES).map(file).collect::<Vec<_>>());
    let ours = || {
        let count = Count::default();
        let time = timed(|| store.walk(&root, &count));
        assert_eq!(count.0.into_inner(), FILES);
        time
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let settings = s3.settings(&[]);
    let get = |name| settings.value(name).expect("a setting");
    let client = opendal::services::S3::default()
        .bucket(&s3.bucket)
        .endpoint(get(names::ENDPOINT))
        .region(get(names::REGION))
        .access_key_id(get(names::ACCESS_KEY))
        .secret_access_key(get(names::SECRET_KEY));
    let client = opendal::Operator::new(client).expect("settings");
    let prefix = format!("{}/", root.path().trim_start_matches('/'));
    let theirs = || {
        let mut count = 0;
        let time = timed(|| {
            runtime.block_on(async {
                let mut lister = client.lister_with(&prefix).recursive(true).await.expect("a lister");
                while let Some(entry) = lister.next().await {
                    count += u64::from(entry.expect("an entry").metadata().is_file());
                }
            });
        });
        assert_eq!(count, FILES);
        time
    };
    let (ours, theirs) = in_turn(5, ours, theirs);
    results.within(&format!("walk of {FILES} files"), ours, Other("opendal", theirs), 1.2);
}

fn verify(results: &mut Results, s3: &S3) {
    const SHAPE: Shape = Shape { operators: 5, subtasks: 25, shared: 35 };
    let dir = tempfile::tempdir().expect("a directory");
    let local = Location::parse(&dir.path().to_string_lossy()).expect("a path");
    let snapshot = Snapshot::new(&dir.path().join("job"), 7, SHAPE);
    snapshot.write(SystemTime::now());
    let (store, root) = (s3.store(), s3.dir("verify"));
    let mut files = Vec::new();
    let mut pages = 0;
    for (dir, count) in sizes(&local) {
        pages += count.len() as u64 / PAGE + 1;
        files.extend(count.into_iter().map(|(name, _)| (root.with_suffix(&format!("{dir}/{name}")), 1)));
    }
    fill(&store, &files);
    let metadata = format!(
        "/job/{}/_metadata",
        snapshot.metadata_file().parent().and_then(|dir| dir.file_name()).expect("a name").to_string_lossy()
    );
    store
        .replace(&root.with_suffix(&metadata), &std::fs::read(snapshot.metadata_file()).expect("a file"))
        .expect("written");

    let proxy = Proxy::before(&s3.endpoint, |_| Fault::Pass);
    let counted = s3.store_with(Limits::default(), &[(names::ENDPOINT, &proxy.endpoint)]);
    let place = root.with_suffix(&metadata).parent().expect("a directory");
    let judge = |storage: &ObjectStorage| {
        // As the command does it.
        let storage = &Remembered::new(storage.clone());
        let found = Catalog::scan(storage, std::slice::from_ref(&place)).expect("a scan");
        let judge = Judge {
            inventory: Inventory::for_one(storage),
            maps: PathMaps::new(vec![PathMap { from: local.clone(), to: root.clone() }]),
            progress: &Silent,
            neighbours: Vec::new(),
            keep_files: false,
        };
        // The files are there, and shorter than they were: what has gigabytes need not be sent.
        let report = judge.judge(&found.snapshots[0]);
        let codes = report.findings.iter().map(|finding| format!("{:?}", finding.code));
        assert!(
            report.verdict == Verdict::Broken && codes.clone().all(|code| code == "ShortFile"),
            "{:?}",
            codes.take(3).collect::<Vec<_>>()
        );
    };
    let time_of_it = measure::median(5, || timed(|| judge(&store)));
    judge(&counted);
    let requests = proxy.requests();
    let listings = requests.iter().filter(|request| request.is_listing()).count() as u64;
    let reads = requests.len() as u64 - listings;
    let what = format!("verify of {} files", SHAPE.files());
    results.note(&what, &time(time_of_it));
    let goal = format!("{pages} pages + 1 read");
    results.add(
        "... requests for that",
        &format!("{listings} lists + {reads} reads"),
        "-",
        "-",
        &goal,
        Some(listings <= pages && reads == 1),
    );
}

/// The files below a directory by directory, with their sizes.
fn sizes(root: &Location) -> Vec<(String, Vec<(String, u64)>)> {
    #[derive(Default)]
    struct Sizes(std::sync::Mutex<std::collections::BTreeMap<Location, Vec<(String, u64)>>>);
    impl WalkVisitor for Sizes {
        fn enters(&self, _: &Location, _: &str) -> bool {
            true
        }
        fn found(&self, dir: &Location, entries: Vec<Details>) {
            let files = entries.into_iter().filter(|entry| entry.kind == chkctl::storage::EntryKind::File);
            self.0
                .lock()
                .expect("no panic")
                .entry(dir.clone())
                .or_default()
                .extend(files.map(|file| (file.name, file.size)));
        }
        fn failed(&self, dir: &Location, error: StorageError) {
            panic!("{dir}: {error}");
        }
    }
    let sizes = Sizes::default();
    LocalStorage.walk(root, &sizes);
    let sizes = sizes.0.into_inner().expect("no panic").into_iter().filter(|(_, files)| !files.is_empty());
    sizes.map(|(dir, files)| (dir.strip_prefix(root).expect("below"), files)).collect()
}

fn delete(results: &mut Results, s3: &S3) {
    const FILES: usize = 5000;
    let (store, root) = (s3.store(), s3.dir("delete"));
    let names: Vec<String> = (0..FILES).map(|i| format!("f{i:05}")).collect();
    let files: Vec<(Location, u64)> =
        names.iter().map(|name| (root.with_suffix(&format!("/shared/{name}")), 1)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let dir = Below { root: &root, dir: "shared" };
    let remove = |store: &ObjectStorage| {
        fill(store, &files);
        let mut answers = Vec::new();
        let time = timed(|| answers = store.delete_names(dir, &names));
        assert!(answers.iter().all(|answer| *answer == Ok(true)));
        time
    };
    let taken = measure::median(3, || remove(&store));
    results.note(&format!("delete of {FILES} files of a directory"), &time(taken));
    let proxy = Proxy::before(&s3.endpoint, |_| Fault::Pass);
    let counted = s3.store_with(Limits::default(), &[(names::ENDPOINT, &proxy.endpoint)]);
    fill(&store, &files);
    assert!(counted.delete_names(dir, &names).iter().all(|answer| *answer == Ok(true)));
    let requests = proxy.requests();
    let batches = requests.iter().filter(|request| request.method == "POST").count();
    let lists = requests.iter().filter(|request| request.is_listing()).count();
    let goal = format!("{} batches", FILES / 1000);
    let shown = format!("{batches} batches + {lists} lists");
    results.add(
        "... requests for that",
        &shown,
        "-",
        "-",
        &goal,
        Some(batches == FILES / 1000 && batches + lists == requests.len()),
    );
}
