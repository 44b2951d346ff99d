//! `[launcher]`: where the workers of a sweep run. It says nothing about the runs and is no part of their identity.
//!
//! Values end up in a batch script, so each may hold only what its kind of value needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Checked, require};

/// `[launcher]`: an array of cluster jobs, one worker each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Launcher {
    /// Which batch system.
    pub kind: LauncherKind,
    /// Tasks of the array, one worker each; no more are submitted than there are runs to train.
    pub workers: usize,
    /// Partition, or several with commas; otherwise the cluster's default.
    pub partition: Option<String>,
    /// Account that is charged; otherwise the user's default.
    pub account: Option<String>,
    /// Time limit of a task as Slurm writes it (`30`, `08:00:00`, `2-00:00:00`); otherwise the partition's.
    pub time: Option<String>,
    /// Generic resources of a task, such as `gpu:1`.
    pub gres: Option<String>,
    /// CPUs of a task.
    pub cpus: Option<u32>,
    /// Memory of a task, such as `16G`; without a unit in MB.
    pub mem: Option<String>,
    /// Seconds before the time limit at which a task is told to stop and asks to be queued again.
    #[serde(default = "checkpoint_seconds")]
    pub checkpoint_seconds: u64,
    /// How often a task may be queued again, for whatever reason.
    #[serde(default = "requeue_limit")]
    pub requeue_limit: u32,
    /// Further options of sbatch, such as `--qos=long`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Shell lines run on the node before the worker starts, such as `module load cuda`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
}

/// Which batch system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LauncherKind {
    /// Slurm, through sbatch.
    Slurm,
}

/// Time enough for a checkpoint, and for a controller that answers late.
fn checkpoint_seconds() -> u64 {
    120
}

/// At the usual limits of hours, weeks of training.
fn requeue_limit() -> u32 {
    20
}

/// The largest array that any Slurm can be configured for.
const MOST_WORKERS: usize = 4_000_000;

/// Options that the script decides or that have a key of their own, with what to do instead. Slurm takes unambiguous
/// beginnings of names as well.
const TAKEN: [(&str, &str); 22] = [
    ("array", "write workers"),
    ("partition", "write partition"),
    ("account", "write account"),
    ("time", "write time"),
    ("gres", "write gres"),
    ("cpus-per-task", "write cpus"),
    ("mem", "write mem"),
    ("signal", "write checkpoint_seconds"),
    ("job-name", "delete it: jobs are named after the sweep"),
    ("output", "delete it: logs go to the results folder"),
    ("error", "delete it: logs go to the results folder"),
    ("open-mode", "delete it: logs are always appended"),
    ("chdir", "delete it: workers run where the sweep was started"),
    ("nodes", "delete it: a worker needs one node"),
    ("ntasks", "delete it: a task is one worker; write workers"),
    ("requeue", "delete it: tasks can be queued again"),
    ("no-requeue", "delete it: tasks must be queued again; requeue_limit = 0 keeps the time limit final"),
    ("clusters", "delete it: submit on the cluster itself"),
    ("wait", "delete it: `runner sweep --wait` waits"),
    ("wrap", "delete it, or write the command in setup"),
    ("parsable", "delete it"),
    ("test-only", "delete it: `runner sweep --dry-run` does that"),
];

/// Checks `[launcher]`.
pub(super) fn check(launcher: &Launcher) -> Checked {
    let Launcher { kind: LauncherKind::Slurm, workers, partition, account, time, gres, cpus, mem, .. } = launcher;
    let Launcher { checkpoint_seconds, requeue_limit: _, options, setup, .. } = launcher;
    require((1..=MOST_WORKERS).contains(workers), "launcher.workers", || {
        (format!("an array of {workers} workers is impossible"), "write a whole number of 1 or more, such as 4")
    })?;
    require(*cpus != Some(0), "launcher.cpus", || ("a task without CPUs", "write a whole number of 1 or more"))?;
    word("launcher.partition", partition.as_deref(), ".,-", "\"gpu\"")?;
    word("launcher.account", account.as_deref(), ".-@", "\"physics\"")?;
    word("launcher.gres", gres.as_deref(), ".,:-", "\"gpu:1\"")?;
    if let Some(mem) = mem {
        let digits = mem.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(mem);
        require(number(digits).is_some_and(|mem| mem > 0), "launcher.mem", || {
            (format!("{mem:?} is not an amount of memory"), "write a whole number and K, M, G or T, such as \"16G\"")
        })?;
    }
    require((10..=86_400).contains(checkpoint_seconds), "launcher.checkpoint_seconds", || {
        (format!("{checkpoint_seconds} s is out of range"), "write seconds from 10 to 86400, such as 120")
    })?;
    if let Some(time) = time {
        let limit = seconds(time);
        require(limit.is_some_and(|limit| limit > 0), "launcher.time", || {
            let remedy = "write minutes, HH:MM:SS or D-HH:MM:SS in quotes, such as \"08:00:00\"";
            (format!("{time:?} is not a time limit"), remedy)
        })?;
        require(limit.is_some_and(|limit| limit > *checkpoint_seconds), "launcher.time", || {
            let problem = format!("{time:?} is not longer than checkpoint_seconds, {checkpoint_seconds} s");
            (problem, "write a longer time, or fewer checkpoint_seconds")
        })?;
    }
    options.iter().try_for_each(|option| check_option(option))?;
    setup.iter().try_for_each(|line| {
        require(!line.chars().any(char::is_control) && !line.trim_start().starts_with('#'), "launcher.setup", || {
            (format!("{line:?} is not one line of shell"), "write a command per element, such as \"module load cuda\"")
        })
    })
}

/// A value of letters, digits and some marks, which cannot be mistaken for an option.
fn word(key: &str, value: Option<&str>, marks: &str, such: &str) -> Checked {
    let Some(value) = value else { return Ok(()) };
    let fits = value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && value.len() <= 256
        && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || marks.contains(c));
    require(fits, key, || {
        let marks: Vec<String> = marks.chars().map(String::from).collect();
        let remedy = format!(
            "write letters, digits, _ and {}, beginning with a letter or digit, such as {such}",
            marks.join(" ")
        );
        (format!("{value:?} cannot stand in a batch script"), remedy)
    })
}

fn check_option(option: &str) -> Checked {
    let key = "launcher.options";
    let name = option.strip_prefix("--").map(|rest| rest.split('=').next().unwrap_or(rest)).unwrap_or_default();
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && option.chars().all(|c| c.is_ascii_graphic() && !"\"'\\#".contains(c));
    require(sound, key, || {
        let problem = format!("{option:?} is not an option of sbatch");
        (problem, "write --name or --name=value without spaces, quotes, \\ and #, such as \"--qos=long\"")
    })?;
    let taken = TAKEN.iter().find(|(taken, _)| taken.starts_with(name));
    require(taken.is_none(), key, || {
        let (taken, remedy) = taken.copied().unwrap_or_default();
        (format!("{option:?} does not belong here: runner sets --{taken} itself"), remedy)
    })
}

/// Seconds of a time limit as Slurm writes it: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`.
fn seconds(time: &str) -> Option<u64> {
    let (days, clock) = match time.split_once('-') {
        Some((days, clock)) => (Some(days), clock),
        None => (None, time),
    };
    let parts: Vec<u64> = clock.split(':').map(number).collect::<Option<_>>()?;
    let clock = match (days.is_some(), parts.as_slice()) {
        (false, [m]) => m * 60,
        (false, [m, s]) => m * 60 + s,
        (true, [h]) => h * 3600,
        (true, [h, m]) => h * 3600 + m * 60,
        (_, [h, m, s]) => h * 3600 + m * 60 + s,
        _ => return None,
    };
    let days = days.map_or(Some(0), number)?;
    Some(days * 86_400 + clock)
}

/// A whole number of nothing but digits.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse::<u32>().ok()).flatten().map(u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(lines: &str) -> Result<Launcher, String> {
        let text = format!("kind = \"slurm\"\nworkers = 4\n{lines}\n");
        let launcher: Launcher = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        check(&launcher).map_err(|fault| fault.nowhere().to_string())?;
        Ok(launcher)
    }

    #[test]
    fn a_full_table_is_accepted_and_a_short_one_leaves_the_rest_to_the_cluster() {
        let full = r#"
            partition = "gpu,long"
            account = "physics"
            time = "2-00:00:00"
            gres = "gpu:a100:1"
            cpus = 4
            mem = "16G"
            checkpoint_seconds = 300
            requeue_limit = 0
            options = ["--qos=long", "--exclusive", "--constraint=[a100|h100]&nvlink", "--mem-per-gpu=8G"]
            setup = ["module load cuda", "export NAME=\"a b\""]"#;
        assert_eq!(launcher(full).unwrap().cpus, Some(4));
        let short = launcher("").unwrap();
        assert_eq!((short.partition, short.checkpoint_seconds, short.requeue_limit), (None, 120, 20));
    }

    #[test]
    fn what_could_break_out_of_its_line_or_command_is_refused_under_its_key() {
        for (line, key) in [
            (r#"partition = "gpu\n#SBATCH --uid=0""#, "launcher.partition"),
            (r#"partition = "gpu; rm -rf /""#, "launcher.partition"),
            (r#"partition = "--uid=0""#, "launcher.partition"),
            (r#"partition = """#, "launcher.partition"),
            (r#"account = "$(id)""#, "launcher.account"),
            (r#"gres = "gpu:1 --uid=0""#, "launcher.gres"),
            (r#"mem = "16GB""#, "launcher.mem"),
            (r#"mem = "0""#, "launcher.mem"),
            (r#"mem = "+5G""#, "launcher.mem"),
            ("cpus = 0", "launcher.cpus"),
            ("checkpoint_seconds = 0", "launcher.checkpoint_seconds"),
            (r#"options = ["qos=long"]"#, "launcher.options"),
            (r#"options = ["--comment=a b"]"#, "launcher.options"),
            (r#"options = ["--qos=long\n"]"#, "launcher.options"),
            (r#"options = ["--array=0-9"]"#, "launcher.options"),
            (r#"options = ["--arr=0-9"]"#, "launcher.options"),
            (r#"options = ["-a0-9"]"#, "launcher.options"),
            (r#"options = ["--"]"#, "launcher.options"),
            (r#"setup = ["true\nfalse"]"#, "launcher.setup"),
            (r##"setup = ["#SBATCH --uid=0"]"##, "launcher.setup"),
        ] {
            let error = launcher(line).expect_err(line);
            assert!(error.starts_with(&format!("{key}: ")), "{line}: {error}");
            assert!(error.contains("; write") || error.contains("; delete"), "{error}");
        }
    }

    #[test]
    fn time_limits_are_read_as_slurm_reads_them() {
        for (text, expected) in [
            ("30", Some(1800)),
            ("1:30", Some(90)),
            ("08:00:00", Some(28_800)),
            ("2-0", Some(172_800)),
            ("1-01:30", Some(91_800)),
            ("1-00:00:01", Some(86_401)),
            ("", None),
            ("1d", None),
            ("-5", None),
            ("+5", None),
            ("1:2:3:4", None),
            ("infinite", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
        assert!(launcher("time = \"1\"").unwrap_err().contains("not longer than checkpoint_seconds"));
        assert!(launcher("time = \"0\"").is_err() && launcher("time = \"3\"").is_ok());
    }
}
