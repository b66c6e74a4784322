//! The packages: made of the program at hand, each put into a root of its own that has nothing else,
//! started there as its unit, its page or its image says, and joined to one cluster. And what their
//! files name exists.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::cluster::{Cluster, FORMING_LIMIT, free_ports, repository};
use harness::process::{Process, binary, onrush};
use harness::rest::Rest;
use harness::wait::until;
use serde_json::Value;

type Environment = BTreeMap<String, String>;

/// Enters a root as a user, in a mount namespace that ends with the node. It needs proc, where it finds
/// its own program, and the null device.
const ENTER: &str = r#"
    root=$1 user=$2; shift 2
    for folder in proc dev; do mount --rbind "/$folder" "$root/$folder" || exit 71; done
    exec /usr/sbin/chroot --userspec="$user" "$root" "$@"
"#;
const TOKEN: &str = "a-token-of-the-tests";
/// An orderly stop of a node without shards.
const STOP_LIMIT: Duration = Duration::from_secs(15);

fn run(command: &mut Command) -> Output {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"));
    let output = output.expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{told}", output.status);
    output
}

fn text_of(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).expect("UTF-8")
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let text = text.expect("it can be read");
    serde_json::from_slice(&text).expect("JSON")
}

fn read(path: &str) -> String {
    let path = repository().join(path);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    text.expect("it can be read")
}

/// Version of the workspace.
fn version() -> String {
    let text = String::from_utf8(onrush(["--version"]).stdout).expect("UTF-8");
    text.trim().strip_prefix("onrush ").expect("onrush VERSION").to_owned()
}

fn unpack(archive: &Path, folder: &Path, options: &[&str]) {
    fs::create_dir_all(folder).expect("a folder");
    let mut tar = Command::new("tar");
    run(tar.arg("--extract").args(options).arg("--file").arg(archive).arg("-C").arg(folder));
}

fn sha256(path: &Path) -> String {
    let text = text_of(Command::new("sha256sum").arg(path));
    text.split_whitespace().next().expect("a digest").to_owned()
}

/// A folder that is all that a node sees of the machine.
struct Root {
    path: PathBuf,
    /// Who runs the node: `UID:GID`.
    user: String,
}

impl Root {
    fn at(path: PathBuf, user: &str) -> Self {
        for folder in ["proc", "dev", "etc/onrush"] {
            fs::create_dir_all(path.join(folder)).expect("a folder");
        }
        Self { path, user: user.to_owned() }
    }

    /// A file that root keeps for the node's group.
    fn keep(&self, name: &str, content: &[u8], mode: u32) {
        let path = self.path.join(name);
        fs::write(&path, content).expect("written");
        let group = self.user.split(':').nth(1).expect("UID:GID");
        run(Command::new("chown").arg(format!("0:{group}")).arg(&path));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode is set");
    }

    /// A folder of the node's own.
    fn own(&self, name: &str) {
        fs::create_dir_all(self.path.join(name)).expect("a folder");
        run(Command::new("chown").arg(&self.user).arg(self.path.join(name)));
    }

    /// The shared libraries of Debian packages, and nothing else of them.
    fn add_libraries(&self, packages: &[String]) {
        for package in packages {
            let files = text_of(Command::new("dpkg").args(["--listfiles", package]));
            let shared = |path: &&str| path.contains("lib/") || path.contains("lib64/");
            for path in files.lines().filter(|path| path.contains(".so")).filter(shared) {
                // From the root, as `cp` looks for the parents of what it copies where it is run.
                let mut copy = Command::new("cp");
                copy.args(["--archive", "--parents", path.trim_start_matches('/')]);
                run(copy.arg(&self.path).current_dir("/"));
            }
        }
    }

    /// Starts a program of this root, which has this environment and no other.
    fn start(&self, program: &[String], environment: &Environment) -> Process {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", ENTER, "sh"]).arg(&self.path).arg(&self.user);
        command.args(program).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Process::start(command.envs(environment), &self.path.with_extension("log"))
    }
}

/// A node of a package, and where it was told to be.
struct Started {
    name: String,
    process: Process,
    rest: Rest,
}

/// What each of them is told: where the cluster is, and ports of this machine that are free.
struct Joining<'a> {
    cluster: &'a Cluster,
}

impl Joining<'_> {
    fn tell(&self, name: &str, environment: &mut Environment) -> Rest {
        let ports = free_ports(2);
        let api = format!("127.0.0.1:{}", ports[1]);
        let told = [
            ("ONRUSH_CONTACT_POINTS", self.cluster.nodes[0].contact()),
            ("ONRUSH_NAME", name.to_owned()),
            ("ONRUSH_LABELS", format!("package={name},zone=a")),
            ("ONRUSH_LISTEN", format!("127.0.0.1:{}", ports[0])),
            ("ONRUSH_API", api.clone()),
            ("ONRUSH_CLUSTER_SECRET_FILE", "/etc/onrush/secret".to_owned()),
            ("ONRUSH_API_TOKEN_FILE", "/etc/onrush/token".to_owned()),
        ];
        environment.extend(told.map(|(key, value)| (key.to_owned(), value)));
        Rest::at(&format!("http://{api}"), Some(TOKEN))
    }

    fn secrets(&self, root: &Root, mode: u32) {
        root.keep("etc/onrush/secret", &fs::read(&self.cluster.secret).expect("a secret"), mode);
        root.keep("etc/onrush/token", TOKEN.as_bytes(), mode);
    }

    fn start(
        &self,
        name: &str,
        root: &Root,
        program: &[String],
        environment: Environment,
    ) -> Started {
        let mut environment = environment;
        let rest = self.tell(name, &mut environment);
        Started { name: name.to_owned(), process: root.start(program, &environment), rest }
    }
}

fn dpkg(root: &Path, arguments: &[&dyn AsRef<OsStr>]) -> String {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display()));
    // What it depends on is no package here, and its scripts are run by the shell of this machine.
    command.args(["--force-depends", "--force-script-chrootless", "--log=/dev/null"]);
    text_of(command.args(arguments.iter().map(|argument| argument.as_ref())))
}

/// The settings of a unit, in order.
fn settings<'a>(unit: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Installs the package twice, as an update does, and starts what its unit says with its default file,
/// to which an operator has added what the node is to know.
fn install_deb(joining: &Joining<'_>, deb: &Path, folder: &Path) -> (Root, Started) {
    let path = folder.join("deb");
    for admin in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"] {
        fs::create_dir_all(path.join(admin)).expect("a folder");
    }
    fs::write(path.join("var/lib/dpkg/status"), "").expect("written");
    for _ in 0..2 {
        dpkg(&path, &[&"--install", &deb]);
    }
    assert!(dpkg(&path, &[&"--status", &"onrush"]).contains("install ok installed"));
    assert!(dpkg(&path, &[&"--verify", &"onrush"]).is_empty(), "other files than it says");
    let enabled = path.join("etc/systemd/system/multi-user.target.wants/onrush.service");
    assert!(fs::symlink_metadata(enabled).is_err(), "it would found a cluster at the next boot");

    let users = fs::read_to_string(path.join("etc/passwd")).expect("its user was made");
    let user = users.lines().find(|line| line.starts_with("onrush:")).expect("a user onrush");
    let user: Vec<&str> = user.split(':').collect();
    assert!(path.join("etc/onrush").is_dir(), "a place for the secrets");
    let root = Root::at(path, &format!("{}:{}", user[2], user[3]));
    let depends = text_of(Command::new("dpkg-deb").arg("--field").arg(deb).arg("Depends"));
    let names = depends.split(',').filter_map(|it| it.split_whitespace().next());
    let libraries: Vec<String> =
        names.filter(|it| it.starts_with("lib")).map(str::to_owned).collect();
    root.add_libraries(&libraries);

    let unit = fs::read_to_string(root.path.join("lib/systemd/system/onrush.service"));
    let unit = &unit.expect("a unit");
    assert_eq!(settings(unit, "StateDirectory").next(), Some("onrush"));
    root.own("var/lib/onrush");
    joining.secrets(&root, 0o640);
    let file =
        settings(unit, "EnvironmentFile").next().expect("one").trim_start_matches('-').to_owned();
    let file = root.path.join(file.trim_start_matches('/'));
    let mut told = Environment::new();
    let rest = joining.tell("deb", &mut told);
    let lines: String = told.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let mut defaults = fs::read_to_string(&file).expect("the default file");
    defaults.push_str(&lines);
    fs::write(&file, &defaults).expect("written");

    let pair =
        |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut environment: Environment = settings(unit, "Environment").filter_map(pair).collect();
    environment.extend(defaults.lines().filter(|line| !line.starts_with('#')).filter_map(pair));
    let program = settings(unit, "ExecStart").next().expect("a command");
    let program: Vec<String> = program.split(' ').map(str::to_owned).collect();
    let process = root.start(&program, &environment);
    (root, Started { name: "deb".to_owned(), process, rest })
}

/// Unpacks the tarball below `/usr/local`, beside the libraries of another root.
fn install_tar(joining: &Joining<'_>, tarball: &Path, libraries: &Path, folder: &Path) -> Started {
    let path = folder.join("tar");
    unpack(tarball, &path.join("usr/local"), &["--gzip", "--strip-components=1"]);
    for library in ["lib", "lib64"] {
        run(Command::new("cp").arg("--archive").arg(libraries.join(library)).arg(&path));
    }
    let chart = path.join("usr/local/share/onrush/helm/onrush/Chart.yaml");
    assert!(chart.is_file() && path.join("usr/local/share/man/man1/onrush-node.1.gz").is_file());
    let root = Root::at(path, "7441:7441");
    root.own("srv");
    joining.secrets(&root, 0o640);
    let program = ["/usr/local/bin/onrush", "node", "--data-dir", "/srv"].map(str::to_owned);
    joining.start("tar", &root, &program, Environment::new())
}

/// A blob of a layout, by its descriptor: where it is, once its size and digest were found to be true.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().and_then(|it| it.strip_prefix("sha256:"));
    let digest = digest.expect("a SHA-256 digest");
    let path = layout.join("blobs/sha256").join(digest);
    assert_eq!(sha256(&path), digest, "{descriptor}");
    let size = fs::metadata(&path).expect("a blob").len();
    assert_eq!(descriptor["size"].as_u64(), Some(size), "{descriptor}");
    path
}

fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.map(|it| it.as_str().expect("a text").to_owned()).collect()
}

/// Reads the layout as a runtime does, and starts what its configuration says.
fn install_oci(joining: &Joining<'_>, archive: &Path, folder: &Path) -> Started {
    let layout = folder.join("layout");
    unpack(archive, &layout, &[]);
    assert_eq!(json(&layout.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
    let index = json(&layout.join("index.json"));
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["annotations"]["org.opencontainers.image.ref.name"], *version());
    let manifest = json(&blob(&layout, manifest));
    let image = json(&blob(&layout, &manifest["config"]));
    let layers = manifest["layers"].as_array().expect("layers");
    let blobs = fs::read_dir(layout.join("blobs/sha256")).expect("blobs").count();
    assert_eq!(blobs, layers.len() + 2, "nothing that nobody refers to");

    let path = folder.join("image");
    let plain = folder.join("layer.tar");
    for (layer, wanted) in layers.iter().zip(strings(&image["rootfs"]["diff_ids"])) {
        let unpacked = run(Command::new("gzip").args(["-d", "-c"]).arg(blob(&layout, layer)));
        fs::write(&plain, unpacked.stdout).expect("written");
        assert_eq!(format!("sha256:{}", sha256(&plain)), wanted);
        unpack(&plain, &path, &["--preserve-permissions", "--numeric-owner"]);
    }
    let config = &image["config"];
    assert_eq!(
        image["architecture"],
        if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
    );
    let ports: Vec<&String> = config["ExposedPorts"].as_object().expect("ports").keys().collect();
    assert_eq!(ports, ["7440/tcp", "7441/tcp"]);
    assert!(config["Volumes"]["/var/lib/onrush"].is_object(), "{config}");
    let user = config["User"].as_str().expect("a user");
    assert!(!user.starts_with("0:") && user.contains(':'), "{user} by numbers, and not root");

    let root = Root::at(path, user);
    // As Kubernetes mounts a Secret.
    joining.secrets(&root, 0o440);
    let pairs = strings(&config["Env"]);
    let pairs = pairs.iter().map(|line| line.split_once('=').expect("NAME=VALUE"));
    let environment = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let program = [strings(&config["Entrypoint"]), strings(&config["Cmd"])].concat();
    joining.start("oci", &root, &program, environment)
}

/// It is a member, alive, and has what it was told.
fn joined(cluster: &Cluster, started: &mut Started) -> anyhow::Result<()> {
    let tail = started.process.tail(8);
    let ended = started.process.ended();
    ensure!(ended.is_none(), "{} has ended ({ended:?}): {tail}", started.name);
    let members = cluster.nodes[0].rest().get("/api/v1/cluster/members")?;
    let members = members["items"].as_array().context("items")?;
    let own = members.iter().find(|member| member["name"] == *started.name);
    let own = own.with_context(|| format!("{} is no member: {tail}", started.name))?;
    let role = own["role"].as_str().unwrap_or_default();
    ensure!(own["health"] == "alive" && ["voter", "standby", "worker"].contains(&role), "{own}");
    ensure!(own["labels"]["package"] == *started.name && own["labels"]["zone"] == "a", "{own}");
    started.rest.text("/readyz").with_context(|| tail)?;
    Ok(())
}

/// Why the packages cannot be tried here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let tools = ["dpkg", "dpkg-deb", "dpkg-shlibdeps", "systemd-sysusers", "umoci", "unshare"];
    let has = |tool: &&str| {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).output();
        found.is_ok_and(|output| output.status.success())
    };
    let missing: Vec<&str> = tools.into_iter().filter(|tool| !has(tool)).collect();
    (!missing.is_empty()).then(|| format!("no {}", missing.join(", ")))
}

fn package(out: &Path, kinds: &[&str]) {
    let mut script = Command::new(repository().join("scripts/package.sh"));
    script.args(["--level", "1", "--out"]).arg(out).arg("--binary").arg(binary("onrush"));
    run(script.args(kinds));
}

#[test]
fn packages_are_made_installed_and_started_in_clean_roots_and_join_a_cluster() {
    if let Some(why) = missing() {
        // Not by `println`, which nobody sees of a test that passes.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: packages: {why}");
        return;
    }
    let _machine = crate::whole_machine();
    let began = Instant::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The node's user looks for its files below it.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open");
    let cluster = Cluster::started(1);
    let out = folder.path().join("packages");
    package(&out, &[]);
    let made = began.elapsed();
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out));
    let of = |ending: &str| {
        let files = fs::read_dir(&out).expect("packages").flatten().map(|file| file.path());
        let mut found = files.filter(|path| path.to_string_lossy().ends_with(ending));
        found.next().ok_or_else(|| format!("no package *{ending}")).expect("a package")
    };

    let again = folder.path().join("again");
    package(&again, &["deb", "oci"]);
    for package in fs::read_dir(&again).expect("packages").flatten() {
        let name = package.file_name();
        let same = name == "SHA256SUMS" || sha256(&package.path()) == sha256(&out.join(&name));
        assert!(same, "{} of the same program is another one", name.display());
    }

    cluster.await_formed();
    let joining = Joining { cluster: &cluster };
    let (deb, started) = install_deb(&joining, &of(".deb"), folder.path());
    let tar = install_tar(&joining, &of(".tar.gz"), &deb.path, folder.path());
    let oci = install_oci(&joining, &of(".oci.tar"), folder.path());
    for mut started in [started, tar, oci] {
        let what = format!("the node of the {} to join", started.name);
        until(&what, FORMING_LIMIT, || joined(&cluster, &mut started));
        let status = started.process.terminate(STOP_LIMIT);
        assert!(status.success(), "{}: {status}\n{}", started.name, started.process.tail(8));
    }

    // Removed, its data stay; purged, nothing of it does.
    let left = |name: &str| deb.path.join(name).exists();
    dpkg(&deb.path, &[&"--remove", &"onrush"]);
    assert!(!left("usr/bin/onrush") && left("var/lib/onrush/identity"));
    assert!(left("etc/default/onrush") && left("etc/onrush/secret"));
    dpkg(&deb.path, &[&"--purge", &"onrush"]);
    for name in ["var/lib/onrush", "etc/onrush", "etc/default/onrush", "usr/share/doc/onrush"] {
        assert!(!left(name), "{name} is left");
    }
    println!("made in {made:?}, all of it in {:?}", began.elapsed());
}

/// All words of a text that begin like a variable of ours.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let other = |c: char| !(c.is_ascii_uppercase() || c == '_');
    text.split(other).filter(|word| word.starts_with("ONRUSH_"))
}

#[test]
fn every_variable_that_the_packages_name_exists() {
    let help = String::from_utf8(onrush(["node", "--help"]).stdout).expect("UTF-8");
    let known: Vec<&str> = variables(&help).collect();
    assert!(known.contains(&"ONRUSH_CONTACT_POINTS"), "{help}");
    // Of the Compose file itself.
    let own = ["ONRUSH_IMAGE", "ONRUSH_SECRET"];
    for (file, own) in [
        ("scripts/package/onrush.default", &[][..]),
        ("scripts/package/onrush.service", &[]),
        ("scripts/package.sh", &[]),
        ("scripts/helm/onrush/templates/nodes.yaml", &[]),
        ("scripts/helm/onrush/templates/NOTES.txt", &[]),
        ("scripts/compose/compose.yaml", &own),
    ] {
        for variable in variables(&read(file)) {
            let exists = known.contains(&variable) || own.contains(&variable);
            assert!(exists, "{file}: {variable} is no variable of onrush");
        }
    }
    let defaults = read("scripts/package/onrush.default");
    let client = ["ONRUSH_ADDR", "ONRUSH_TOKEN"];
    for variable in known.iter().filter(|variable| !client.contains(variable)) {
        let option = format!("\n#{variable}=");
        assert!(defaults.contains(&option), "{variable} is not in the default file");
    }
}

#[test]
fn chart_and_compose_file_are_of_this_version() {
    let version = version();
    let chart = read("scripts/helm/onrush/Chart.yaml");
    assert!(chart.contains(&format!("\nappVersion: {version}\n")), "{chart}");
    assert!(chart.contains(&format!("\nversion: {version}\n")), "{chart}");
    assert!(read("scripts/compose/compose.yaml").contains(&format!(":-onrush:{version}}}")));
}
