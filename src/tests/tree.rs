//! A hostile device tree: work in proportion to its size. Counted, because a clock tells this from a slow machine only.
#![forbid(unsafe_code)]

use crate::bootconfig::BootError;
use crate::bootconfig::fdt::counted;
use std::string::String;
use std::vec;
use std::vec::Vec;

const HEAD: usize = 40;
const BEGIN_NODE: u32 = 1;
const PROP: u32 = 3;
const END: u32 = 9;

/// The root, /chosen in it, and in that `inside` as often as it goes into half of `bytes`; in the other half one name.
fn tree(bytes: usize, inside: &[u8]) -> Vec<u8> {
    let half = bytes / 2;
    let head = [0xd00d_feed, bytes, HEAD, half, 0, 17, 16, 0, 0, 0];
    let mut tree: Vec<u8> = head.map(|cell| (cell as u32).to_be_bytes()).concat();
    tree.extend([BEGIN_NODE, 0, BEGIN_NODE].map(u32::to_be_bytes).concat());
    tree.extend(b"chosen\0\0");
    let end = END.to_be_bytes();
    while tree.len() + inside.len() + end.len() <= half {
        tree.extend(inside);
    }
    tree.extend(end);
    tree.resize(half, 0);
    tree.resize(bytes - 1, b'x');
    tree.push(0);
    tree
}

fn looked_at(tree: &[u8]) -> (usize, Result<String, BootError>) {
    let mut sum = 0;
    let found = counted(tree, |bytes| sum += bytes).map(String::from);
    (sum, found)
}

#[test]
fn a_device_tree_takes_work_in_proportion_to_its_size() {
    let property = [PROP, 0, 0].map(u32::to_be_bytes).concat();
    // Its name begins as the one that is sought.
    let nearly = b"bootargs-of-another";
    let node = [&BEGIN_NODE.to_be_bytes()[..], &[b'n'; 1000], &[0; 4]].concat();
    for bytes in [1 << 12, 1 << 14, 1 << 16] {
        for inside in [&property, &node] {
            for name in [&b""[..], nearly] {
                let mut tree = tree(bytes, inside);
                tree[bytes / 2..][..name.len()].copy_from_slice(name);
                let (looked, found) = looked_at(&tree);
                assert_eq!(found, Ok(String::new()));
                // The structure at least; nothing of it twice, and of each property's name no more than the sought one.
                let structure = bytes / 2 - HEAD - inside.len();
                assert!((structure..bytes).contains(&looked), "{looked} for {bytes}");
            }
        }
    }
}

/// What does not end is looked at once.
#[test]
fn a_name_without_an_end_is_looked_at_once() {
    let mut tree = vec![0; HEAD];
    for (at, cell) in [(0, 0xd00d_feed_u32), (4, 1 << 16), (8, HEAD as u32)] {
        tree[at..at + 4].copy_from_slice(&cell.to_be_bytes());
    }
    tree.extend(BEGIN_NODE.to_be_bytes());
    tree.resize(1 << 16, b'n');
    let (looked, found) = looked_at(&tree);
    assert_eq!(found, Err(BootError::Tree { at: HEAD + 4 }));
    assert!(looked <= 1 << 16, "{looked}");
}
