/* A worker process: control messages on stdin and stdout, ranks as threads. */
#ifndef DSTRAIN_RUNTIME_WORKER_H
#define DSTRAIN_RUNTIME_WORKER_H

/* Serves the orchestrator at the other end of `in` and `out` until it closes `in` or says ABORT.
 * Does not return: ends the process, all threads with it. 0: its ranks had ended before; 1 else. */
_Noreturn void worker_main(int in, int out);

#endif
