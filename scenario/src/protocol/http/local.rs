//! Faults of the generator's own machine, told apart from the target's: what ran out, how much of
//! it there is, and what helps. ✖ reads limits when it has to.

use std::fs;
use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Begins the text of such a fault; the report and the counts know it by this.
pub(super) const MARK: &str = "local: ";

/// The text of the KO, where the fault is this machine's.
pub(super) fn fault(error: &io::Error, to: SocketAddr) -> Option<String> {
    let why = match Errno::from_io_error(error)? {
        Errno::MFILE => {
            let limit = getrlimit(Resource::Nofile).current.unwrap_or(0);
            format!(
                "Too many open files: this process may hold {limit}; raise the limit (ulimit -n) \
                 or divide the load among more nodes"
            )
        }
        Errno::NFILE => "Too many open files in the system: raise fs.file-max".to_owned(),
        Errno::ADDRNOTAVAIL => {
            let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
            let ports = ports(&range.unwrap_or_default());
            format!(
                "Cannot assign requested address: the {ports} local ports towards {to} are used \
                 up; keep connections open, divide the load among more nodes, or widen \
                 net.ipv4.ip_local_port_range"
            )
        }
        Errno::NOBUFS | Errno::NOMEM => format!("{error}: the kernel has no memory for sockets"),
        _ => return None,
    };
    Some(format!("{MARK}{why}"))
}

/// `32768\t60999`: both ends count.
fn ports(range: &str) -> u32 {
    let mut ends = range.split_ascii_whitespace().filter_map(|end| end.parse::<u32>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_is_named_with_its_figure() {
        let to = SocketAddr::from(([127, 0, 0, 1], 80));
        let of = |errno: Errno| fault(&errno.into(), to);
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(0);
        let files = of(Errno::MFILE).unwrap();
        assert!(
            files.starts_with(&format!(
                "local: Too many open files: this process may hold {limit};"
            ))
        );
        assert!(of(Errno::ADDRNOTAVAIL).unwrap().contains("local ports towards 127.0.0.1:80 are"));
        assert_eq!(of(Errno::CONNREFUSED), None);
        assert_eq!(ports("32768\t60999\n"), 28_232);
        assert_eq!(ports(""), 0);
    }
}
