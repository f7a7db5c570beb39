/*
 * All return handlers in one range: an address in it is a hijacked return (src/return_stack.rs, the region's header).
 */
    .section .text.ftrace_notrace.asm, "ax", %progbits
    .balign 64
    .global ftrace_return_handlers
ftrace_return_handlers:
    FTRACE_RETURN_TO_PROFILE ftrace_return_to_profile_lse, 1
    FTRACE_RETURN_TO_PROFILE ftrace_return_to_profile_llsc, 0
    FTRACE_RETURN_TO_GRAPH ftrace_return_to_graph, 0, 0
    FTRACE_RETURN_TO_GRAPH ftrace_return_to_graph_lse, 1, 0
    FTRACE_RETURN_TO_GRAPH ftrace_return_to_graph_stop, 0, 1
    FTRACE_RETURN_TO_GRAPH ftrace_return_to_graph_stop_lse, 1, 1
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_more, 0, 0
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_more_lse, 1, 0
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_more_stop, 0, 1
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_more_stop_lse, 1, 1
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_long, 0, 0, long=1
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_long_lse, 1, 0, long=1
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_long_stop, 0, 1, long=1
    FTRACE_RETURN_TO_GRAPH_MORE ftrace_return_to_graph_long_stop_lse, 1, 1, long=1
    FTRACE_RETURN_TO_GRAPH_MARK ftrace_return_to_graph_mark
    FTRACE_RETURN_TO_FPROBE ftrace_return_to_fprobe
    .global ftrace_return_handlers_end
ftrace_return_handlers_end:
