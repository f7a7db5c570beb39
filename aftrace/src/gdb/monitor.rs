//! How a target is stopped, let run, and left as it was found; and a stub's own commands, `monitor` in GDB, where its protocol has
//! no packet: OpenOCD's `halt`, `resume` and `mdw phys` (OpenOCD User's Guide, "General Commands", "Memory access commands").

use std::io::{Read, Write};

use super::{Addresses, Client, GdbError, packet, shown, unexpected};

/// Bytes of a word of `mdw`.
const WORD: u64 = 4;
/// Words asked for at once: about 5 KiB of text.
const WORDS_MAX: u64 = 256;

impl<S: Read + Write> Client<S> {
    /// Whether the target runs, as far as the stub says.
    pub const fn runs(&self) -> bool {
        self.runs
    }

    /// Stops a target that runs, until [`Self::detach`]. Of a stub that has no commands of its own it is taken that it stands.
    ///
    /// # Errors
    /// [`GdbError::Monitor`]: it does not stop. Others: of the line.
    pub fn halt(&mut self) -> Result<(), GdbError> {
        if !self.runs {
            return Ok(());
        }
        let halted = match self.monitor("halt") {
            Err(GdbError::Unexpected { .. }) => {
                self.runs = false;
                return Ok(());
            }
            halted => halted?,
        };
        self.resume = true;
        if self.says_that_it_runs()? {
            return Err(GdbError::Monitor {
                command: "halt".to_owned(),
                said: format!("the target runs on; {halted}"),
            });
        }
        self.runs = false;
        Ok(())
    }

    /// Lets a target run that the stub has stopped, to be read meanwhile.
    ///
    /// # Errors
    /// Those of the line. Whether the stub can read then, the first read tells: [`GdbError::Stops`], or it refuses.
    pub fn run_on(&mut self) -> Result<(), GdbError> {
        if !self.runs {
            // Answered when it stops.
            self.line.write_all(&packet::encode(b"c"))?;
            self.runs = true;
        }
        Ok(())
    }

    /// Addresses are physical from now on, by the way that the stub knows, QEMU's or OpenOCD's.
    ///
    /// # Errors
    /// [`GdbError::NotPhysical`]: neither. Others: of the line.
    pub fn use_physical(&mut self) -> Result<(), GdbError> {
        match self.expect_ok("Qqemu.PhyMemMode:1") {
            Ok(()) => self.addresses = Addresses::Told,
            Err(GdbError::Unexpected { .. }) => match self.monitor("help mdw") {
                Ok(_) => self.addresses = Addresses::Monitor,
                Err(GdbError::Unexpected { .. } | GdbError::Monitor { .. }) => {
                    return Err(GdbError::NotPhysical);
                }
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Lets the target go: it runs on. Where it shall not, [`Self::leave_stopped`].
    ///
    /// # Errors
    /// [`GdbError`].
    pub fn detach(mut self) -> Result<(), GdbError> {
        self.restore()?;
        if self.resume {
            self.monitor("resume")?;
        }
        self.expect_ok("D")
    }

    /// Takes back what was set, and leaves the target stopped.
    ///
    /// # Errors
    /// [`GdbError`].
    pub fn leave_stopped(mut self) -> Result<(), GdbError> {
        self.restore()
    }

    fn restore(&mut self) -> Result<(), GdbError> {
        if std::mem::replace(&mut self.addresses, Addresses::Mapped) == Addresses::Told {
            self.expect_ok("Qqemu.PhyMemMode:0")?;
        }
        Ok(())
    }

    /// What a command of the stub's own says; [`GdbError::Unexpected`] where it has none.
    fn monitor(&mut self, command: &str) -> Result<String, GdbError> {
        let digits = command.bytes().map(|byte| format!("{byte:02x}"));
        let request = format!("qRcmd,{}", digits.collect::<String>());
        let mut said = Vec::new();
        match self.ask_and_listen(&request, &mut said) {
            Ok(answer) if answer == b"OK" => {}
            // The answer itself; what was printed is the stub's log. Of OpenOCD before 0.12 it is the other way round.
            Ok(answer) => match packet::bytes(&answer) {
                Some(bytes) if !bytes.is_empty() => said = bytes,
                _ => return Err(unexpected(&request, &answer)),
            },
            Err(GdbError::Refused { code, .. }) => {
                let said = String::from_utf8_lossy(&said);
                return Err(GdbError::Monitor {
                    command: command.to_owned(),
                    said: format!("{} (error {code})", said.trim()),
                });
            }
            Err(error) => return Err(error),
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Reads physical memory as words, of which it takes what is asked for.
    pub(super) fn words(&mut self, address: u64, length: usize) -> Result<Vec<u8>, GdbError> {
        let first = address / WORD * WORD;
        let before = address - first;
        let count = (before + length as u64).div_ceil(WORD).min(WORDS_MAX);
        let command = format!("mdw phys {first:#x} {count}");
        let said = match self.monitor(&command) {
            // As a read by a packet: nothing can be read there.
            Err(GdbError::Monitor { command, said }) => {
                return Err(GdbError::Refused {
                    request: command,
                    code: said,
                });
            }
            said => said?,
        };
        let bytes = dumped(&said, first, count).ok_or_else(|| GdbError::Unexpected {
            request: command,
            answer: shown(said.as_bytes()),
        })?;
        let end = bytes.len().min(before as usize + length);
        Ok(bytes[before as usize..end].to_vec())
    }
}

/// The bytes of lines as `mdw` prints them, `ADDRESS: WORD WORD ..`, if they are so many words from this address on. Other lines are
/// those of a log.
fn dumped(text: &str, first: u64, count: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("0x")) {
        let (address, words) = line.split_once(':')?;
        let address = u64::from_str_radix(address, 16).ok()?;
        if address.checked_sub(first)? != bytes.len() as u64 {
            return None;
        }
        for word in words.split_whitespace() {
            bytes.extend(u32::from_str_radix(word, 16).ok()?.to_le_bytes());
        }
    }
    (bytes.len() as u64 == count * WORD).then_some(bytes)
}
