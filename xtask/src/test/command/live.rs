//! A kernel in QEMU that is looked into from outside while it runs: through QEMU's monitor (QMP) and its stub for GDB.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::qemu::{self, Machine};

const LIMIT: Duration = Duration::from_secs(60);
/// Where RAM begins on the virt machine, and how much of it the machine gets.
const RAM: (u64, u64) = (0x4000_0000, 256 << 20);

/// The machine; dropping it ends it.
pub struct Live {
    child: Child,
    monitor: PathBuf,
    /// Where the stub for GDB listens.
    pub stub: String,
    console: Arc<Mutex<Vec<u8>>>,
}

impl Live {
    /// Boots a kernel and tells it a word.
    ///
    /// # Errors
    /// QEMU does not start.
    pub fn boot(elf: &Path, folder: &Path, word: &str) -> Result<Self> {
        let machine = Machine {
            words: vec![word.to_owned()],
            ..Machine::default()
        };
        let monitor = folder.join("monitor");
        // Free now; that another takes it within the blink of an eye fails the test and no more.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = qemu::command(&machine, elf);
        command
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", monitor.display()))
            .arg("-gdb")
            .arg(format!("tcp:127.0.0.1:{port}"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start QEMU")?;
        let mut stdout = child.stdout.take().context("no stdout")?;
        let console = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&console);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let mut console = shared.lock().unwrap_or_else(PoisonError::into_inner);
                console.extend_from_slice(&buffer[..count]);
            }
        });
        Ok(Self {
            child,
            monitor,
            stub: format!(":{port}"),
            console,
        })
    }

    /// What the kernel has said.
    pub fn console(&self) -> String {
        let console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&console).into_owned()
    }

    /// Waits until the kernel has said this.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_for(&self, text: &str) -> Result<()> {
        let start = Instant::now();
        while !self.console().contains(text) {
            if start.elapsed() > LIMIT {
                bail!("no {text:?} on the console:\n{}", self.console());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Writes all RAM to a file, while the machine runs.
    ///
    /// # Errors
    /// What the monitor says.
    pub fn save_memory(&self, image: &Path) -> Result<()> {
        let (val, size) = RAM;
        let arguments = json!({"val": val, "size": size, "filename": image});
        self.ask("pmemsave", &arguments).map(drop)
    }

    /// Whether the machine runs, and is not stopped.
    ///
    /// # Errors
    /// What the monitor says.
    pub fn is_running(&self) -> Result<bool> {
        let status = self.ask("query-status", &json!({}))?;
        status["running"].as_bool().context("no status")
    }

    fn ask(&self, command: &str, arguments: &Value) -> Result<Value> {
        let socket = UnixStream::connect(&self.monitor).context("QEMU's monitor")?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut answers = BufReader::new(socket.try_clone()?).lines();
        let mut answer = |key: &str| -> Result<Value> {
            for line in answers.by_ref() {
                let mut value: Value = serde_json::from_str(&line?)?;
                ensure!(value.get("error").is_none(), "{command}: {value}");
                if let Some(found) = value.get_mut(key) {
                    return Ok(found.take());
                }
            }
            bail!("the monitor has ended")
        };
        let say = |value: Value| writeln!(&socket, "{value}");
        answer("QMP")?;
        say(json!({"execute": "qmp_capabilities"}))?;
        answer("return")?;
        say(json!({"execute": command, "arguments": arguments}))?;
        answer("return")
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
