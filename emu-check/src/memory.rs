//! Reads the guest's memory. qemu-plugin 10.1.0-v2 gives glib an array of its own making, which glib then writes behind:
//! QEMU dies of it. This gives it an array of glib's.

use qemu_plugin::sys::{GByteArray, qemu_plugin_read_memory_vaddr};

unsafe extern "C" {
    fn g_byte_array_new() -> *mut GByteArray;
    fn g_byte_array_free(array: *mut GByteArray, free_segment: i32) -> *mut u8;
}

const WORD: usize = size_of::<u64>();

/// The 64-bit word at a virtual address of the core that runs this callback; `None` where nothing is mapped.
pub fn read(at: u64) -> Option<u64> {
    // SAFETY: glib makes an empty array, or ends the process.
    let array = unsafe { g_byte_array_new() };
    // SAFETY: called in a core's callback, with an array of glib's that QEMU sizes.
    let read = unsafe { qemu_plugin_read_memory_vaddr(at, array, WORD) };
    let word = read.then(|| {
        // SAFETY: the array is not freed yet.
        let data = unsafe { (*array).data };
        // SAFETY: QEMU made the array this long and filled it; bytes need no alignment.
        u64::from_le(unsafe { data.cast::<u64>().read_unaligned() })
    });
    // SAFETY: the array made above, once, with its bytes.
    unsafe { g_byte_array_free(array, 1) };
    word
}
