"""When Flink and chkctl agree: what each answer asks for, and the classes of disagreement that are known by name."""

#: Roles of files in which Flink has no checksum over the values.
UNCHECKED = ("heap", "canonical", "operator", "raw operator", "raw keyed", "changelog", "channel")


class Class:
    """A kind of disagreement."""

    def __init__(self, name, allowed, text, holds):
        self.name, self.allowed, self.text, self.holds = name, allowed, text, holds


def _flip(row):
    return row["damage"].startswith("flip")


#: The first that holds is the class of a row that does not agree. What is not allowed makes the run fail.
CLASSES = (
    Class("own-bug", True,
          "Flink does not restore this kind of its own snapshots, undamaged as they are (1.18.1 with compressed operator "
          "state, FLINK-33863). Nothing is wrong with the files.",
          lambda row, verdict: row["damage"] == "none" and row["flink"] != "right"),
    Class("alarm-without-damage", False, "An undamaged snapshot is not called restorable.",
          lambda row, verdict: row["damage"] == "none"),
    Class("only-a-sealed-checksum", True,
          "A flipped byte of a value in a file without a checksum that leaves another value: Flink restores it and has wrong "
          "state, or fails once the job reads it. Only a checksum taken when the snapshot was written can find it.",
          lambda row, verdict: verdict == "restorable" and _flip(row) and row["role"] in UNCHECKED
          and row["flink"] in ("wrong", "fails running", "hangs")),
    Class("raw-state", True,
          "A flipped byte of raw operator state: its bytes mean something to the job only, which read it during the restore. "
          "Only a checksum taken when the snapshot was written can find it.",
          lambda row, verdict: verdict == "restorable" and _flip(row) and row["role"] == "raw operator"),
    Class("metadata-value", True,
          "A flipped byte of `_metadata` that leaves a value which may well be meant: an operator id, an index, a name.",
          lambda row, verdict: verdict == "restorable" and _flip(row) and row["role"] == "_metadata"
          and (row["flink"] in ("wrong", "fails running", "hangs") or "Cannot map checkpoint" in row["why"])),
    Class("restorable-but-fails", False, "Called restorable, and Flink does not restore it right: a false promise.",
          lambda row, verdict: verdict == "restorable"),
    Class("cut-changelog", True,
          "A cut log of changes is called broken, though what was cut off may belong to nobody any more.",
          lambda row, verdict: verdict == "broken" and row["role"] == "changelog" and row["damage"].startswith("cut")),
    Class("metadata-strict", True,
          "A flipped byte of `_metadata` that Flink does not look at, such as a part of a recorded size or path that this "
          "job does not need.",
          lambda row, verdict: verdict == "broken" and row["role"] == "_metadata" and row["flink"] == "right"),
    Class("broken-but-restores", False, "Called broken, and Flink restores it right: a false alarm.",
          lambda row, verdict: verdict == "broken" and row["flink"] == "right"),
    Class("milder", True,
          "Called suspect, and Flink's restore fails: the damage is reported, its effect is worse than told.",
          lambda row, verdict: verdict == "suspect"),
    Class("harsher", True,
          "Called broken, and Flink starts, with wrong state or to fail as soon as the job reads what is damaged.",
          lambda row, verdict: verdict == "broken"),
    Class("unknown", True, "chkctl says that it does not know.", lambda row, verdict: True),
)

#: Damages that can be seen without reading state files.
VISIBLE = ("deleted", "a directory", "emptied", "cut", "one byte more")


def agrees(row, verdict):
    """Whether a verdict is what Flink's answer asks for."""
    flink = row["flink"]
    if row["damage"] == "none" and flink == "right":
        return verdict == "restorable"
    if flink == "right":
        return verdict in ("restorable", "suspect")
    if flink in ("fails load", "fails restore", "fails submit"):
        return verdict in ("broken", "incomplete")
    return verdict == "suspect"


def disagreement(row, verdict, deep):
    """The class of a row that does not agree, or None. Without --deep only what can be seen then is asked for."""
    if not verdict or agrees(row, verdict):
        return None
    visible = row["damage"].startswith(VISIBLE) and not (row["role"] == "merged file" and row["damage"] == "one byte more")
    if not deep and not visible and verdict == "restorable":
        return None
    return next(known for known in CLASSES if known.holds(row, verdict))
