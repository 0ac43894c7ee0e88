/* main.c - what holds for the whole program before the command line takes over. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    /* A peer that goes away is an error of that write, not the end of the program. */
    signal(SIGPIPE, SIG_IGN);
    tzset();
    /* Commands say what happened themselves; the server sets its own level. */
    log_set_level(LOG_ERROR);
    return cli_main(argc > 0 ? argc - 1 : 0, (const char *const *)argv + (argc > 0));
}
