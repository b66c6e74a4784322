//! Links on loopback that can be cut: each node announces a gate instead of its own port, and the gate
//! carries bytes in each direction as long as it is open. Who dials is found by the owner of the
//! socket at the other end. What is under way when a link is cut waits until it is healed, as packets
//! that are sent again would.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::baseline;

/// How often a closed gate, or a silent connection, is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PIECE_BYTES: usize = 64 << 10;
/// The owner of a socket that was made this moment is found within so many looks.
const OWNER_LOOKS: u32 = 20;

/// Directed links that are cut: by the indices of the nodes.
type Cuts = Arc<Mutex<BTreeSet<(usize, usize)>>>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    cuts: Cuts,
}

impl Gates {
    pub fn cut(&self, from: usize, to: usize) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).insert((from, to));
    }

    pub fn join(&self, from: usize, to: usize) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).remove(&(from, to));
    }

    pub fn heal_all(&self) {
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A gate in front of a node's port; gives the address to announce.
    ///
    /// # Errors
    /// No port is free.
    pub fn open(&self, node: usize, port: u16) -> std::io::Result<String> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?.to_string();
        let cuts = Arc::clone(&self.cuts);
        std::thread::spawn(move || {
            for dialled in listener.incoming().flatten() {
                let cuts = Arc::clone(&cuts);
                // One that breaks is dialled again.
                std::thread::spawn(move || pass(dialled, node, port, &cuts));
            }
        });
        Ok(address)
    }
}

fn is_cut(cuts: &Cuts, from: Option<usize>, to: Option<usize>) -> bool {
    let (Some(from), Some(to)) = (from, to) else { return false };
    cuts.lock().unwrap_or_else(PoisonError::into_inner).contains(&(from, to))
}

fn pass(dialled: TcpStream, node: usize, port: u16, cuts: &Cuts) -> std::io::Result<()> {
    let dialler = dialler_of(dialled.peer_addr()?);
    let (from, to) = (dialler, Some(node));
    // Nobody answers while either direction is closed.
    while is_cut(cuts, from, to) || is_cut(cuts, to, from) {
        std::thread::sleep(LOOK_EVERY);
    }
    let onward = TcpStream::connect(("127.0.0.1", port))?;
    let (back_in, back_out) = (onward.try_clone()?, dialled.try_clone()?);
    let theirs = Arc::clone(cuts);
    let back = std::thread::spawn(move || carry(back_in, back_out, || is_cut(&theirs, to, from)));
    let there = carry(dialled, onward, || is_cut(cuts, from, to));
    // Both ends are shut by now, whoever ended it.
    let _ = back.join();
    there
}

/// Carries bytes one way until either end closes; while the link is cut, nothing is read nor written.
fn carry(mut from: TcpStream, mut to: TcpStream, cut: impl Fn() -> bool) -> std::io::Result<()> {
    let carried = (|| {
        from.set_nodelay(true)?;
        to.set_nodelay(true)?;
        from.set_read_timeout(Some(LOOK_EVERY))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            if cut() {
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            let count = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if is_silence(&error) => continue,
                Err(error) => return Err(error),
            };
            while cut() {
                std::thread::sleep(LOOK_EVERY);
            }
            to.write_all(&piece[..count])?;
        }
    })();
    for end in [&from, &to] {
        // It may be closed already.
        let _ = end.shutdown(std::net::Shutdown::Both);
    }
    carried
}

fn is_silence(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::WouldBlock
            | std::io::ErrorKind::TimedOut
            | std::io::ErrorKind::Interrupted
    )
}

/// Which node dialled from this address: the child of this process that holds the socket.
fn dialler_of(peer: SocketAddr) -> Option<usize> {
    for _ in 0..OWNER_LOOKS {
        let nodes = baseline::children(std::process::id());
        let inode =
            std::fs::read_to_string("/proc/net/tcp").ok().and_then(|table| inode(&table, peer));
        let found = inode.and_then(|inode| nodes.into_iter().find(|pid| holds(*pid, inode)));
        if let Some(pid) = found {
            return index_of(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    None
}

/// The inode of the socket that is bound to an address, in the kernel's table.
fn inode(table: &str, local: SocketAddr) -> Option<u64> {
    let SocketAddr::V4(local) = local else { return None };
    let wanted = format!("{:08X}:{:04X}", u32::from_le_bytes(local.ip().octets()), local.port());
    let row = table.lines().find(|line| line.split_whitespace().nth(1) == Some(wanted.as_str()))?;
    row.split_whitespace().nth(9)?.parse().ok()
}

fn holds(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(all) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    all.flatten().any(|fd| {
        std::fs::read_link(fd.path()).is_ok_and(|link| link == Path::new(wanted.as_str()))
    })
}

/// The index of a node by its command line: `--name n3` is the third.
fn index_of(command_line: &[u8]) -> Option<usize> {
    let mut words = command_line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.find(|word| word == "--name")?;
    words.next()?.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dialler_is_found_by_its_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n";
        assert_eq!(inode(table, "127.0.0.1:8080".parse().unwrap()), Some(77));
        assert_eq!(inode(table, "127.0.0.1:8081".parse().unwrap()), None);
        assert_eq!(index_of(b"onrush\0node\0--name\0n3\0--expect\x003\0"), Some(2));
        assert_eq!(index_of(b"onrush-target\0"), None);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let inode = inode(&table, listener.local_addr().unwrap()).unwrap();
        assert!(holds(std::process::id(), inode));
    }

    #[test]
    fn what_is_cut_waits_and_comes_through_when_healed() {
        let echo = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = echo.local_addr().unwrap().port();
        let near = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (far, _) = echo.accept().unwrap();
        let (gates, sink) = (Gates::default(), TcpListener::bind(("127.0.0.1", 0)).unwrap());
        let out = TcpStream::connect(sink.local_addr().unwrap()).unwrap();
        let (mut end, _) = sink.accept().unwrap();
        gates.cut(0, 1);
        let cuts = Arc::clone(&gates.cuts);
        let carried =
            std::thread::spawn(move || carry(far, out, || is_cut(&cuts, Some(0), Some(1))));
        (&near).write_all(b"held").unwrap();
        end.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut bytes = [0; 4];
        assert!(is_silence(&end.read_exact(&mut bytes).unwrap_err()));
        gates.join(0, 1);
        end.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        end.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"held");
        drop(near);
        carried.join().unwrap().unwrap();
    }
}
