//! What stands before the events: which events there are, names of functions and tasks.

use std::borrow::Cow;

use super::{PAGE, PAGE_HEAD};
use crate::trace::brackets::Values;

pub(super) const FUNCTION: u16 = 1;
pub(super) const EXIT: u16 = 10;
pub(super) const ENTRY: u16 = 11;
pub(super) const SWITCH: u16 = 300;

const COMMON: &str = "format:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
    \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n";

/// A field: type, name, bytes, signed.
type Field = (&'static str, Cow<'static, str>, usize, bool);

/// An event of Linux that is written: name, number, fields, how they are printed.
type Format = (&'static str, u16, Vec<Field>, &'static str);

const fn field(kind: &'static str, name: &'static str, bytes: usize, signed: bool) -> Field {
    (kind, Cow::Borrowed(name), bytes, signed)
}

/// The events of the tracers. Arguments and results are where those of Linux 6.16 are: arguments behind all else, as many as the
/// record is long; the result behind the function.
fn ftrace(values: Values) -> [Format; 3] {
    let function = vec![
        field("unsigned long", "ip", 8, false),
        field("unsigned long", "parent_ip", 8, false),
    ];
    let mut entry = vec![
        field("unsigned long", "func", 8, false),
        field("int", "depth", 4, true),
    ];
    if values.most() > 0 {
        entry.push(field("int", "reserved", 4, true));
        // Linux gives no number. Programs that do not know of arguments show them where there is one, which all records must have.
        let count = match values.arguments {
            Some((fewest, most)) if fewest == most => most,
            _ => 0,
        };
        let name = match count {
            0 => "args[]".into(),
            _ => format!("args[{count}]").into(),
        };
        entry.push(("unsigned long", name, 8 * count, false));
    }
    let mut exit = vec![field("unsigned long", "func", 8, false)];
    if values.results > 0 {
        exit.push(field("unsigned long", "retval", 8, false));
    }
    exit.extend([
        field("int", "depth", 4, true),
        field("unsigned int", "overrun", 4, false),
        field("unsigned long long", "calltime", 8, false),
        field("unsigned long long", "rettime", 8, false),
    ]);
    if is_known_of_some(values) {
        exit.push(field("unsigned int", "retval_known", 4, false));
    }
    [
        (
            "function",
            FUNCTION,
            function,
            "\" %ps <-- %ps\", (void *)REC->ip, (void *)REC->parent_ip",
        ),
        (
            "funcgraph_entry",
            ENTRY,
            entry,
            "\"--> %ps (%d)\", (void *)REC->func, REC->depth",
        ),
        (
            "funcgraph_exit",
            EXIT,
            exit,
            "\"<-- %ps (%d) (start: %llx  end: %llx) over: %d\", (void *)REC->func, REC->depth, REC->calltime, REC->rettime, REC->overrun",
        ),
    ]
}

/// Some returns have a result and others none: then a field of each tells.
pub(super) const fn is_known_of_some(values: Values) -> bool {
    values.results > 0 && values.results < values.returns
}

fn sched() -> Format {
    let fields = vec![
        field("char", "prev_comm[16]", 16, false),
        field("pid_t", "prev_pid", 4, true),
        field("int", "prev_prio", 4, true),
        field("long", "prev_state", 8, true),
        field("char", "next_comm[16]", 16, false),
        field("pid_t", "next_pid", 4, true),
        field("int", "next_prio", 4, true),
    ];
    (
        "sched_switch",
        SWITCH,
        fields,
        "\"%s:%d ==> %s:%d\", REC->prev_comm, REC->prev_pid, REC->next_comm, REC->next_pid",
    )
}

fn format((name, id, fields, print): &Format) -> String {
    let mut text = format!("name: {name}\nID: {id}\n{COMMON}");
    let mut offset = 8;
    for (kind, field, bytes, signed) in fields {
        text += &format!(
            "\tfield:{kind} {field};\toffset:{offset};\tsize:{bytes};\tsigned:{};\n",
            u8::from(*signed)
        );
        offset += bytes;
    }
    text + &format!("\nprint fmt: {print}\n")
}

/// All that stands before the table of the cores' data. `names` are lines as of /proc/kallsyms, `tasks` as of saved_cmdlines.
pub(super) fn head(names: &str, tasks: &str, cpus: u32, values: Values) -> Vec<u8> {
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
    let events = ftrace(values);
    head.extend((events.len() as u32).to_le_bytes());
    for each in &events {
        long(&mut head, &format(each));
    }
    head.extend(1_u32.to_le_bytes());
    head.extend(b"sched\0");
    head.extend(1_u32.to_le_bytes());
    long(&mut head, &format(&sched()));
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
