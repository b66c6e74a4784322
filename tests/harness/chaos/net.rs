//! The network between the nodes, where links can be cut one by one and in one direction: hosts in
//! namespaces of their own on a bridge, or gates on loopback. The program runs itself again inside of
//! the namespaces, as root or as an unprivileged user; all of it is gone when it ends.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};

use super::gates::Gates;
use crate::cluster::{Node, Place};

/// What the nodes' API asks for, where they do not listen on loopback.
const TOKEN: &str = "onr_chaos_0123456789abcdef";
const SUBNET: &str = "10.77.0";
/// As an operator sets hosts up that open hundreds of connections a second to one address: after
/// half of the range is in TIME_WAIT, the kernel looks for a free port longer than a request takes.
const PORTS: &str = "net.ipv4.tcp_tw_reuse=1";
/// The bridge, where the target and this program are. No fault cuts the way to it.
const BRIDGE_HOST: u8 = 254;
/// Of a node's disk.
const DISK_MIB: u32 = 192;
const LOSS_PERCENT: u32 = 10;
/// The sets of links that are cut, and of those that lose packets.
const CUT: &str = "cut";
const LOSSY: &str = "lossy";

/// Prepares a place for the hosts; also shows whether it can be had.
const SETUP: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/netns && ip link set lo up \
                     && ip link add br0 type bridge && ip link set br0 up \
                     && ip addr add 10.77.0.254/24 dev br0 \
                     && ip netns add h1 && ip netns exec h1 true && nft add table bridge probe";

/// The kinds of network, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    Root,
    User,
    Loopback,
}

impl Inside {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "user",
            Self::Loopback => "loopback",
        }
    }

    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Root, Self::User, Self::Loopback].into_iter().find(|it| it.name() == name)
    }

    /// For people.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::Root => "network namespaces (root), hosts on a bridge",
            Self::User => "network namespaces of an unprivileged user, hosts on a bridge",
            Self::Loopback => "loopback, with a gate before each node; disks cannot be filled",
        }
    }

    /// What a command line begins with that is to run there.
    #[must_use]
    pub fn wrapper(self) -> Vec<&'static str> {
        let namespaces = ["--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"];
        match self {
            Self::Root => ["unshare"].into_iter().chain(namespaces).collect(),
            Self::User => ["unshare", "-U", "-r"].into_iter().chain(namespaces).collect(),
            Self::Loopback => Vec::new(),
        }
    }

    /// Whether this machine lets us.
    #[must_use]
    pub fn can_be_had(self) -> bool {
        let Some((program, rest)) = self.wrapper().split_first().map(|(p, r)| (*p, r.to_vec()))
        else {
            return true;
        };
        let quiet = Command::new(program)
            .args(rest)
            .args(["sh", "-c", SETUP])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        quiet.is_ok_and(|status| status.success())
    }

    /// The best that can be had.
    #[must_use]
    pub fn best() -> Self {
        [Self::Root, Self::User].into_iter().find(|it| it.can_be_had()).unwrap_or(Self::Loopback)
    }
}

fn run(line: &str) -> anyhow::Result<()> {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

fn nft(script: &str) -> anyhow::Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("nft")?;
    child.stdin.take().context("stdin")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft: {}{script}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What is done to the link from one node to another.
type Hold = (&'static str, usize, usize);

/// See the module.
#[derive(Clone, Debug)]
pub struct Net {
    inside: Inside,
    /// On loopback.
    gates: Gates,
    /// How many faults hold a link: it is healed when the last one lets go.
    held: Arc<Mutex<BTreeMap<Hold, usize>>>,
    /// Delays can be made (`tc netem`).
    pub delays: bool,
    /// Connections can be killed (`ss -K`).
    pub kills_connections: bool,
}

impl Net {
    /// Called inside of the namespaces: `hosts` hosts on a bridge.
    ///
    /// # Errors
    /// What the machine refuses.
    pub fn open(inside: Inside, hosts: usize) -> anyhow::Result<Self> {
        if inside == Inside::Loopback {
            let gates = Gates::default();
            let (held, delays) = (Arc::default(), false);
            return Ok(Self { inside, gates, held, delays, kills_connections: false });
        }
        run(SETUP)?;
        for host in 1..=hosts {
            if host > 1 {
                run(&format!("ip netns add h{host}"))?;
            }
            run(&format!(
                "ip link add p{host} type veth peer name eth0 netns h{host} \
                 && ip link set p{host} master br0 up \
                 && ip -n h{host} addr add {SUBNET}.{host}/24 dev eth0 \
                 && ip -n h{host} link set eth0 up && ip -n h{host} link set lo up \
                 && ip netns exec h{host} sysctl -qw {PORTS}"
            ))?;
        }
        nft(&format!(
            "delete table bridge probe\n\
             table bridge chaos {{\n\
             set {CUT} {{ type ifname . ifname; }}\n\
             set {LOSSY} {{ type ifname . ifname; }}\n\
             chain split {{\n\
             type filter hook forward priority 0; policy accept;\n\
             meta iifname . meta oifname @{CUT} counter drop\n\
             meta iifname . meta oifname @{LOSSY} numgen random mod 100 < {LOSS_PERCENT} counter drop\n\
             }}\n}}\n"
        ))?;
        let delays = run("ip netns exec h1 tc qdisc add dev lo root netem delay 1ms").is_ok();
        // A kernel that cannot do it says so, or does nothing.
        let kills_connections = shows_killed_connections();
        let (gates, held) = (Gates::default(), Arc::default());
        Ok(Self { inside, gates, held, delays, kills_connections })
    }

    #[must_use]
    pub fn inside(&self) -> Inside {
        self.inside
    }

    /// Whether each node is a host of its own, with a disk of its own.
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        self.inside != Inside::Loopback
    }

    /// Where this program and the target are.
    #[must_use]
    pub fn own_host(&self) -> String {
        match self.inside {
            Inside::Loopback => "127.0.0.1".to_owned(),
            _ => format!("{SUBNET}.{BRIDGE_HOST}"),
        }
    }

    /// Where a node is; the first has index 0.
    #[must_use]
    pub fn place(&self, index: usize) -> Place {
        if self.inside == Inside::Loopback {
            return Place::default();
        }
        let host = index + 1;
        Place {
            host: format!("{SUBNET}.{host}"),
            before: ["ip", "netns", "exec", &format!("h{host}")].map(str::to_owned).to_vec(),
            token: Some(TOKEN.to_owned()),
            ..Place::default()
        }
    }

    /// A node at its place; on loopback it announces a gate.
    ///
    /// # Errors
    /// There is no port for a gate.
    pub fn node(&self, index: usize, place: Place, data_dir: PathBuf) -> anyhow::Result<Node> {
        let mut node = Node::at(&format!("n{}", index + 1), data_dir, place);
        if !self.has_hosts() {
            node.place.announce = Some(self.gates.open(index, node.p2p_port)?);
        }
        Ok(node)
    }

    /// A small disk of its own for a node's data.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn disk(&self, folder: &Path) -> anyhow::Result<()> {
        if !self.has_hosts() {
            return Ok(());
        }
        std::fs::create_dir_all(folder)?;
        let folder = folder.display();
        run(&format!("mount -t tmpfs -o size={DISK_MIB}m,mode=0755 tmpfs '{folder}'"))
    }

    /// Gives a node's disk back; what was on it is gone.
    pub fn release(&self, folder: &Path) {
        if self.has_hosts() {
            // A folder that was never mounted has nothing to give back.
            let _ = run(&format!("umount -l '{}'", folder.display()));
        }
    }

    fn element(&self, verb: &str, set: &str, from: usize, to: usize) -> anyhow::Result<()> {
        let (from, to) = (from + 1, to + 1);
        nft(&format!("{verb} element bridge chaos {set} {{ \"p{from}\" . \"p{to}\" }}\n"))
    }

    /// Counts one fault more that holds the link; true for the first.
    fn hold(&self, set: &'static str, from: usize, to: usize) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry((set, from, to)).or_default();
        *count += 1;
        *count == 1
    }

    /// Counts one fault less; true for the last.
    fn let_go(&self, set: &'static str, from: usize, to: usize) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = held.get_mut(&(set, from, to)) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            held.remove(&(set, from, to));
        }
        last
    }

    /// Nothing gets from one node to the other any more; the way back stays.
    ///
    /// # Errors
    /// `nft` refuses.
    pub fn cut(&self, from: usize, to: usize) -> anyhow::Result<()> {
        match (self.hold(CUT, from, to), self.has_hosts()) {
            (false, _) => Ok(()),
            (true, true) => self.element("add", CUT, from, to),
            (true, false) => {
                self.gates.cut(from, to);
                Ok(())
            }
        }
    }

    /// # Errors
    /// `nft` refuses.
    pub fn join(&self, from: usize, to: usize) -> anyhow::Result<()> {
        match (self.let_go(CUT, from, to), self.has_hosts()) {
            (false, _) => Ok(()),
            (true, true) => self.element("delete", CUT, from, to),
            (true, false) => {
                self.gates.join(from, to);
                Ok(())
            }
        }
    }

    /// A tenth of what goes from one node to the other is lost.
    ///
    /// # Errors
    /// `nft` refuses.
    pub fn lose(&self, from: usize, to: usize) -> anyhow::Result<()> {
        if self.hold(LOSSY, from, to) { self.element("add", LOSSY, from, to) } else { Ok(()) }
    }

    /// # Errors
    /// `nft` refuses.
    pub fn keep(&self, from: usize, to: usize) -> anyhow::Result<()> {
        if self.let_go(LOSSY, from, to) { self.element("delete", LOSSY, from, to) } else { Ok(()) }
    }

    /// # Errors
    /// `nft` refuses.
    pub fn heal_all(&self) -> anyhow::Result<()> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if !self.has_hosts() {
            self.gates.heal_all();
            return Ok(());
        }
        nft(&format!("flush set bridge chaos {CUT}\nflush set bridge chaos {LOSSY}\n"))
    }

    /// All that a node sends takes longer, by 100 ms ± 20 ms, or no longer so.
    ///
    /// # Errors
    /// `tc` refuses.
    pub fn delay(&self, node: usize, on: bool) -> anyhow::Result<()> {
        let verb = if on { "add" } else { "del" };
        let how = if on { "netem delay 100ms 20ms" } else { "" };
        run(&format!("ip netns exec h{} tc qdisc {verb} dev eth0 root {how}", node + 1))
    }

    /// Ends the connections that a node has with its peers now.
    ///
    /// # Errors
    /// `ss` cannot be run.
    pub fn kill_connections(&self, node: usize, peer: usize) -> anyhow::Result<()> {
        run(&format!("ip netns exec h{} ss -K dst {SUBNET}.{}", node + 1, peer + 1))
    }
}

/// `ss -K` ends a connection that was made for the trial.
fn shows_killed_connections() -> bool {
    let tried = || -> anyhow::Result<bool> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let mut client = std::net::TcpStream::connect(("127.0.0.1", port))?;
        let _accepted = listener.accept()?;
        run(&format!("ss -K dst 127.0.0.1 dport = {port}"))?;
        client.set_read_timeout(Some(std::time::Duration::from_millis(200)))?;
        let read = std::io::Read::read(&mut client, &mut [0]);
        Ok(!matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock))
    };
    tried().unwrap_or(false)
}
