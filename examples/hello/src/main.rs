//! The newcomer's kernel.
#![no_std]
#![no_main]

virt::entry!(main);

fn main() {
    virt::println!("hello from EL{}", virt::boot_el());
}
