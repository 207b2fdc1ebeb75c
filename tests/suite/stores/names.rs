//! Names that are odd, and names that are none.

use super::conformance::{Asked, Check, kind, kinds};
use chkctl::storage::StorageErrorKind::Other;
use chkctl::storage::{EntryKind, Presence};

pub const CHECKS: &[Check] = &[("odd names are names", odd), ("what is no name is refused", none)];

/// Names that a store has to take as they are. Some begin like others, and some are the same after a mistake with `%`.
const ODD: &[&str] = &[
    "a b",
    " lead",
    "trail ",
    "a%20b",
    "100%",
    "%",
    "%2F",
    "a+b",
    "#hash",
    "a#b",
    "q?uery=1&x",
    "ünïcode",
    "日本語",
    "🦀",
    "_entropy_",
    "quote'\"s",
    "a=b;c,d",
    "~tilde",
    "*star*",
    "[x]",
    "{y}",
    "$HOME",
    "<tag>",
    "&amp;",
    ".hidden",
    "..two",
    "dot.",
    "x",
    "xx",
    "UPPER",
    "upper",
    "@at",
    "|pipe",
    "^",
    "`tick`",
    "_metadata",
    "line\nbreak",
    "tab\tbed",
];

fn odd(asked: &Asked<'_>) {
    let store = asked.store;
    for dir in ["plain", "o dd%20/ünï+#"] {
        for name in ODD {
            asked.put(&format!("{dir}/{name}"), name.as_bytes());
        }
        let at = asked.place(dir);
        let mut wanted: Vec<&str> = ODD.to_vec();
        wanted.sort_unstable();
        assert_eq!(asked.names(&at), wanted);
        for name in ODD {
            let file = at.with_suffix(&format!("/{name}"));
            assert_eq!(store.stat(&file).map(|stat| (stat.kind, stat.size)), Ok((EntryKind::File, name.len() as u64)));
            assert_eq!(asked.content(&file), name.as_bytes(), "{name:?}");
        }
        let present: Vec<Presence> = ODD.iter().map(|name| Presence::File { size: name.len() as u64 }).collect();
        assert_eq!(store.lookup(&at, ODD, &|_| {}), present);
        let looked = store.look(asked.below(dir), ODD).expect("answers");
        let looked: Vec<_> =
            looked.into_iter().map(|details| details.map(|details| (details.name, details.exact))).collect();
        let wanted: Vec<_> = ODD.iter().map(|name| Some(((*name).to_owned(), true))).collect();
        assert_eq!(looked, wanted);
    }
    asked.dir("trash/o dd%20/ünï+#");
    let (from, to) = (asked.below("o dd%20/ünï+#"), asked.below("trash/o dd%20/ünï+#"));
    assert_eq!(kinds(store.rename_names(from, to, ODD)), vec![Ok(true); ODD.len()]);
    for name in ODD {
        assert_eq!(asked.content(&to.file(name)), name.as_bytes(), "{name:?}");
    }
    assert_eq!(kinds(store.delete_names(asked.below("plain"), ODD)), vec![Ok(true); ODD.len()]);
    assert_eq!(asked.names(&to.location()).len(), ODD.len());
    for name in ODD {
        assert_eq!(store.delete(&to.file(name)), Ok(true), "{name:?}");
    }
}

/// Names that stand for another file, or for none in the directory.
const NONE: &[&str] = &["", ".", "..", "x/y", "/a", "a\\b", "a\0b"];

fn none(asked: &Asked<'_>) {
    let store = asked.store;
    asked.put("job/shared/b", b"b");
    asked.put("x", b"x");
    asked.dir("to");
    let (from, to) = (asked.below("job/shared"), asked.below("to"));
    for name in NONE {
        assert_eq!(kind(store.look(from, &[name])), Err(Other), "{name:?}");
        assert_eq!(kinds(store.rename_names(from, to, &[name])), [Err(Other)], "{name:?}");
        assert_eq!(kinds(store.delete_names(from, &[name])), [Err(Other)], "{name:?}");
    }
    for dir in ["..", "job/..", "job//shared", "/job", "job/", "job\\shared"] {
        let dir = asked.below(dir);
        assert_eq!(kind(store.look(dir, &["b"])), Err(Other), "{dir:?}");
        assert_eq!(kinds(store.rename_names(dir, to, &["b"])), [Err(Other)], "{dir:?}");
        assert_eq!(kinds(store.rename_names(from, dir, &["b"])), [Err(Other)], "{dir:?}");
        assert_eq!(kinds(store.delete_names(dir, &["b"])), [Err(Other)], "{dir:?}");
        assert_eq!(kind(store.delete_empty_below(dir)), Err(Other), "{dir:?}");
    }
    assert_eq!(
        (asked.content(&asked.place("job/shared/b")), asked.content(&asked.place("x"))),
        (b"b".to_vec(), b"x".to_vec())
    );
}
