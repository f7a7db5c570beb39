//! An ordered index: an AVL tree that maps keys to values.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::ops::Bound;

type Link<K, V> = Option<Box<Node<K, V>>>;

struct Node<K, V> {
    key: K,
    value: V,
    height: u32,
    left: Link<K, V>,
    right: Link<K, V>,
}

/// An ordered map whose height is at most 1.44 times the logarithm of its length.
pub struct Tree<K, V> {
    root: Link<K, V>,
    len: usize,
}

/// What [`Tree::check`] found wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Broken {
    /// A node's subtrees differ in height by more than one, or its height is not theirs plus one.
    Balance,
    /// A key is not above the one before it.
    Order,
    /// The length is not the number of nodes.
    Length,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Balance => "a subtree is out of balance",
            Self::Order => "two keys are out of order",
            Self::Length => "the length is not the number of nodes",
        })
    }
}

impl<K: Ord, V> Tree<K, V> {
    /// An empty index.
    pub const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Levels of nodes.
    pub fn height(&self) -> u32 {
        height(&self.root)
    }

    /// Sets the value of `key` and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = insert(&mut self.root, key, value);
        if old.is_none() {
            self.len += 1;
        }
        old
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let node = remove(&mut self.root, key)?;
        self.len -= 1;
        Some(node.value)
    }

    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let mut link = &self.root;
        while let Some(node) = link {
            link = match key.cmp(&node.key) {
                Ordering::Less => &node.left,
                Ordering::Greater => &node.right,
                Ordering::Equal => return Some(&node.value),
            };
        }
        None
    }

    /// Keys and values from `from` on, in order.
    pub fn range(&self, from: Bound<&K>) -> Range<'_, K, V> {
        let mut range = Range { path: Vec::new() };
        let mut link = &self.root;
        while let Some(node) = link {
            let within = match from {
                Bound::Included(key) => node.key >= *key,
                Bound::Excluded(key) => node.key > *key,
                Bound::Unbounded => true,
            };
            if within {
                range.path.push(node);
                link = &node.left;
            } else {
                link = &node.right;
            }
        }
        range
    }

    /// Whether it is the tree that it should be.
    ///
    /// # Errors
    ///
    /// [`Broken`] says which rule is not kept.
    pub fn check(&self) -> Result<(), Broken> {
        balance(&self.root)?;
        let mut last = None;
        let mut count = 0;
        for (key, _) in self.range(Bound::Unbounded) {
            if last.is_some_and(|last| last >= key) {
                return Err(Broken::Order);
            }
            last = Some(key);
            count += 1;
        }
        if count == self.len {
            Ok(())
        } else {
            Err(Broken::Length)
        }
    }
}

/// The nodes of a tree in order.
pub struct Range<'a, K, V> {
    /// Nodes that are still to come, each with its right subtree; the next one last.
    path: Vec<&'a Node<K, V>>,
}

impl<'a, K, V> Iterator for Range<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.path.pop()?;
        let mut link = &node.right;
        while let Some(next) = link {
            self.path.push(next);
            link = &next.left;
        }
        Some((&node.key, &node.value))
    }
}

fn height<K, V>(link: &Link<K, V>) -> u32 {
    link.as_ref().map_or(0, |node| node.height)
}

fn update<K, V>(node: &mut Node<K, V>) {
    node.height = 1 + height(&node.left).max(height(&node.right));
}

fn insert<K: Ord, V>(link: &mut Link<K, V>, key: K, value: V) -> Option<V> {
    let Some(node) = link else {
        *link = Some(Box::new(Node {
            key,
            value,
            height: 1,
            left: None,
            right: None,
        }));
        return None;
    };
    let old = match key.cmp(&node.key) {
        Ordering::Less => insert(&mut node.left, key, value),
        Ordering::Greater => insert(&mut node.right, key, value),
        Ordering::Equal => return Some(core::mem::replace(&mut node.value, value)),
    };
    rebalance(link);
    old
}

fn remove<K: Ord, V>(link: &mut Link<K, V>, key: &K) -> Link<K, V> {
    let node = link.as_mut()?;
    let removed = match key.cmp(&node.key) {
        Ordering::Less => remove(&mut node.left, key),
        Ordering::Greater => remove(&mut node.right, key),
        Ordering::Equal => unlink(link),
    };
    rebalance(link);
    removed
}

/// Takes the node at `link` out; its neighbour in order takes its place.
fn unlink<K: Ord, V>(link: &mut Link<K, V>) -> Link<K, V> {
    let mut node = link.take()?;
    *link = match (node.left.take(), node.right.take()) {
        (None, only) | (only, None) => only,
        (left, mut right) => {
            let mut next = take_first(&mut right)?;
            next.left = left;
            next.right = right;
            Some(next)
        }
    };
    Some(node)
}

/// Takes out the lowest node.
fn take_first<K: Ord, V>(link: &mut Link<K, V>) -> Link<K, V> {
    let node = link.as_mut()?;
    if node.left.is_some() {
        let first = take_first(&mut node.left);
        rebalance(link);
        return first;
    }
    let mut first = link.take()?;
    *link = first.right.take();
    Some(first)
}

/// Restores the balance at `link`, whose subtrees are in balance and differ in height by two at most.
fn rebalance<K, V>(link: &mut Link<K, V>) {
    let Some(node) = link else {
        return;
    };
    let (left, right) = (height(&node.left), height(&node.right));
    if left > right + 1 {
        if leans_right(&node.left) {
            rotate_left(&mut node.left);
        }
        rotate_right(link);
    } else if right > left + 1 {
        if leans_left(&node.right) {
            rotate_right(&mut node.right);
        }
        rotate_left(link);
    } else {
        update(node);
    }
}

fn leans_left<K, V>(link: &Link<K, V>) -> bool {
    link.as_ref()
        .is_some_and(|node| height(&node.left) > height(&node.right))
}

fn leans_right<K, V>(link: &Link<K, V>) -> bool {
    link.as_ref()
        .is_some_and(|node| height(&node.right) > height(&node.left))
}

fn rotate_left<K, V>(link: &mut Link<K, V>) {
    let Some(mut node) = link.take() else {
        return;
    };
    let Some(mut up) = node.right.take() else {
        *link = Some(node);
        return;
    };
    node.right = up.left.take();
    update(&mut node);
    up.left = Some(node);
    update(&mut up);
    *link = Some(up);
}

fn rotate_right<K, V>(link: &mut Link<K, V>) {
    let Some(mut node) = link.take() else {
        return;
    };
    let Some(mut up) = node.left.take() else {
        *link = Some(node);
        return;
    };
    node.left = up.right.take();
    update(&mut node);
    up.right = Some(node);
    update(&mut up);
    *link = Some(up);
}

fn balance<K, V>(link: &Link<K, V>) -> Result<u32, Broken> {
    let Some(node) = link else {
        return Ok(0);
    };
    let (left, right) = (balance(&node.left)?, balance(&node.right)?);
    let height = 1 + left.max(right);
    if left.abs_diff(right) > 1 || node.height != height {
        return Err(Broken::Balance);
    }
    Ok(height)
}
