//! A disk that fails on demand: one file, `disk.img`, in a FUSE file system. A loop device over it is a block device
//! whose writes go to a volatile cache until the kernel flushes, as those of a real drive do.
//!
//! Control is by lines on a Unix socket, each answered by one line of JSON:
//!
//! | line | meaning |
//! |---|---|
//! | `stats` | counters and the size of the cache |
//! | `cut drop` | power is cut: nothing of the cache reaches the medium |
//! | `cut subset` | each cached sector reaches it or not, in any of the versions written since the last flush |
//! | `cut torn` | a prefix of the writes reaches it, the last of them in part |
//! | `cut-at N HOW` | the same by itself, as soon as the Nth write from now is in the cache |
//! | `fail-flush N once\|always` | the Nth flush from now fails, and the cache is lost in part; later ones succeed, or not |
//! | `fail-write N once\|always` | the Nth write from now fails |
//! | `fail-read N once\|always` | the Nth read from now fails |
//! | `bad FROM TO` | these sectors cannot be read |
//! | `delay MS` | every flush and write takes this much longer |
//! | `heal` | no more of this |
//!
//! After a cut every request fails: the machine is off. What the medium holds is the file that was given.

mod control;
mod filesystem;
mod medium;
mod random;

use medium::Medium;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [image, directory, socket, seed] = words.as_slice() else {
        eprintln!("usage: faulty-disk IMAGE DIRECTORY SOCKET SEED");
        return ExitCode::from(2);
    };
    match serve(image.into(), directory.into(), socket.into(), seed.parse().unwrap_or(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faulty-disk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(image: PathBuf, directory: PathBuf, socket: PathBuf, seed: u64) -> std::io::Result<()> {
    let medium = Arc::new(Mutex::new(Medium::open(&image, seed)?));
    control::listen(&socket, Arc::clone(&medium))?;
    let options = [fuser::MountOption::FSName("faulty-disk".to_owned()), fuser::MountOption::RW];
    // Ends when the file system is unmounted.
    fuser::mount2(filesystem::OneFile::new(medium), &directory, &options)
}
