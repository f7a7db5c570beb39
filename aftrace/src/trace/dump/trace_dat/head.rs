//! What stands before the events: which events there are, names of functions and tasks.

use super::{PAGE, PAGE_HEAD};

pub(super) const FUNCTION: u16 = 1;
pub(super) const EXIT: u16 = 10;
pub(super) const ENTRY: u16 = 11;
pub(super) const SWITCH: u16 = 300;

const COMMON: &str = "format:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
    \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";

/// Events of Linux that are written: name, number, fields (type, name, bytes, signed), how they are printed.
type Format = (
    &'static str,
    u16,
    &'static [(&'static str, &'static str, usize, bool)],
    &'static str,
);

const FTRACE: [Format; 3] = [
    (
        "function",
        FUNCTION,
        &[
            ("unsigned long", "ip", 8, false),
            ("unsigned long", "parent_ip", 8, false),
        ],
        "\" %ps <-- %ps\", (void *)REC->ip, (void *)REC->parent_ip",
    ),
    (
        "funcgraph_entry",
        ENTRY,
        &[
            ("unsigned long", "func", 8, false),
            ("int", "depth", 4, true),
        ],
        "\"--> %ps (%d)\", (void *)REC->func, REC->depth",
    ),
    (
        "funcgraph_exit",
        EXIT,
        &[
            ("unsigned long", "func", 8, false),
            ("int", "depth", 4, true),
            ("unsigned int", "overrun", 4, false),
            ("unsigned long long", "calltime", 8, false),
            ("unsigned long long", "rettime", 8, false),
        ],
        "\"<-- %ps (%d) (start: %llx  end: %llx) over: %d\", (void *)REC->func, REC->depth, REC->calltime, REC->rettime, REC->overrun",
    ),
];

const SCHED: Format = (
    "sched_switch",
    SWITCH,
    &[
        ("char", "prev_comm[16]", 16, false),
        ("pid_t", "prev_pid", 4, true),
        ("int", "prev_prio", 4, true),
        ("long", "prev_state", 8, true),
        ("char", "next_comm[16]", 16, false),
        ("pid_t", "next_pid", 4, true),
        ("int", "next_prio", 4, true),
    ],
    "\"%s:%d ==> %s:%d\", REC->prev_comm, REC->prev_pid, REC->next_comm, REC->next_pid",
);

fn format((name, id, fields, print): &Format) -> String {
    let mut text = format!("name: {name}\nID: {id}\n{COMMON}");
    let mut offset = 8;
    for (kind, field, bytes, signed) in *fields {
        text += &format!(
            "\tfield:{kind} {field};\toffset:{offset};\tsize:{bytes};\tsigned:{};\n",
            u8::from(*signed)
        );
        offset += bytes;
    }
    text + &format!("\nprint fmt: {print}\n")
}

/// All that stands before the table of the cores' data. `names` are lines as of /proc/kallsyms, `tasks` as of saved_cmdlines.
pub(super) fn head(names: &str, tasks: &str, cpus: u32) -> Vec<u8> {
    let mut head = b"\x17\x08\x44tracing6\0".to_vec();
    // Little-endian, and 8 bytes in a long.
    head.extend([0, 8]);
    head.extend((PAGE as u32).to_le_bytes());
    let long = |head: &mut Vec<u8>, text: &str| {
        head.extend((text.len() as u64).to_le_bytes());
        head.extend(text.as_bytes());
    };
    let short = |head: &mut Vec<u8>, text: &str| {
        head.extend((text.len() as u32).to_le_bytes());
        head.extend(text.as_bytes());
    };
    head.extend(b"header_page\0");
    let data = PAGE - PAGE_HEAD;
    long(
        &mut head,
        &format!(
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
                 \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
                 \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
                 \tfield: char data;\toffset:16;\tsize:{data};\tsigned:1;\n"
        ),
    );
    head.extend(b"header_event\0");
    long(
        &mut head,
        "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n\tarray       :   32 bits\n\n\
             \tpadding     : type == 29\n\ttime_extend : type == 30\n\ttime_stamp : type == 31\n\tdata max type_len  == 28\n",
    );
    head.extend((FTRACE.len() as u32).to_le_bytes());
    for each in &FTRACE {
        long(&mut head, &format(each));
    }
    head.extend(1_u32.to_le_bytes());
    head.extend(b"sched\0");
    head.extend(1_u32.to_le_bytes());
    long(&mut head, &format(&SCHED));
    short(&mut head, names);
    short(&mut head, "");
    long(&mut head, tasks);
    head.extend(cpus.to_le_bytes());
    head.extend(b"options  \0");
    // Option 4: the clock, whose times are nanoseconds.
    let clock = "[local]\n";
    head.extend(4_u16.to_le_bytes());
    short(&mut head, clock);
    head.extend(0_u16.to_le_bytes());
    head.extend(b"flyrecord\0");
    head
}
