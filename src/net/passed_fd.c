/* passed_fd.c - a file descriptor that a client of the Unix socket sends along with its bytes
 * (SCM_RIGHTS).
 *
 * libuv gathers what comes with a read. It hands descriptors out as pipes only, whatever they are:
 * such a pipe is made, its descriptor copied, and closed. One is kept, the last, until the request
 * that it came with has taken it or another one comes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "net/conn.h"

static void free_pipe(uv_handle_t *handle)
{
    free(CONTAINER_OF(handle, union passed_pipe, handle));
}

static int accept_fd(struct http_conn *conn)
{
    union passed_pipe *passed = calloc(1, sizeof(*passed));
    int theirs, fd = -1;
    if (!passed)
        abort();
    uv_pipe_init(loop_uv(conn->thread->loop), &passed->pipe, 0);
    if (uv_accept(&conn->stream, &passed->stream) == 0 && uv_fileno(&passed->handle, &theirs) == 0)
        fd = fcntl(theirs, F_DUPFD_CLOEXEC, 0);
    uv_close(&passed->handle, free_pipe);
    return fd;
}

void passed_fd_close(struct http_conn *conn)
{
    if (conn->passed_fd >= 0)
        close(conn->passed_fd);
    conn->passed_fd = -1;
}

void passed_fd_receive(struct http_conn *conn)
{
    while (uv_pipe_pending_count(&conn->pipe) > 0) {
        passed_fd_close(conn);
        conn->passed_fd = accept_fd(conn);
    }
}

int http_take_fd(struct http_exchange *x)
{
    struct http_conn *conn = x->conn;
    int fd = conn && !conn->h2 ? conn->passed_fd : -1;
    if (fd >= 0)
        conn->passed_fd = -1;
    return fd;
}
