//! The data directory: its lock, the node's key, the boot counter, and `cluster.json`. Whatever is
//! written here is durable before the function returns.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::net::Keypair;
use onrush_raft::bootstrap::Binding;
use onrush_raft::space::{Reserve, with_reserve};
use onrush_raft::types::{ClusterId, RaftId};
use serde::{Deserialize, Serialize};

/// Between two looks at a lock that another process holds.
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Of the boot counter in its file: those of any `u64`.
const INCARNATION_DIGITS: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("data directory {0}: this is a file, not a directory")]
    NotADirectory(PathBuf),
    #[error("data directory {path}: not writable: {why}")]
    NotWritable { path: PathBuf, why: String },
    #[error("data directory {path}: in use by another node (process {pid})")]
    Locked { path: PathBuf, pid: String },
    #[error("{path}: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error(
        "data directory {path}: it belongs to a node of cluster '{found}', this node was started \
         for '{wanted}'; use another --data-dir, or --cluster-name {found}"
    )]
    OtherCluster { path: PathBuf, found: String, wanted: String },
    #[error("{path}: {why}")]
    Io { path: PathBuf, why: String },
}

/// What a founder still owes its cluster: kept until `Genesis` is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    pub expect: u32,
    pub min_open: u32,
}

/// `cluster.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFile {
    pub cluster: ClusterId,
    pub cluster_name: String,
    /// Absent: removed from the cluster, may only rejoin it.
    pub raft_id: Option<RaftId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founding: Option<Founding>,
    /// The id that this node gave up when it lost its log: to be said when it rejoins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<RaftId>,
    /// The log of `raft_id` was made: one that is missing now is lost.
    #[serde(default)]
    pub opened: bool,
}

impl ClusterFile {
    /// A node that is bound, before it has a log.
    pub fn bound(cluster: ClusterId, cluster_name: String, raft_id: RaftId) -> Self {
        let raft_id = Some(raft_id);
        Self { cluster, cluster_name, raft_id, founding: None, left: None, opened: false }
    }
}

impl ClusterFile {
    pub fn binding(file: Option<&Self>) -> Binding {
        match file {
            None => Binding::Blank,
            Some(Self { cluster, raft_id: Some(raft_id), .. }) => {
                Binding::Bound { cluster: cluster.clone(), raft_id: *raft_id }
            }
            Some(Self { cluster, raft_id: None, .. }) => {
                Binding::Detached { cluster: cluster.clone() }
            }
        }
    }
}

/// A locked data directory. The lock lives as long as this.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates what is missing and takes the lock; one that another process holds is waited for, as
    /// that may be this node's own predecessor on its way out. Blocking.
    pub fn open(root: &Path, patience: Duration) -> Result<Self, Error> {
        if root.is_file() {
            return Err(Error::NotADirectory(root.to_owned()));
        }
        let not_writable =
            |e: std::io::Error| Error::NotWritable { path: root.to_owned(), why: e.to_string() };
        for dir in [root.to_owned(), root.join("identity")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(not_writable)?;
        }
        let lock = Self::lock(root, patience)?;
        // A folder is there for good only once the one above it is synced.
        for dir in [root, root.parent().unwrap_or(root)] {
            if !dir.as_os_str().is_empty() {
                sync_dir(dir)?;
            }
        }
        Ok(Self { root: root.to_owned(), _lock: lock })
    }

    fn lock(root: &Path, patience: Duration) -> Result<File, Error> {
        let path = root.join("LOCK");
        let not_writable =
            |e: std::io::Error| Error::NotWritable { path: root.to_owned(), why: e.to_string() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(not_writable)?;
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        let mut waited = Duration::ZERO;
        while rustix::fs::flock(&file, operation).is_err() {
            let pid = holder(&mut file);
            if waited >= patience {
                return Err(Error::Locked { path: root.to_owned(), pid });
            }
            if waited.is_zero() {
                tracing::info!("waiting for process {pid}, which still uses the data directory");
            }
            std::thread::sleep(LOCK_RETRY);
            waited += LOCK_RETRY;
        }
        overwrite(&file, format!("{}\n", std::process::id()).as_bytes()).map_err(not_writable)?;
        Ok(file)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn raft_dir(&self) -> PathBuf {
        self.root.join("raft")
    }

    /// The node's key, made at the first start.
    pub fn key(&self) -> Result<Keypair, Error> {
        let path = self.root.join("identity/node.key");
        match fs::read(&path) {
            Ok(bytes) => Keypair::from_protobuf_encoding(&bytes)
                .map_err(|e| Error::Damaged { path, why: format!("not a node key: {e}") }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Keypair::generate_ed25519();
                let bytes = key
                    .to_protobuf_encoding()
                    .map_err(|e| Error::Io { path: path.clone(), why: e.to_string() })?;
                write_durably(&path, &bytes)?;
                Ok(key)
            }
            Err(error) => Err(Error::Io { path, why: error.to_string() }),
        }
    }

    /// Counts this start; the first is 1.
    pub fn next_incarnation(&self) -> Result<u64, Error> {
        let path = self.root.join("identity/incarnation");
        let last = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().map_err(|_| Error::Damaged {
                path: path.clone(),
                why: "not a number".to_owned(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::Io { path, why: error.to_string() }),
        };
        let fail = |e: std::io::Error| Error::Io { path: path.clone(), why: e.to_string() };
        let reserve = Reserve::open(&self.raft_dir());
        // In place, and all of one length: on a full disk, too, a node must start.
        let text = format!("{:>INCARNATION_DIGITS$}\n", last + 1);
        if last == 0 {
            write_durably(&path, text.as_bytes())?;
        } else {
            with_reserve(&reserve, 0, || {
                let file = OpenOptions::new().write(true).open(&path)?;
                overwrite(&file, text.as_bytes()).and_then(|()| file.sync_all())
            })
            .map_err(fail)?;
        }
        Ok(last + 1)
    }

    /// `cluster.json`, if there is one; refused where it names another cluster than the one this
    /// node was started for.
    pub fn cluster(&self, wanted: &str) -> Result<Option<ClusterFile>, Error> {
        match self.cluster_file()? {
            Some(file) if file.cluster_name != wanted => Err(Error::OtherCluster {
                path: self.root.clone(),
                found: file.cluster_name,
                wanted: wanted.to_owned(),
            }),
            file => Ok(file),
        }
    }

    fn cluster_file(&self) -> Result<Option<ClusterFile>, Error> {
        let path = self.root.join("cluster.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::Io { path, why: error.to_string() }),
        };
        let file = serde_json::from_str(&text);
        file.map(Some).map_err(|e| Error::Damaged { path, why: format!("not a cluster file: {e}") })
    }

    /// Gives up the membership of a node whose log is lost, damaged or an older copy: the log is put
    /// aside, key and files stay, and the next start asks to join as a new member. Gives what was
    /// left; nothing where the node belongs to no cluster. May be repeated.
    pub fn replace(&self, unix_ms: u64) -> Result<Option<ClusterFile>, Error> {
        let Some(file) = self.cluster_file()? else { return Ok(None) };
        // First of all: a node that is bound without its log could vote twice in one term.
        let left = file.raft_id.or(file.left);
        let file = ClusterFile { raft_id: None, founding: None, left, opened: false, ..file };
        self.bind(&file)?;
        self.archive_raft(Some(&file.cluster), unix_ms)?;
        Ok(Some(file))
    }

    pub fn bind(&self, file: &ClusterFile) -> Result<(), Error> {
        let path = self.root.join("cluster.json");
        let text = serde_json::to_string_pretty(file)
            .map_err(|e| Error::Io { path: path.clone(), why: e.to_string() })?;
        write_durably(&path, text.as_bytes())
    }

    /// Puts Raft's folder aside, if it is there: it belongs to a cluster that this node left; which
    /// one is not always known any more.
    pub fn archive_raft(&self, cluster: Option<&ClusterId>, unix_ms: u64) -> Result<(), Error> {
        let short = cluster.and_then(|cluster| cluster.0.get(..8)).unwrap_or("unknown");
        let from = self.raft_dir();
        let to = self.root.join(format!("raft.left-{short}-{unix_ms}"));
        match fs::rename(&from, &to) {
            Ok(()) => sync_dir(&self.root),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::Io { path: from, why: error.to_string() }),
        }
    }

    /// Deletes `cluster.json`: the node is blank again.
    pub fn unbind(&self) -> Result<(), Error> {
        let path = self.root.join("cluster.json");
        match fs::remove_file(&path) {
            Ok(()) => sync_dir(&self.root),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::Io { path, why: error.to_string() }),
        }
    }
}

/// Who wrote itself into the lock file.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // What cannot be read is as unknown as what is not there.
    let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
    let pid = text.trim();
    if pid.is_empty() { "unknown" } else { pid }.to_owned()
}

/// In the room that the file has; cut only then. What is shorter than a sector is written whole or
/// not at all.
fn overwrite(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)
}

/// Written beside, synced, renamed, and the folder synced: whole or not at all.
fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |e: std::io::Error| Error::Io { path: path.to_owned(), why: e.to_string() };
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    fs::rename(&beside, path).map_err(fail)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(|e| Error::Io { path: path.to_owned(), why: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_key_stays_and_each_start_counts() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path(), Duration::ZERO).unwrap();
        let key = dir.key().unwrap().public();
        assert_eq!(dir.next_incarnation().unwrap(), 1);
        drop(dir);
        let dir = DataDir::open(root.path(), Duration::ZERO).unwrap();
        assert_eq!(dir.key().unwrap().public(), key);
        assert_eq!(dir.next_incarnation().unwrap(), 2);
        let mode = fs::metadata(root.path().join("identity/node.key")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    /// A full disk has no room for a new file: once the counter was written beside itself, and no
    /// node started where there was none.
    #[test]
    fn a_start_takes_no_room() {
        let root = tempfile::tempdir().unwrap();
        let counter = root.path().join("identity/incarnation");
        let mut seen = Vec::new();
        for start in 1..=3 {
            let dir = DataDir::open(root.path(), Duration::ZERO).unwrap();
            assert_eq!(dir.next_incarnation().unwrap(), start);
            drop(dir);
            let files = [counter.clone(), root.path().join("LOCK")];
            seen.push(files.map(|file| {
                let meta = fs::metadata(file).unwrap();
                (std::os::unix::fs::MetadataExt::ino(&meta), meta.len())
            }));
        }
        assert_eq!((seen[0], seen[1]), (seen[1], seen[2]));
        assert_eq!(fs::read_dir(root.path().join("identity")).unwrap().count(), 1);
    }

    #[test]
    fn a_second_node_is_told_who_holds_the_directory() {
        let root = tempfile::tempdir().unwrap();
        let _held = DataDir::open(root.path(), Duration::ZERO).unwrap();
        let error = DataDir::open(root.path(), Duration::ZERO).unwrap_err().to_string();
        let pid = std::process::id();
        let path = root.path().display();
        let expected = format!("data directory {path}: in use by another node (process {pid})");
        assert_eq!(error, expected);
    }

    #[test]
    fn a_predecessor_on_its_way_out_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let held = DataDir::open(root.path(), Duration::ZERO).unwrap();
        let (path, patience) = (root.path().to_owned(), Duration::from_secs(60));
        let successor = std::thread::spawn(move || DataDir::open(&path, patience).is_ok());
        std::thread::sleep(3 * LOCK_RETRY);
        drop(held);
        assert!(successor.join().unwrap());
    }

    /// A crash may leave a Raft folder that no `cluster.json` belongs to.
    #[test]
    fn a_folder_of_an_unknown_cluster_is_put_aside_too() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path(), Duration::ZERO).unwrap();
        dir.archive_raft(None, 4).unwrap();
        fs::create_dir(dir.raft_dir()).unwrap();
        dir.archive_raft(None, 5).unwrap();
        assert!(root.path().join("raft.left-unknown-5").is_dir());
    }

    #[test]
    fn a_node_is_replaced_with_its_key_and_its_files() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path(), Duration::ZERO).unwrap();
        assert_eq!(dir.replace(5).unwrap(), None);
        let key = dir.key().unwrap().public();
        dir.bind(&ClusterFile::bound("00ff00ff00ff".into(), "onrush".to_owned(), 4)).unwrap();
        fs::create_dir_all(dir.raft_dir()).unwrap();
        fs::create_dir_all(root.path().join("blobs")).unwrap();
        for _ in 0..2 {
            let left = dir.replace(6).unwrap().unwrap();
            assert_eq!((left.raft_id, left.left), (None, Some(4)));
            assert_eq!(dir.cluster("onrush").unwrap(), Some(left));
        }
        assert!(root.path().join("raft.left-00ff00ff-6").is_dir() && !dir.raft_dir().exists());
        assert!(root.path().join("blobs").is_dir() && dir.key().unwrap().public() == key);
    }

    #[test]
    fn a_file_and_an_unwritable_place_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(DataDir::open(&file, Duration::ZERO), Err(Error::NotADirectory(_))));
        assert!(matches!(
            DataDir::open(&file.join("below"), Duration::ZERO),
            Err(Error::NotWritable { .. })
        ));
    }

    #[test]
    fn cluster_json_binds_and_unbinds() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path(), Duration::ZERO).unwrap();
        assert_eq!(dir.cluster("onrush").unwrap(), None);
        let file = ClusterFile::bound("00ff00ff00ff".into(), "onrush".to_owned(), 4);
        dir.bind(&file).unwrap();
        assert_eq!(dir.cluster("onrush").unwrap(), Some(file));
        let other = dir.cluster("prod").unwrap_err().to_string();
        assert!(other.contains("it belongs to a node of cluster 'onrush'"), "{other}");
        fs::create_dir(dir.raft_dir()).unwrap();
        dir.archive_raft(Some(&ClusterId::from("00ff00ff00ff")), 5).unwrap();
        assert!(root.path().join("raft.left-00ff00ff-5").is_dir());
        dir.unbind().unwrap();
        assert_eq!(dir.cluster("onrush").unwrap(), None);
        fs::write(root.path().join("cluster.json"), "{").unwrap();
        assert!(matches!(dir.cluster("onrush"), Err(Error::Damaged { .. })));
    }
}
