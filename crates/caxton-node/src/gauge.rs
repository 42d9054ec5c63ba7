//! How much memory this process has, and how much it may have: read from the system, in one place.
//!
//! Two measures, and whichever is nearer to its end binds: what of this process is in memory, and
//! where a control group has a limit, what the group has. The group's is what the kernel's killer
//! goes by: other processes of the group count in it, files that can be dropped do not.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The usual share of what there is. Unit: percent.
const BUDGET_PERCENT: u64 = 60;
/// The end stays below what there is, whatever the budget. Unit: percent.
const END_PERCENT_MAX: u64 = 95;

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// In memory now. Unit: bytes.
    pub(crate) used: u64,
    /// Above it guests get no more. Unit: bytes.
    pub(crate) budget: u64,
    /// Above it the largest guest goes. Unit: bytes.
    pub(crate) end: u64,
}

impl Reading {
    pub(crate) const fn left(&self) -> u64 {
        self.budget.saturating_sub(self.used)
    }
    /// Above three quarters of the budget.
    pub(crate) const fn is_near(&self) -> bool {
        self.left() < self.budget / 4
    }
    pub(crate) const fn is_over(&self) -> bool {
        self.used > self.budget
    }
    pub(crate) const fn is_at_its_end(&self) -> bool {
        self.used > self.end
    }
    /// What is used of a million parts of the budget.
    const fn share(&self) -> u128 {
        let budget = if self.budget == 0 { 1 } else { self.budget };
        self.used as u128 * 1_000_000 / budget as u128
    }
}

#[derive(Debug)]
enum Source {
    /// `/proc/self/statm`.
    Process { statm: PathBuf },
    /// A control group's folder, of the second or the first version.
    Group { folder: PathBuf, second: bool },
}

#[derive(Debug)]
struct Measure {
    source: Source,
    budget: u64,
    end: u64,
}

/// What is read, found once.
#[derive(Debug)]
pub(crate) struct Gauge {
    measures: Vec<Measure>,
}

impl Gauge {
    /// Looks for what there is to read below `root`, which is `/` but for tests.
    ///
    /// `budget` is the operator's; without one it is 60 % of the machine's memory and of the
    /// group's limit. Without `/proc` there is nothing to read, and nothing is bounded.
    pub(crate) fn find(root: &Path, budget: Option<u64>) -> Self {
        let mut measures = Vec::new();
        let machine = fs::read_to_string(root.join("proc/meminfo"))
            .ok()
            .and_then(|text| kibibytes(&text, "MemTotal:"));
        let statm = root.join("proc/self/statm");
        if let Some(machine) = machine
            && statm.exists()
        {
            measures.push(measure(Source::Process { statm }, machine, budget));
        }
        if let Some((folder, second, limit)) = group(root)
            && machine.is_none_or(|machine| limit < machine)
        {
            let usual = limit / 100 * BUDGET_PERCENT;
            // An operator's budget above the group's share is meant; one below binds by itself.
            let budget = budget.map(|budget| budget.max(usual));
            measures.push(measure(Source::Group { folder, second }, limit, budget));
        }
        Self { measures }
    }
    /// Whichever measure is nearest to its end; `None`: nothing can be read.
    ///
    /// Cost: some microseconds.
    pub(crate) fn read(&self) -> Option<Reading> {
        self.measures
            .iter()
            .filter_map(|measure| {
                Some(Reading {
                    used: measure.source.read()?,
                    budget: measure.budget,
                    end: measure.end,
                })
            })
            .max_by_key(Reading::share)
    }
}

fn measure(source: Source, whole: u64, budget: Option<u64>) -> Measure {
    let budget = budget.unwrap_or(whole / 100 * BUDGET_PERCENT);
    // 75 where the budget is 60.
    let end = budget.saturating_add(budget / 4);
    Measure {
        source,
        budget,
        end: end.min(whole / 100 * END_PERCENT_MAX).max(budget),
    }
}

impl Source {
    fn read(&self) -> Option<u64> {
        match self {
            Self::Process { statm } => {
                let text = fs::read_to_string(statm).ok()?;
                let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
                Some(pages.saturating_mul(rustix::param::page_size() as u64))
            }
            Self::Group { folder, second } => {
                let (usage, files) = if *second {
                    ("memory.current", "inactive_file")
                } else {
                    ("memory.usage_in_bytes", "total_inactive_file")
                };
                let used = number(&folder.join(usage))?;
                let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
                let droppable = stat.lines().find_map(|line| {
                    let (name, value) = line.split_once(' ')?;
                    (name == files).then(|| value.trim().parse::<u64>().ok())?
                });
                Some(used.saturating_sub(droppable.unwrap_or(0)))
            }
        }
    }
}

/// The group with the smallest limit among this process's and those above it.
fn group(root: &Path) -> Option<(PathBuf, bool, u64)> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut found: Option<(PathBuf, bool, u64)> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let second = number == "0" && controllers.is_empty();
        let (base, name) = if second {
            (root.join("sys/fs/cgroup"), "memory.max")
        } else if controllers.split(',').any(|one| one == "memory") {
            (root.join("sys/fs/cgroup/memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        // Inside a container the path may be the host's: then the root is the container's own.
        for folder in Path::new(path.trim_start_matches('/')).ancestors() {
            let folder = base.join(folder);
            if let Some(limit) = self::number(&folder.join(name))
                && found.as_ref().is_none_or(|(_, _, least)| limit < *least)
            {
                found = Some((folder, second, limit));
            }
        }
    }
    found
}

/// A file with one number in it; `max` is none.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes.saturating_mul(1_024))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A machine of 100 GiB, of which this process has `pages`.
    fn machine(pages: u64) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            "proc/meminfo",
            &format!("MemTotal:       {} kB\nMemFree: 1 kB\n", 100 << 20),
        );
        write(
            dir.path(),
            "proc/self/statm",
            &format!("900000 {pages} 3 4 0 5 0\n"),
        );
        dir
    }

    #[test]
    fn without_a_word_the_budget_is_60_percent_of_the_machine_and_ends_at_75() {
        let dir = machine(1_000);
        let read = Gauge::find(dir.path(), None).read().unwrap();
        assert_eq!(read.used, 1_000 * rustix::param::page_size() as u64);
        assert_eq!(read.budget, 60 * GIB);
        assert_eq!(read.end, 75 * GIB);
        assert!(!read.is_over() && read.left() > 50 * GIB);
    }

    #[test]
    fn an_operators_budget_ends_a_quarter_above_but_below_the_machine() {
        let dir = machine(1_000);
        let read = Gauge::find(dir.path(), Some(100 << 20)).read().unwrap();
        assert_eq!((read.budget, read.end >> 20), (100 << 20, 125));
        let read = Gauge::find(dir.path(), Some(90 * GIB)).read().unwrap();
        assert_eq!(read.end, 95 * GIB);
    }

    #[test]
    fn a_groups_limit_binds_where_it_is_nearer_and_its_droppable_files_do_not_count() {
        for (second, line, base, limit, usage, files) in [
            (
                true,
                "0::/a/b\n",
                "sys/fs/cgroup/a",
                "memory.max",
                "memory.current",
                "inactive_file",
            ),
            (
                false,
                "3:cpu:/\n4:memory,hugetlb:/a/b\n",
                "sys/fs/cgroup/memory/a",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            ),
        ] {
            let dir = machine(1_000);
            write(dir.path(), "proc/self/cgroup", line);
            write(dir.path(), &format!("{base}/{limit}"), "10737418240\n");
            write(dir.path(), &format!("{base}/{usage}"), "9000000000\n");
            let stat = format!("anon 5\n{files} 2000000000\nactive_file 7\n");
            write(dir.path(), &format!("{base}/memory.stat"), &stat);
            // The inner group has no limit of its own.
            write(dir.path(), &format!("{base}/b/{limit}"), "max\n");
            let read = Gauge::find(dir.path(), None).read().unwrap();
            assert_eq!(read.used, 7_000_000_000, "second version: {second}");
            assert_eq!(read.budget, 10_737_418_240 / 100 * 60);
            assert!(read.is_over() && !read.is_at_its_end());
            // What the process has against the operator's own budget is nearer now.
            let read = Gauge::find(dir.path(), Some(1 << 20)).read().unwrap();
            assert_eq!((read.used >> 20, read.budget), (3, 1 << 20));
        }
    }

    #[test]
    fn where_nothing_can_be_read_nothing_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Gauge::find(dir.path(), Some(1)).read(), None);
    }

    #[test]
    fn this_process_has_some_memory_and_may_have_more() {
        let read = Gauge::find(Path::new("/"), None).read().unwrap();
        assert!(read.used > 1 << 20 && read.budget > 1 << 26, "{read:?}");
    }
}
