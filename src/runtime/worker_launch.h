/* worker_launch.h - the first thing a worker process runs: `slipway worker launch key=value ...`.
 *
 * The server starts its own program again by posix_spawn, so none of its memory is copied; the new
 * process has one thread, puts on the sandbox and becomes the interpreter. Descriptor 3 is the
 * socket to the server: a SANDBOX frame says what holds, a FAILED frame why nothing runs.
 *
 *     sandbox=require|try|off  parent=PID  user=UID  memory=BYTES  tmp_bytes=BYTES  threads=N
 *     python=FILE  model=FOLDER  library=FOLDER  tmp=FOLDER  read=FOLDER ...  packages=FOLDER
 */
#ifndef SLIPWAY_RUNTIME_WORKER_LAUNCH_H
#define SLIPWAY_RUNTIME_WORKER_LAUNCH_H

enum { WORKER_SOCKET_FD = 3 };

/* Does not return when it works. Else the exit status. */
int worker_launch(int count, const char *const *words);

#endif
