//! Full disks: data directories on small file systems, filled by an upload or by other programs.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::cluster::{Cluster, FORMING_LIMIT};
use harness::disk::Disk;
use harness::process::onrush;
use harness::wait::until;

const FILES: &str = "/api/v1/projects/default/files";
const MIB: usize = 1 << 20;
/// Generous: what was seen was 87 s.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A cluster on disks with these options, and the disks. Where nothing can be mounted, it says so:
/// the decisions are then tested without disks, in `space` and `repository`.
fn cluster_on(options: [&str; 3]) -> Option<(Cluster, Vec<Disk>)> {
    let mut cluster = Cluster::planned(options.len());
    let places = cluster.nodes.iter().map(|node| node.data_dir.clone());
    let disks: Result<Vec<Disk>, String> =
        places.zip(options).map(|(place, options)| Disk::mount(&place, options)).collect();
    let disks = match disks {
        Ok(disks) => disks,
        Err(why) => {
            // Not by `println`, which nobody sees of a test that passes.
            let _ = writeln!(std::io::stderr(), "NOT TESTED for want of small disks: {why}");
            return None;
        }
    };
    for index in 0..options.len() {
        cluster.start_node(index);
    }
    cluster.await_formed();
    Some((cluster, disks))
}

/// What uploads and pulls have left behind.
fn leftovers(data_dir: &Path) -> Vec<String> {
    let folders = ["blobs/tmp", "blobs/part"].map(|folder| data_dir.join(folder));
    let files = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
    files.map(|file| file.path().display().to_string()).collect()
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// Once this filled both small voters: the upload was refused after 87 s, its part stayed, at the
/// next command both exited, and neither started again.
#[test]
fn an_upload_that_a_voter_has_no_room_for_is_refused_at_once_and_leaves_nothing() {
    let Some((cluster, disks)) = cluster_on(["size=24m", "size=24m", "size=300m"]) else { return };
    let (large, body) = (cluster.nodes[2].rest(), noise(60 * MIB));
    let free = disks[0].free();
    let began = Instant::now();
    let (status, text) = large.put(&format!("{FILES}/big.csv"), &body).expect("an answer");
    println!("after {:?}: {status} {text}", began.elapsed());
    assert_eq!(status, 507, "{text}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(text.contains("insufficient-storage") && text.contains("free of 24.0 MiB"), "{text}");
    assert!(text.contains("node n1 has no room") || text.contains("node n2 has no room"), "{text}");

    let (status, text) = large.put_unsized(&format!("{FILES}/big.csv"), &body).expect("an answer");
    println!("without a length: {status} {text}");
    assert_eq!(status, 507, "{text}");

    let path = cluster.dir.join("big.csv");
    std::fs::write(&path, &body).expect("a local file");
    let address = cluster.nodes[2].address();
    let shown = onrush(
        ["--address", &address, "file", "put"]
            .iter()
            .map(std::ffi::OsStr::new)
            .chain([path.as_os_str()]),
    );
    let shown = String::from_utf8_lossy(&shown.stderr).into_owned();
    println!("the command line: {shown}");
    assert!(shown.contains("has no room"), "{shown}");

    for (node, disk) in cluster.nodes.iter().zip(&disks) {
        assert_eq!(leftovers(&node.data_dir), Vec::<String>::new());
        assert!(disk.free() + 4 * MIB as u64 > free, "{}: {} are free", node.name, disk.free());
    }
    let (status, text) = large.put(&format!("{FILES}/small.csv"), &body[..MIB]).expect("an answer");
    assert_eq!(status, 201, "{text}");
    assert!(cluster.running().count() == 3, "{}", cluster.logs());
}

/// The disk of one voter is filled by another program: the cluster goes on, the node starts again,
/// what deletes is taken, and once there is room all is as before without a restart.
#[test]
fn a_node_on_a_full_disk_starts_deletes_and_heals() {
    let options = ["size=32m", "size=32m,nr_inodes=2000", "size=300m"];
    let Some((mut cluster, disks)) = cluster_on(options) else { return };
    let rest = |index: usize, cluster: &Cluster| cluster.nodes[index].rest();
    let (status, text) =
        rest(2, &cluster).put(&format!("{FILES}/old.csv"), &noise(2 * MIB)).expect("put");
    assert_eq!(status, 201, "{text}");
    until("the file to be on every node", FORMING_LIMIT, || {
        let (status, _) = rest(0, &cluster).bytes(&format!("{FILES}/old.csv"))?;
        ensure!(status == 200, "{status}");
        Ok(())
    });

    let filler = disks[0].fill();
    cluster.nodes[0].kill();
    cluster.start_node(0);
    cluster.await_formed();
    println!("n1 is back with {} bytes free", disks[0].free());
    let mut seen = std::collections::BTreeMap::new();
    for turn in 0..60 {
        let body = format!(r#"{{"name":"p{turn}"}}"#);
        let (status, text) =
            rest(turn % 3, &cluster).post("/api/v1/projects", &body).expect("an answer");
        assert!([201, 503, 507].contains(&status), "{status} {text}{}", cluster.logs());
        if seen.insert(status, text.clone()).is_none() {
            println!("a project through n{}: {status} {text}", turn % 3 + 1);
        }
    }
    // If the full one was the master, it has handed over by then.
    let mut turn = 100;
    let taken = until("a master that has room", FORMING_LIMIT, || {
        for index in 0..3 {
            turn += 1;
            let body = format!(r#"{{"name":"p{turn}"}}"#);
            let (status, text) = rest(index, &cluster).post("/api/v1/projects", &body)?;
            ensure!(status == 201, "{status} {text}");
        }
        Ok(turn)
    });
    println!("projects are taken through all nodes (p{taken}), led by {}", cluster.leader() + 1);
    let (status, text) = rest(2, &cluster).put(&format!("{FILES}/new.csv"), b"new").expect("put");
    println!("an upload: {status} {text}");
    assert!(status == 507 && text.contains("node n1 has no room"), "{status} {text}");
    let (status, text) = rest(0, &cluster).delete(&format!("{FILES}/old.csv")).expect("delete");
    assert_eq!(status, 204, "{text}");
    assert_eq!(cluster.running().count(), 3, "{}", cluster.logs());

    drop(filler);
    until("uploads to be taken again", FORMING_LIMIT, || {
        let (status, text) = rest(0, &cluster).put(&format!("{FILES}/again.csv"), b"again")?;
        ensure!(status == 201, "{status} {text}");
        Ok(())
    });

    let filler = disks[1].fill_inodes();
    let (status, text) = rest(2, &cluster).put(&format!("{FILES}/inodes.csv"), b"x").expect("put");
    println!("without inodes: {status} {text}");
    assert!(status == 507 && text.contains("node n2 has no room"), "{status} {text}");
    assert!(text.contains("inodes are free of 2000"), "{text}");
    cluster.nodes[1].kill();
    cluster.start_node(1);
    cluster.await_formed();
    drop(filler);
    until("uploads to be taken again", FORMING_LIMIT, || {
        let (status, text) = rest(1, &cluster).put(&format!("{FILES}/inodes.csv"), b"x")?;
        ensure!(status == 201, "{status} {text}");
        Ok(())
    });
}

/// All voters on full disks: what the log still takes is answered, and what it does not with a reason;
/// no node ends, and all heal.
#[test]
fn when_all_disks_are_full_writes_are_refused_with_the_reason_until_there_is_room() {
    let Some((cluster, disks)) = cluster_on(["size=32m"; 3]) else { return };
    let fillers: Vec<_> = disks.iter().map(Disk::fill).collect();
    let mut seen = std::collections::BTreeMap::new();
    let labels = "x".repeat(60);
    // Each project takes some hundred bytes of the log: enough of them need the reserve.
    let mut refused = None;
    for turn in 0..4_000 {
        let body = format!(r#"{{"name":"{}{turn}"}}"#, &labels[..40]);
        let (status, text) =
            cluster.nodes[turn % 3].rest().post("/api/v1/projects", &body).expect("an answer");
        assert!([201, 503, 507].contains(&status), "{status} {text}{}", cluster.logs());
        *seen.entry(status).or_insert(0) += 1;
        if status == 507 {
            refused = Some(text);
            break;
        }
    }
    println!("projects while all are full: {seen:?}, {refused:?}");
    let (status, text) =
        cluster.nodes[0].rest().delete("/api/v1/projects/none").expect("an answer");
    assert_eq!(status, 404, "{text}");
    assert_eq!(cluster.running().count(), 3, "{}", cluster.logs());
    drop(fillers);
    until("writes to be taken again", FORMING_LIMIT, || {
        let (status, text) =
            cluster.nodes[0].rest().post("/api/v1/projects", r#"{"name":"after"}"#)?;
        ensure!(status == 201 || status == 409, "{status} {text}");
        Ok(())
    });
}
