//! What a guest's header asks for.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kernel::{Profile, Target};
use crate::qemu::Machine;
use crate::variant::Variant;

/// Every guest runs on each of these, unless it says otherwise.
pub const CPUS: [&str; 4] = ["cortex-a53", "cortex-a72", "neoverse-n1", "max"];

/// Not optimised, on one of them for each target: the models differ in instructions and system registers, which are in asm, the
/// same in every profile.
fn dev_cpu(target: Target) -> &'static str {
    match target {
        Target::Softfloat => CPUS[0],
        Target::Hardfloat => CPUS[3],
    }
}

/// Time limit of a long run.
const LONG_LIMIT: Duration = Duration::from_secs(3600);

/// What a guest's header asks for: `//@ key: value` lines at its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// CPU models; `MODEL/CORES/GIC` for one with its own number of cores and its own interrupt controller;
    /// `MODEL/CORES/GIC/single` for one whose cores take turns in one thread of the emulator. A variant's name behind all that
    /// makes it a boot of that variant, and of no other.
    pub cpus: Vec<String>,
    /// Targets.
    pub targets: Vec<Target>,
    /// Profiles.
    pub profiles: Vec<Profile>,
    /// Variants of the build; without a line the plain one, and the one with branch targets checked and return addresses
    /// signed. All but the plain one are built for soft-float, optimised, and boot on CPU model max alone where the guest
    /// boots on that.
    pub variants: Vec<Variant>,
    /// Variants that some of its models have for themselves.
    own_variants: Vec<Variant>,
    /// Cores.
    pub cores: u32,
    /// Interrupt controller.
    pub gic: u32,
    /// Memory.
    pub memory: Option<String>,
    /// Counts instructions as time.
    pub icount: bool,
    /// Enters the kernel at EL2.
    pub virtualization: bool,
    /// Resets the machine, and boots again.
    pub reboot: bool,
    /// Least major version of QEMU.
    pub qemu: u32,
    /// Time limit.
    pub limit: Duration,
    /// Exit code.
    pub exit: i32,
    /// Semihosting command line.
    pub words: Vec<String>,
    /// That of a long run; nothing where it is no other.
    pub long_words: Vec<String>,
    /// That of a run under the plug-in, which takes long: fewer changes show the same order. Nothing where it is no other.
    pub judged_words: Vec<String>,
    /// Why the order of its patching is not judged.
    pub unjudged: Option<String>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            cpus: CPUS.iter().map(|&cpu| cpu.to_owned()).collect(),
            targets: Target::ALL.to_vec(),
            profiles: vec![Profile::Dev, Profile::Release],
            variants: vec![Variant::Plain, Variant::Bti],
            own_variants: Vec::new(),
            cores: 1,
            gic: 3,
            memory: None,
            icount: false,
            virtualization: false,
            reboot: false,
            qemu: 0,
            limit: Duration::from_secs(60),
            exit: 0,
            words: Vec::new(),
            long_words: Vec::new(),
            judged_words: Vec::new(),
            unjudged: None,
        }
    }
}

impl Header {
    /// Reads the header lines.
    ///
    /// # Errors
    /// A key or value that is not known, with the line.
    pub fn parse(source: &str) -> Result<Self> {
        let mut header = Self::default();
        for line in source.lines() {
            let Some(rest) = line.trim().strip_prefix("//@") else {
                continue;
            };
            header
                .set(rest)
                .with_context(|| format!("header line `{}`", line.trim()))?;
        }
        Ok(header)
    }

    fn set(&mut self, line: &str) -> Result<()> {
        let (key, value) = line.split_once(':').context("is not `key: value`")?;
        let value = value.trim();
        let list = || value.split(',').map(|word| word.trim().to_owned());
        let words = || value.split_whitespace().map(str::to_owned).collect();
        if value.is_empty() {
            bail!("has no value");
        }
        match key.trim() {
            "cpu" => {
                self.cpus = list().collect();
                for cpu in &self.cpus {
                    own(cpu)?;
                    self.own_variants.extend(own_variant(cpu).1);
                }
            }
            "target" => self.targets = list().map(|word| choice(&word)).collect::<Result<_>>()?,
            "profile" => self.profiles = list().map(|word| choice(&word)).collect::<Result<_>>()?,
            "variant" => self.variants = list().map(|word| choice(&word)).collect::<Result<_>>()?,
            "smp" => self.cores = value.parse()?,
            "gic" => self.gic = value.parse()?,
            "mem" => self.memory = Some(value.to_owned()),
            "icount" => self.icount = value == "yes",
            "virtualization" => self.virtualization = value == "yes",
            "reboot" => self.reboot = value == "yes",
            "qemu" => self.qemu = value.parse()?,
            "timeout" => self.limit = Duration::from_secs(value.parse()?),
            "exit" => self.exit = value.parse()?,
            "args" => self.words = words(),
            "long-args" => self.long_words = words(),
            "emu-check-args" => self.judged_words = words(),
            "emu-check" => self.unjudged = Some(value.to_owned()),
            key => bail!("knows no key `{key}`"),
        }
        Ok(())
    }

    /// Asks for a long run, where the guest knows one.
    pub fn lengthen(&mut self) {
        if !self.long_words.is_empty() {
            self.words.clone_from(&self.long_words);
            self.limit = LONG_LIMIT;
        }
    }

    /// The machine that it is judged on: one whose models have their own numbers of cores on the last of them.
    #[must_use]
    pub fn judged_on(&self, cpu: Option<&str>) -> Machine {
        let own = self.cpus.last().filter(|cpu| cpu.contains('/'));
        let cpu = cpu.or(own.map(String::as_str)).unwrap_or(CPUS[1]);
        let mut machine = self.machine(cpu);
        if !self.judged_words.is_empty() {
            machine.words.clone_from(&self.judged_words);
        }
        machine
    }

    /// Whether it is built so: for all of its models, or for those that say it themselves.
    #[must_use]
    pub fn is_built(&self, variant: Variant) -> bool {
        self.variants.contains(&variant) || self.own_variants.contains(&variant)
    }

    /// The CPU models that it boots on: a variant on `max` alone where that is among them, and on those that are its own.
    #[must_use]
    pub fn cpus_for(&self, variant: Variant, target: Target, profile: Profile) -> Vec<&str> {
        let of = |wanted| move |cpu: &&str| own_variant(cpu).1 == wanted;
        let mut cpus = match self.variants.contains(&variant) {
            true => self.shared_cpus_for(variant, target, profile),
            false => vec![],
        };
        cpus.extend(
            self.cpus
                .iter()
                .map(String::as_str)
                .filter(of(Some(variant))),
        );
        cpus
    }

    fn shared_cpus_for(&self, variant: Variant, target: Target, profile: Profile) -> Vec<&str> {
        let is_shared = |cpu: &&str| own_variant(cpu).1.is_none();
        let all = || self.cpus.iter().map(String::as_str).filter(is_shared);
        let is_max = |cpu: &&str| cpu.split('/').next() == Some("max");
        if variant != Variant::Plain && all().any(|cpu| is_max(&cpu)) {
            all().filter(is_max).collect()
        } else if profile == Profile::Dev && all().any(|cpu| cpu == dev_cpu(target)) {
            vec![dev_cpu(target)]
        } else {
            all().collect()
        }
    }

    /// The machine for one of its CPU models.
    #[must_use]
    pub fn machine(&self, cpu: &str) -> Machine {
        let (model, own) = own(cpu).unwrap_or((cpu, None));
        let (cores, gic, single) = own.unwrap_or((self.cores, self.gic, false));
        let mut machine = Machine {
            cpu: model.to_owned(),
            cores,
            gic,
            single,
            icount: self.icount,
            virtualization: self.virtualization,
            reboot: self.reboot,
            words: self.words.clone(),
            limit: self.limit,
            ..Machine::default()
        };
        if let Some(memory) = &self.memory {
            machine.memory.clone_from(memory);
        }
        machine
    }
}

/// Cores, interrupt controller, and whether in one thread.
type Own = (u32, u32, bool);

/// A model, and its own where it has that.
fn own(cpu: &str) -> Result<(&str, Option<Own>)> {
    let parts: Vec<&str> = own_variant(cpu).0.split('/').collect();
    match parts[..] {
        [model] => Ok((model, None)),
        [model, cores, gic] => Ok((model, Some((cores.parse()?, gic.parse()?, false)))),
        [model, cores, gic, "single"] => Ok((model, Some((cores.parse()?, gic.parse()?, true)))),
        _ => bail!("is not MODEL/CORES/GIC, nor that with /single, /VARIANT or both"),
    }
}

/// A model without its variant, and that, where it has one of its own.
fn own_variant(cpu: &str) -> (&str, Option<Variant>) {
    let own = cpu.rsplit_once('/').and_then(|(model, word)| {
        let variant = choice(word).ok()?;
        Some((model, Some(variant)))
    });
    own.unwrap_or((cpu, None))
}

fn choice<T: clap::ValueEnum>(word: &str) -> Result<T> {
    T::from_str(word, false).map_err(anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_without_header_runs_everywhere() {
        let header = Header::parse("//! Thought.\n#![no_std]\n").unwrap();
        assert_eq!(header, Header::default());
        assert_eq!(
            header.cpus.len() * header.targets.len() * header.profiles.len(),
            16
        );
    }

    #[test]
    fn the_header_restricts() {
        let header = Header::parse(
            "//@ cpu: max, neoverse-n1\n//@ smp: 2\n//@ qemu: 9\n//@ target: none\n//@ profile: release-lto\n\
             //@ timeout: 5\n//@ exit: 3\n//@ args: a b\n//@ icount: yes\n//@ mem: 1G\n//@ gic: 2\n\
             //@ variant: plain, high\n//@ long-args: c\n//@ emu-check-args: 7 once\n//@ emu-check: by hand\n\
             //@ virtualization: yes\n//@ reboot: yes\n",
        )
        .unwrap();
        assert_eq!(header.cpus, ["max", "neoverse-n1"]);
        assert_eq!(header.targets, [Target::Hardfloat]);
        assert_eq!(header.variants, [Variant::Plain, Variant::High]);
        assert_eq!(
            header.cpus_for(Variant::Plain, Target::Softfloat, Profile::Dev),
            ["max", "neoverse-n1"]
        );
        for (variant, target, profile, expected) in [
            (
                Variant::Bti,
                Target::Softfloat,
                Profile::Release,
                &CPUS[3..],
            ),
            (
                Variant::Plain,
                Target::Softfloat,
                Profile::Release,
                &CPUS[..],
            ),
            (Variant::Plain, Target::Softfloat, Profile::Dev, &CPUS[..1]),
            (Variant::Plain, Target::Hardfloat, Profile::Dev, &CPUS[3..]),
        ] {
            assert_eq!(
                Header::default().cpus_for(variant, target, profile),
                expected
            );
        }
        assert_eq!(header.profiles, [Profile::ReleaseLto]);
        assert_eq!((header.cores, header.qemu, header.exit), (2, 9, 3));
        let machine = header.machine("max");
        assert_eq!(machine.words, ["a", "b"]);
        assert_eq!(
            (machine.memory.as_str(), machine.gic, machine.icount),
            ("1G", 2, true)
        );
        assert!(machine.virtualization && machine.reboot);
        assert_eq!(machine.limit, Duration::from_secs(5));
        let judged = header.judged_on(None);
        assert_eq!((judged.cpu.as_str(), judged.cores), (CPUS[1], 2));
        assert_eq!(judged.words, ["7", "once"]);
        assert_eq!(header.unjudged.as_deref(), Some("by hand"));
        let mut long = header;
        long.lengthen();
        let machine = long.machine("max");
        assert_eq!(
            (machine.words, machine.limit),
            (vec!["c".to_owned()], LONG_LIMIT)
        );
        let mut usual = Header::default();
        usual.lengthen();
        assert_eq!(usual, Header::default());
        assert_eq!(
            (usual.unjudged.clone(), usual.judged_on(None).words),
            (None, usual.words)
        );
    }

    #[test]
    fn a_model_may_have_its_own_cores() {
        let header = Header::parse("//@ smp: 2\n//@ cpu: max/8/2/single, cortex-a53\n").unwrap();
        let shown: Vec<_> = header
            .cpus
            .iter()
            .map(|cpu| header.machine(cpu))
            .map(|machine| (machine.cpu, machine.cores, machine.gic, machine.single))
            .collect();
        let expected = [
            ("max".to_owned(), 8, 2, true),
            ("cortex-a53".to_owned(), 2, 3, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_model_may_be_one_of_a_variant() {
        let header =
            "//@ cpu: cortex-a53/2/3, max/8/2/single, max/8/3/single/bti\n//@ variant: plain\n";
        let header = Header::parse(header).unwrap();
        let cpus = |variant| header.cpus_for(variant, Target::Softfloat, Profile::Release);
        assert_eq!(cpus(Variant::Plain), ["cortex-a53/2/3", "max/8/2/single"]);
        assert_eq!(cpus(Variant::Bti), ["max/8/3/single/bti"]);
        assert!(cpus(Variant::High).is_empty());
        let built = [Variant::Plain, Variant::Bti, Variant::High].map(|v| header.is_built(v));
        assert_eq!(built, [true, true, false]);
        let machine = header.machine("max/8/3/single/bti");
        assert_eq!(
            (
                machine.cpu.as_str(),
                machine.cores,
                machine.gic,
                machine.single
            ),
            ("max", 8, 3, true)
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for bad in [
            "//@ cpu: max/8/3/bti/single",
            "//@ cpu: max/8/bti",
            "//@ cpu: max/8",
            "//@ cpu: max/eight/3",
            "//@ cpu: max/8/3/many",
            "//@ cpus: max",
            "//@ smp: many",
            "//@ target: x86",
            "//@ cpu",
            "//@ cpu:",
        ] {
            assert!(Header::parse(bad).is_err(), "{bad}");
        }
    }
}
