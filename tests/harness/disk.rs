//! Small disks for data directories: file systems in memory, mounted for a test and gone after it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own at a folder.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one with the options of tmpfs, such as `size=24m`.
    ///
    /// # Errors
    /// What the machine says where this user may not mount anything.
    ///
    /// # Panics
    /// The folder cannot be made.
    pub fn mount(path: &Path, options: &str) -> Result<Self, String> {
        fs::create_dir_all(path).expect("a folder to mount at");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "onrush-test"]).arg(path);
        match mount.output() {
            Ok(output) if output.status.success() => Ok(Self { path: path.to_owned() }),
            refused => Err(format!("mount -t tmpfs -o {options}: {refused:?}")),
        }
    }

    /// What another program does that takes all the room there is.
    ///
    /// # Panics
    /// It fails otherwise than by being full.
    #[must_use]
    pub fn fill(&self) -> Filler {
        let path = self.path.join("filler");
        let mut file = File::create(&path).expect("a file");
        let step = [7; 4_096];
        while file.write_all(&step).is_ok() {}
        Filler { files: vec![path] }
    }

    /// What takes all the inodes.
    ///
    /// # Panics
    /// More than a million are there.
    #[must_use]
    pub fn fill_inodes(&self) -> Filler {
        let mut files = Vec::new();
        for index in 0..1_000_000 {
            let path = self.path.join(format!("filler-{index}"));
            if File::create(&path).is_err() {
                return Filler { files };
            }
            files.push(path);
        }
        panic!("{}: a million inodes", self.path.display());
    }

    /// Bytes that are free.
    ///
    /// # Panics
    /// The file system cannot be asked.
    #[must_use]
    pub fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.path).expect("a file system");
        found.f_bavail * found.f_frsize
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still uses it keeps it until then.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Files that go when this does.
#[derive(Debug)]
pub struct Filler {
    files: Vec<PathBuf>,
}

impl Drop for Filler {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}
