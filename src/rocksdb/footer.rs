//! The end of an SST file: where its indexes are, and in which format (`Footer::DecodeFrom` in `table/format.cc`).

use super::block::{Handle, TRAILER};
use super::bytes::Bytes;
use super::checksum::{ChecksumKind, context};
use super::damage;
use crate::model::{Damage, Effect};

/// `kBlockBasedTableMagicNumber`.
const MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
/// `kLegacyBlockBasedTableMagicNumber`: format version 0, which the Java of FRocksDB 5.17 asks for (Flink 1.9 to 1.13).
const LEGACY_MAGIC: u64 = 0xdb47_7524_8b80_fb57;
/// Two handles as long as they can be.
const HANDLES: usize = 40;
const LEGACY_LEN: usize = HANDLES + 8;
const LEN: usize = 1 + HANDLES + 4 + 8;
/// Where the handles were, from version 6 on.
const EXTENDED_MAGIC: &[u8] = &[0x3e, 0x00, 0x7a, 0x00];
/// The newest version that is read here; FRocksDB 8.10 reads 6.
const NEWEST: u32 = 7;

/// What the footer says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Footer {
    pub(super) version: u32,
    pub(super) checksum: ChecksumKind,
    pub(super) metaindex: Handle,
    /// In the metaindex from version 6 on.
    pub(super) index: Option<Handle>,
    pub(super) base_context: u32,
    /// Where the footer starts.
    pub(super) start: u64,
}

/// The most bytes of a footer.
pub(super) const MOST: usize = LEN;

fn fails(offset: u64, problem: impl Into<String>) -> Damage {
    damage(Effect::Fails, "footer", offset, problem)
}

/// Reads the footer from the last [`MOST`] bytes of a file of `size` bytes. Damage that RocksDB does not see goes to
/// `seen`.
pub(super) fn read(tail: &[u8], size: u64, seen: &mut Vec<Damage>) -> Result<Footer, Damage> {
    let short = || fails(size, format!("a file of {size} bytes is too short to be an SST file"));
    let magic_at = size.saturating_sub(8);
    let (_, magic) = tail.split_last_chunk::<8>().ok_or_else(short)?;
    let (footer, legacy) = match u64::from_le_bytes(*magic) {
        MAGIC => (tail.len().checked_sub(LEN).and_then(|at| tail.get(at..)), false),
        LEGACY_MAGIC => (tail.len().checked_sub(LEGACY_LEN).and_then(|at| tail.get(at..)), true),
        other => return Err(fails(magic_at, format!("it does not end like an SST file: magic number {other:#018x}"))),
    };
    let footer = footer.ok_or_else(short)?;
    let start = size.saturating_sub(footer.len() as u64);
    let mut bytes = Bytes::new(footer);
    let (version, checksum) = match legacy {
        true => (0, ChecksumKind::Crc32c),
        false => {
            let version = Bytes::new(footer.get(1 + HANDLES..).unwrap_or_default()).u32().unwrap_or_default();
            check_version(version, size.saturating_sub(12))?;
            let kind = bytes.u8().ok_or_else(short)?;
            let checksum = ChecksumKind::from_byte(kind).ok_or_else(|| {
                damage(Effect::Fails, "footer", start, format!("{kind} is no kind of checksum that RocksDB has"))
            })?;
            (version, checksum)
        }
    };
    let part = bytes.position() as u64;
    let handles = bytes.take(HANDLES).ok_or_else(short)?;
    match version {
        6.. => extended(footer, handles, version, checksum, start),
        _ => {
            let mut bytes = Bytes::new(handles);
            let mut handle = |what| {
                let at = start.saturating_add(part).saturating_add(bytes.position() as u64);
                let handle = Handle::read_shortest(&mut bytes);
                handle.ok_or_else(|| fails(at, format!("the place of the {what} cannot be read")))
            };
            let (metaindex, index) = (handle("metaindex")?, handle("index")?);
            let padding = bytes.rest();
            if let Some(at) = padding.iter().position(|byte| *byte != 0) {
                let at = start.saturating_add(part).saturating_add((bytes.position().saturating_add(at)) as u64);
                seen.push(damage(Effect::Starts, "footer", at, "the padding is not zero"));
            }
            Ok(Footer { version, checksum, metaindex, index: Some(index), base_context: 0, start })
        }
    }
}

fn check_version(version: u32, at: u64) -> Result<(), Damage> {
    match version {
        0 => Err(fails(at, "format version 0 with the magic number of later ones")),
        1..=NEWEST => Ok(()),
        // One more bit would be far from any version that is near.
        8..32 => Err(damage(Effect::Unknown, "footer", at, format!("format version {version} is newer than is read"))),
        _ => Err(fails(at, format!("there is no format version {version}"))),
    }
}

fn extended(footer: &[u8], part: &[u8], version: u32, checksum: ChecksumKind, start: u64) -> Result<Footer, Damage> {
    let at = |offset: u64| start.saturating_add(1).saturating_add(offset);
    let mut bytes = Bytes::new(part);
    if bytes.take(4) != Some(EXTENDED_MAGIC) {
        return Err(fails(at(0), format!("format version {version} without its second magic number")));
    }
    let (Some(stored), Some(base_context), Some(size)) = (bytes.u32(), bytes.u32(), bytes.u32()) else {
        return Err(fails(at(4), "the footer is too short"));
    };
    if base_context == 0 {
        return Err(fails(at(8), "the checksums have no context"));
    }
    let mut copy = footer.to_vec();
    if let Some(place) = copy.get_mut(5..9) {
        place.fill(0);
    }
    let computed = checksum.of(&copy).wrapping_add(context(base_context, start));
    if checksum != ChecksumKind::None && computed != stored
        || checksum == ChecksumKind::None && stored != context(base_context, start)
    {
        return Err(fails(at(4), format!("checksum mismatch: {stored:08x} is stored, the footer has {computed:08x}")));
    }
    if bytes.rest().iter().any(|byte| *byte != 0) {
        return Err(fails(at(16), "the reserved bytes are not zero"));
    }
    let offset = start.checked_sub(u64::from(size)).and_then(|start| start.checked_sub(TRAILER));
    let offset = offset.ok_or_else(|| fails(at(12), format!("a metaindex of {size} bytes does not fit the file")))?;
    let metaindex = Handle { offset, size: size.into() };
    Ok(Footer { version, checksum, metaindex, index: None, base_context, start })
}
