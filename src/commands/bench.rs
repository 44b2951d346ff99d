//! `runner bench`: how fast this machine trains, one slot alone and all slots together.
//!
//! Each slot is what it is in a sweep: a process of its own, so that its peak of memory is its own, or a thread of one process
//! where a card is shared. So slots disturb each other as they will in earnest. All wait at the same line until every one of
//! them is warm.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Barrier, OnceLock};
use std::thread;

use anyhow::Context as _;

use super::shared::sheet::{Room, Sheet, Worth};
use super::shared::stdout;
use super::shared::{device, json, planning, pool};
use crate::cli::{BenchArgs, BenchSlotArgs};
use crate::observation::Counting;
use crate::plan::PlannedRun;
use crate::train::{KernelTime, Measurement, Phases};
use crate::units::{Params, Tokens, count};

/// The models of the benchmark, where no other is named.
const MODELS: [(&str, &str); 3] = [
    ("configs/bench-a.toml", include_str!("../../configs/bench-a.toml")),
    ("configs/bench-b.toml", include_str!("../../configs/bench-b.toml")),
    ("configs/bench-c.toml", include_str!("../../configs/bench-c.toml")),
];

/// Runs the command.
pub fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let BenchArgs { config, place, threads, slots_per_device, share_steps, seconds, json, tables } = args;
    if !(*seconds > 0.0 && *seconds <= 3600.0) {
        anyhow::bail!("--seconds {seconds}: give the length of one measurement, up to an hour");
    }
    let name = device::choose(&place.device);
    let kind = device::kind(&name)?;
    device::check_threads(*threads)?;
    pool::share_steps(share_steps.then_some(true), (device::shares_process(kind), false), kind)?;
    let counts = [1, device::slots(*slots_per_device, kind, *threads)];
    // Asked for by number, only that number is measured.
    let numbers = if slots_per_device.is_some() || counts[1] == 1 { &counts[1..] } else { &counts[..] };
    let bundled = tempfile::tempdir()?;
    let configs = if config.is_empty() { write_models(bundled.path())? } else { config.clone() };
    let mut rows = Vec::new();
    for config in &configs {
        // Prepared and checked here, before several processes do it at once.
        let (spec, run) = planning::single(config, &place.cache)?;
        for &number in numbers {
            tell!("{}: {number} of {}, {seconds} seconds", spec.name, count(counts[1], "slot"));
            let (processes, together) = if device::shares_process(kind) { (1, number) } else { (number, 1) };
            let slot = || {
                let mut command = slot_command(config, &name, &place.cache, *threads, (*seconds, together))?;
                command.args(share_steps.then_some("--share-steps"));
                Ok(command)
            };
            let slots = measure((processes, together), &slot)?;
            rows.push(Row { name: spec.name.clone(), planned: run.clone(), slots, share_steps: *share_steps });
        }
    }
    if *json {
        for row in &rows {
            json::print(row.json())?;
        }
    } else {
        stdout::print(&table(&rows).text(Room::of(tables.wide)))?;
        for row in rows.iter().filter(|row| !row.slots[0].kernels.is_empty()) {
            let kernels = kernels(&row.slots[0].kernels).text(Room::of(tables.wide));
            stdout::print(&format!("\n{}, a step by kernel, launched one by one:\n{kernels}", row.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures in this process: `runner bench-slot`.
pub fn slot(args: &BenchSlotArgs) -> anyhow::Result<ExitCode> {
    let BenchSlotArgs { config, place, threads, seconds, together, share_steps } = args;
    let (_, planned) = planning::single(config, &place.cache)?;
    let line = Barrier::new(*together);
    let alike = if *share_steps { *together } else { 1 };
    let started = OnceLock::new();
    let meet = || {
        if line.wait().is_leader() {
            started.get_or_init(|| {
                println!("ready");
                // Whatever comes, also the end of the stream, is the starting signal.
                let _ = io::stdin().lock().read_line(&mut String::new());
            });
        }
        line.wait();
    };
    let one = || {
        let measured = crate::train::bench((&place.device, *threads, alike), &place.cache, &planned, *seconds, &meet);
        measured.unwrap_or_else(|error| {
            // The others wait at the line for this one: nothing but the end of the process sets them free.
            tell!("error: {error}");
            std::process::exit(1)
        })
    };
    let mut measured: Vec<Measurement> = thread::scope(|scope| {
        let runs: Vec<_> = (0..*together).map(|_| scope.spawn(one)).collect();
        runs.into_iter().map(|run| run.join().expect("a run does not panic")).collect()
    });
    // The process has its memory for all of them.
    for one in &mut measured {
        one.peak_memory = one.peak_memory.map(|bytes| bytes / *together as u64);
    }
    println!("{}", serde_json::to_string(&measured)?);
    Ok(ExitCode::SUCCESS)
}

/// The bundled configs as files, for the processes of the slots.
fn write_models(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let write = |(name, text): &(&str, &str)| {
        let path = dir.join(Path::new(name).file_name().expect("a file"));
        std::fs::write(&path, text)?;
        Ok(path)
    };
    MODELS.iter().map(write).collect()
}

fn slot_command(
    config: &Path,
    device: &str,
    cache: &Path,
    threads: usize,
    (seconds, together): (f64, usize),
) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bench-slot").arg(config).args(["--device", device]).arg("--cache").arg(cache);
    command.args(["--threads", &threads.to_string(), "--seconds", &seconds.to_string()]);
    command.args(["--together", &together.to_string()]);
    command.envs(device::settings()).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

/// Starts processes of so many slots each, and lets all of them measure at the same time.
fn measure(
    (processes, together): (usize, usize),
    command: &dyn Fn() -> io::Result<Command>,
) -> anyhow::Result<Vec<Measurement>> {
    let mut slots: Vec<Slot> = (0..processes).map(|_| Slot::start(command()?)).collect::<anyhow::Result<_>>()?;
    for slot in &mut slots {
        slot.line()?;
    }
    for slot in &mut slots {
        slot.stdin.write_all(b"go\n").context("a slot has ended before it began")?;
    }
    let mut measured = Vec::with_capacity(processes * together);
    for slot in &mut slots {
        measured.extend(serde_json::from_str::<Vec<Measurement>>(&slot.line()?)?);
    }
    Ok(measured)
}

/// A process that measures; killed when dropped.
struct Slot {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Slot {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.spawn().context("cannot start a slot")?;
        let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            anyhow::bail!("a slot ended without a measurement: {}", self.child.wait()?);
        }
        Ok(line)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of the table: a model on some slots at once.
struct Row {
    name: String,
    planned: PlannedRun,
    slots: Vec<Measurement>,
    /// Whether their steps were taken together.
    share_steps: bool,
}

impl Row {
    /// Sum over the slots.
    fn sum(&self, value: impl Fn(&Measurement) -> f64) -> f64 {
        self.slots.iter().map(value).sum()
    }

    /// Mean over the slots.
    fn mean(&self, value: impl Fn(&Measurement) -> f64) -> f64 {
        self.sum(value) / self.slots.len() as f64
    }

    /// Mean over the slots, if all of them have one.
    fn mean_of_some(&self, value: impl Fn(&Measurement) -> Option<f64>) -> Option<f64> {
        let sum: Option<f64> = self.slots.iter().map(value).sum();
        sum.map(|sum| sum / self.slots.len() as f64)
    }

    fn peak_memory(&self) -> Option<u64> {
        self.slots.iter().map(|slot| slot.peak_memory).sum()
    }

    fn card_memory(&self) -> Option<u64> {
        self.slots.iter().map(|slot| slot.card_memory).sum()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name,
            "params": self.planned.params.by(Counting::All),
            "flops_per_token": self.planned.flops_per_token.exact,
            "tokens_per_second": self.sum(|slot| slot.tokens_per_second),
            "flops_per_second": self.sum(|slot| slot.flops_per_second),
            "peak_flops_per_second": self.sum(|slot| slot.peak_flops_per_second),
            "share_of_peak": self.mean(|slot| slot.share_of_peak),
            "memory_bytes_per_second": self.mean_of_some(|slot| slot.memory_bytes_per_second),
            "share_of_memory_speed": self.mean_of_some(|slot| slot.share_of_memory_speed),
            "first_step": self.mean(|slot| slot.first_step),
            "peak_memory": self.peak_memory(),
            "card_memory": self.card_memory(),
            "share_steps": self.share_steps,
            "slots": self.slots,
        })
    }
}

/// What a step of one slot spends in each kernel.
fn kernels(times: &[KernelTime]) -> Sheet {
    let columns = ["kernel", "launches", "us", "of the step"].map(|name| (name, Worth::Must));
    let mut table = Sheet::new(columns).numbers_from(1);
    let whole: f64 = times.iter().map(|time| time.seconds).sum();
    let mut add = |name: &str, launches: usize, seconds: f64| {
        let share = format!("{:.1}%", 100.0 * seconds / whole);
        table.add_row([name.to_owned(), launches.to_string(), format!("{:.1}", 1e6 * seconds), share]);
    };
    for KernelTime { kernel, launches, seconds } in times {
        add(kernel, *launches, *seconds);
    }
    add("all", times.iter().map(|time| time.launches).sum(), whole);
    table
}

fn table(rows: &[Row]) -> Sheet {
    let shares = ["data", "forward", "backward", "optimizer", "products", "eval"].map(|name| (name, Worth::More(2)));
    let columns = ["model", "params", "slots", "tokens/s", "GFLOP/s"].map(|name| (name, Worth::Must));
    let more = ["of peak", "MB", "step"].map(|name| (name, Worth::More(1)));
    // How near the optimizer comes to the speed of the device's memory, where that was measured.
    let of_memory = rows.iter().any(|row| row.slots[0].memory_bytes_per_second.is_some());
    let memory = of_memory.then_some(["GB/s", "of memory"].map(|name| (name, Worth::More(1)))).into_iter().flatten();
    // The memory of a card, and the share of a step that the CPU has to do, where there is a card.
    let on_card = rows.iter().any(|row| row.card_memory().is_some());
    let card = on_card.then_some(["card MB", "host"].map(|name| (name, Worth::More(1)))).into_iter().flatten();
    let mut table = Sheet::new(columns.into_iter().chain(more).chain(shares).chain(memory).chain(card)).numbers_from(1);
    for row in rows {
        let seconds = row.mean(|slot| slot.phases.total());
        let share = |value: f64| format!("{:.0}%", 100.0 * value);
        let phase = |value: fn(&Phases) -> f64| share(row.mean(|slot| value(&slot.phases)) / seconds);
        let mut cells = vec![
            row.name.clone(),
            Params(row.planned.params.by(Counting::All) as f64).to_string(),
            row.slots.len().to_string(),
            Tokens(row.sum(|slot| slot.tokens_per_second)).to_string(),
            format!("{:.1}", row.sum(|slot| slot.flops_per_second) / 1e9),
            share(row.mean(|slot| slot.share_of_peak)),
            row.peak_memory().map_or_else(|| "?".to_owned(), |bytes| (bytes >> 20).to_string()),
            format!("{:.1} ms", 1e3 * seconds),
            phase(|phases| phases.data),
            phase(|phases| phases.forward),
            phase(|phases| phases.backward),
            phase(|phases| phases.optimizer),
            share(row.mean(|slot| slot.share_of_products)),
            format!("{:.2} s", row.mean(|slot| slot.eval)),
        ];
        if of_memory {
            let speed = row.mean_of_some(|slot| slot.memory_bytes_per_second);
            cells.push(format!("{:.0}", speed.unwrap_or(f64::NAN) / 1e9));
            cells.push(share(row.mean_of_some(|slot| slot.share_of_memory_speed).unwrap_or(f64::NAN)));
        }
        if on_card {
            cells.push(row.card_memory().map_or_else(|| "?".to_owned(), |bytes| (bytes >> 20).to_string()));
            cells.push(share(row.mean(|slot| slot.host_share.unwrap_or(f64::NAN))));
        }
        table.add_row(cells);
    }
    table
}
