//! The batch script: text from values, no files.

use std::fmt::Write as _;
use std::path::Path;

use super::SlurmError;
use crate::shell::quoted;
use crate::spec::Launcher;

/// What a batch script is made of. Paths are absolute and the same on every node.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    /// The job's name.
    pub name: &'a str,
    /// Tasks of the array.
    pub tasks: usize,
    /// `[launcher]`.
    pub launcher: &'a Launcher,
    /// Where workers run: paths in a spec are relative to it.
    pub current_dir: &'a Path,
    /// Folder of the logs, which must exist before a task starts: Slurm fails it without a word otherwise.
    pub logs: &'a Path,
    /// This program.
    pub program: &'a Path,
    /// What it is started with.
    pub args: &'a [String],
}

impl Script<'_> {
    /// The text of the script.
    pub fn text(&self) -> Result<String, SlurmError> {
        let Self { name, tasks, launcher, current_dir, logs, program, args } = self;
        let Launcher { kind: _, workers: _, partition, account, time, gres, cpus, mem, .. } = launcher;
        let Launcher { checkpoint_seconds, requeue_limit: _, options, setup, .. } = launcher;
        let mut directives = vec![
            format!("--job-name={name}"),
            format!("--array=0-{}", tasks.saturating_sub(1)),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--chdir=\"{}\"", plain(current_dir)?),
            format!("--output=\"{}/%A_%a.log\"", plain(logs)?),
            // A task that is queued again goes on in its log.
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            format!("--signal=B:USR1@{checkpoint_seconds}"),
        ];
        let cpus = cpus.map(|cpus| cpus.to_string());
        let chosen = [
            ("partition", partition),
            ("account", account),
            ("time", time),
            ("gres", gres),
            ("cpus-per-task", &cpus),
            ("mem", mem),
        ];
        let chosen =
            chosen.iter().filter_map(|(option, value)| value.as_ref().map(|value| format!("--{option}={value}")));
        directives.extend(chosen.chain(options.iter().cloned()));

        let mut text =
            "#!/bin/bash\n# Written by runner for sbatch: one worker a task. Rewritten by every submission.\n"
                .to_owned();
        for directive in &directives {
            let _ = writeln!(text, "#SBATCH {directive}");
        }
        text.push_str("set -e\n");
        for line in setup {
            let _ = writeln!(text, "{line}");
        }
        // The signal before the time limit reaches this process alone, so that the shell makes room for the program.
        let _ = write!(text, "exec {}", quoted(plain(program)?));
        for arg in *args {
            let _ = write!(text, " {}", quoted(plain(Path::new(arg))?));
        }
        text.push('\n');
        Ok(text)
    }
}

/// A path, or another argument, that means the same to Slurm's reader of directives, to its patterns of file names, and
/// to the shell.
fn plain(path: &Path) -> Result<&str, SlurmError> {
    let refused = |found| SlurmError::Path { path: path.to_owned(), found };
    let text = path.to_str().ok_or_else(|| refused(char::REPLACEMENT_CHARACTER))?;
    match text.chars().find(|c| c.is_control() || "\"'\\%".contains(*c)) {
        Some(found) => Err(refused(found)),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(lines: &str) -> Launcher {
        toml::from_str(&format!("kind = \"slurm\"\nworkers = 4\n{lines}")).unwrap()
    }

    fn script(launcher: &Launcher, dir: &str) -> Result<String, SlurmError> {
        let dir = Path::new(dir);
        let args = ["slurm-task".to_owned(), "--sweep".to_owned(), dir.join("results").display().to_string()];
        let script = Script {
            name: "runner-grid-0badcafe",
            tasks: 4,
            launcher,
            current_dir: dir,
            logs: &dir.join("results/slurm/logs"),
            program: Path::new("/opt/runner/bin/runner"),
            args: &args,
        };
        script.text()
    }

    #[test]
    fn a_script_says_what_the_launcher_says() {
        let launcher = launcher(
            r#"
            partition = "gpu"
            account = "physics"
            time = "08:00:00"
            gres = "gpu:1"
            cpus = 4
            mem = "16G"
            checkpoint_seconds = 300
            options = ["--qos=long"]
            setup = ["module load cuda"]"#,
        );
        insta::assert_snapshot!(script(&launcher, "/home/ada/scaling").unwrap(), @r#"
        #!/bin/bash
        # Written by runner for sbatch: one worker a task. Rewritten by every submission.
        #SBATCH --job-name=runner-grid-0badcafe
        #SBATCH --array=0-3
        #SBATCH --nodes=1
        #SBATCH --ntasks=1
        #SBATCH --chdir="/home/ada/scaling"
        #SBATCH --output="/home/ada/scaling/results/slurm/logs/%A_%a.log"
        #SBATCH --open-mode=append
        #SBATCH --requeue
        #SBATCH --signal=B:USR1@300
        #SBATCH --partition=gpu
        #SBATCH --account=physics
        #SBATCH --time=08:00:00
        #SBATCH --gres=gpu:1
        #SBATCH --cpus-per-task=4
        #SBATCH --mem=16G
        #SBATCH --qos=long
        set -e
        module load cuda
        exec /opt/runner/bin/runner slurm-task --sweep /home/ada/scaling/results
        "#);
    }

    #[test]
    fn what_is_not_chosen_is_left_to_the_cluster_and_spaces_stay_in_their_place() {
        insta::assert_snapshot!(script(&launcher(""), "/home/ada/my $(sweeps)").unwrap(), @r#"
        #!/bin/bash
        # Written by runner for sbatch: one worker a task. Rewritten by every submission.
        #SBATCH --job-name=runner-grid-0badcafe
        #SBATCH --array=0-3
        #SBATCH --nodes=1
        #SBATCH --ntasks=1
        #SBATCH --chdir="/home/ada/my $(sweeps)"
        #SBATCH --output="/home/ada/my $(sweeps)/results/slurm/logs/%A_%a.log"
        #SBATCH --open-mode=append
        #SBATCH --requeue
        #SBATCH --signal=B:USR1@120
        set -e
        exec /opt/runner/bin/runner slurm-task --sweep '/home/ada/my $(sweeps)/results'
        "#);
    }

    #[test]
    fn folders_that_slurm_or_the_shell_would_read_otherwise_are_refused() {
        for dir in ["/a\"b", "/a'b", "/a\\b", "/100%", "/a\n#SBATCH --uid=0", "/a\u{1b}"] {
            let error = script(&launcher(""), dir).unwrap_err();
            assert!(matches!(error, SlurmError::Path { .. }), "{error}");
        }
    }
}
