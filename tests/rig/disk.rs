//! A small file system of a test's own, which can be full or read-only. Where none may be mounted the test says so and is content.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// See the module.
pub struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    /// An empty one; `None` where none may be mounted.
    pub fn mount() -> Option<Self> {
        let disk = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let mounted = disk.run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tandem-test"]));
        if !mounted {
            eprintln!("no file system may be mounted here: not tested");
        }
        mounted.then_some(disk)
    }

    /// Makes it read-only (`ro`) or not (`rw`); whether that could be done.
    pub fn remount(&self, how: &str) -> bool {
        self.run(Command::new("mount").args(["-o", &format!("remount,{how}")]))
    }

    fn run(&self, command: &mut Command) -> bool {
        let output = command.arg(self.directory.path()).output();
        output.is_ok_and(|output| output.status.success())
    }

    /// A directory in it that is not there yet.
    pub fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    /// Takes all the room there is; deleting the file gives it back.
    pub fn fill(&self) -> PathBuf {
        let path = self.directory.path().join("filler");
        let mut file = File::create(&path).expect("a file");
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a journal may still be open. Where it was not mounted there is nothing to do.
        self.run(Command::new("umount").arg("-l"));
    }
}
