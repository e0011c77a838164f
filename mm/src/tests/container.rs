//! What is read of cgroups, from copies of their files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::container::Container;

const MIB: usize = 1 << 20;

/// A tree of files that goes away with this.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("seqfault-{name}-{}", std::process::id()));
        for (path, text) in files {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(root)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    fn container(&self) -> Option<Container> {
        Container::below(&self.0)
    }

    /// What is left, in MiB.
    fn room(&self) -> Option<usize> {
        self.container()?.room().map(|bytes| bytes / MIB)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Of a machine with version 1 mounted beside an empty hierarchy of version 2.
const V1_MEMBERSHIPS: &str = "\
9:name=systemd:/
8:pids:/
5:devices:/
4:cpu,memory:/jobs/of one
3:cpuset:/
0::/
";
const V1_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/cpu,memory rw,relatime shared:9 - cgroup cgroup rw,cpu,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const V1_UNLIMITED: &str = "9223372036854771712\n";
const V1_STAT: &str = "\
cache 41943040
rss 20971520
dirty 1048576
inactive_file 1048576
active_file 1048576
hierarchical_memory_limit 536870912
total_cache 41943040
total_dirty 4194304
total_writeback 0
total_inactive_file 20971520
total_active_file 16777216
total_unevictable 0
";

fn v1(name: &str) -> Tree {
    let at = |path: &str, file: &str| format!("sys/fs/cgroup/cpu,memory{path}/memory.{file}");
    let files = [
        ("proc/self/cgroup".to_owned(), V1_MEMBERSHIPS),
        ("proc/self/mountinfo".to_owned(), V1_MOUNTS),
        (at("/jobs/of one", "limit_in_bytes"), "536870912\n"),
        (at("/jobs/of one", "usage_in_bytes"), "134217728\n"),
        (at("/jobs/of one", "stat"), V1_STAT),
        (at("/jobs/of one", "use_hierarchy"), "0\n"),
        (at("/jobs", "limit_in_bytes"), "268435456\n"),
        (at("/jobs", "usage_in_bytes"), "134217728\n"),
        (at("/jobs", "stat"), V1_STAT),
        (at("/jobs", "use_hierarchy"), "1\n"),
        (at("", "limit_in_bytes"), V1_UNLIMITED),
        (at("", "usage_in_bytes"), "1073741824\n"),
        (at("", "stat"), V1_STAT),
        (at("", "use_hierarchy"), "1\n"),
    ];
    let files = files.each_ref().map(|(path, text)| (path.as_str(), *text));
    Tree::new(name, &files)
}

#[test]
fn in_version_1_the_limits_above_count_where_the_hierarchy_does() {
    let tree = v1("v1");
    // 256 MiB less the margin of 16, less the 128 that are used without 20 + 16 / 2 - 4 of files.
    assert_eq!(tree.room(), Some(256 - 16 - (128 - 24)));
    tree.write("sys/fs/cgroup/cpu,memory/jobs/memory.use_hierarchy", "0\n");
    assert_eq!(tree.room(), Some(512 - 32 - (128 - 24)));
    // Limits change while a process runs, and are read anew.
    let container = tree.container().unwrap();
    tree.write("sys/fs/cgroup/cpu,memory/jobs/of one/memory.limit_in_bytes", "1073741824\n");
    assert_eq!(container.room(), Some((1024 - 64 - (128 - 24)) * MIB));
    tree.write("sys/fs/cgroup/cpu,memory/jobs/of one/memory.usage_in_bytes", "2147483648\n");
    assert_eq!(container.room(), Some(0));
}

#[test]
fn without_a_limit_there_is_no_container() {
    let tree = v1("v1-unlimited");
    for group in ["/jobs/of one", "/jobs"] {
        tree.write(&format!("sys/fs/cgroup/cpu,memory{group}/memory.limit_in_bytes"), V1_UNLIMITED);
    }
    assert!(tree.container().is_none());
    assert!(Container::below(Path::new("/nowhere")).is_none());
}

const V2_STAT: &str = "\
anon 62914560
file 41943040
kernel 4194304
file_mapped 8388608
file_dirty 4194304
file_writeback 0
inactive_anon 62914560
active_anon 0
inactive_file 20971520
active_file 16777216
unevictable 0
";

/// A service of systemd, whose slice has the tighter limits.
fn v2(name: &str) -> Tree {
    let at = |path: &str, file: &str| format!("sys/fs/cgroup{path}/memory.{file}");
    let files = [
        ("proc/self/cgroup".to_owned(), "0::/work.slice/run-1.scope\n"),
        (
            "proc/self/mountinfo".to_owned(),
            "24 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw\n\
             29 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        ),
        (at("/work.slice/run-1.scope", "max"), "536870912\n"),
        (at("/work.slice/run-1.scope", "high"), "max\n"),
        (at("/work.slice/run-1.scope", "current"), "134217728\n"),
        (at("/work.slice/run-1.scope", "stat"), V2_STAT),
        (at("/work.slice", "max"), "max\n"),
        (at("/work.slice", "high"), "268435456\n"),
        (at("/work.slice", "current"), "167772160\n"),
        (at("/work.slice", "stat"), V2_STAT),
        // The root has no limit files.
        (at("", "stat"), V2_STAT),
    ];
    let files = files.each_ref().map(|(path, text)| (path.as_str(), *text));
    Tree::new(name, &files)
}

#[test]
fn in_version_2_the_lowest_limit_on_the_way_up_counts() {
    let tree = v2("v2");
    assert_eq!(tree.room(), Some(256 - 16 - (160 - 24)));
    tree.write("sys/fs/cgroup/work.slice/memory.high", "max\n");
    assert_eq!(tree.room(), Some(512 - 32 - (128 - 24)));
    tree.write("sys/fs/cgroup/work.slice/run-1.scope/memory.high", "33554432\n");
    assert_eq!(tree.room(), Some(0));
    tree.write("sys/fs/cgroup/work.slice/run-1.scope/memory.high", "max\n");
    tree.write("sys/fs/cgroup/work.slice/run-1.scope/memory.max", "max\n");
    assert_eq!(tree.room(), None);
}

/// What a container sees whose cgroup namespace is its own, and what one sees that shares the host's but has only its own
/// cgroup mounted.
#[test]
fn in_a_container_the_mounted_cgroup_is_the_own_one() {
    let places = [
        ("0::/\n", "/"),
        ("0::/kubepods/pod7/c1\n", "/kubepods/pod7/c1"),
        ("0::/../../outside\n", "/"),
        ("0::/elsewhere\n", "/kubepods/pod7/c1"),
    ];
    for (number, (membership, root)) in places.into_iter().enumerate() {
        let mount =
            format!("700 690 0:26 {root} /sys/fs/c\\040group ro,nosuid - cgroup2 cgroup rw\n");
        let files = [
            ("proc/self/cgroup", membership),
            ("proc/self/mountinfo", &mount),
            ("sys/fs/c group/memory.max", "67108864\n"),
            ("sys/fs/c group/memory.high", "max\n"),
            ("sys/fs/c group/memory.current", "10485760\n"),
            ("sys/fs/c group/memory.stat", "anon 10485760\n"),
        ];
        let tree = Tree::new(&format!("container-{number}"), &files);
        assert_eq!(tree.room(), Some(64 - 8 - 10), "{membership}");
    }
}

#[test]
fn files_that_say_nothing_useful_make_no_container() {
    for (number, text) in ["", "\n", "junk", "-1\n"].into_iter().enumerate() {
        let tree = v2(&format!("junk-{number}"));
        tree.write("sys/fs/cgroup/work.slice/memory.high", text);
        tree.write("sys/fs/cgroup/work.slice/run-1.scope/memory.max", text);
        assert!(tree.container().is_none(), "{text}");
        tree.write("proc/self/mountinfo", text);
        assert!(tree.container().is_none(), "{text}");
        tree.write("proc/self/cgroup", text);
        assert!(tree.container().is_none(), "{text}");
    }
}
