/* main.c - what holds for the whole program before the command line takes over. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cli/cli.h"
#include "runtime/onnx_apart.h"

int main(int argc, char **argv)
{
    /* A peer that goes away is an error of that write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    tzset();
    /* The server's own child, which tries an ONNX model; no command for people. */
    if (argc >= 2 && strcmp(argv[1], ONNX_APART_WORD) == 0)
        return onnx_apart_main(argc - 2, (const char *const *)argv + 2);
    /* Commands say what happened themselves; the server sets its own level. */
    log_set_level(LOG_ERROR);
    return cli_main(argc > 0 ? argc - 1 : 0, (const char *const *)argv + (argc > 0));
}
