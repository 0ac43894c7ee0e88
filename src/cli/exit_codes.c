/* exit_codes.c - what the exit status of a command means, for scripts. */
#include "cli/exit_codes.h"

const struct exit_code exit_codes[] = {
    {CLI_OK, "done"},
    {CLI_NO, "the command worked and its answer is no: rows break the contract, a contract is not "
             "compatible, doctor found something, a version fails its gate"},
    {CLI_USAGE,
     "the command line is wrong; nothing was done. Of a gate that printed its checks: it "
     "cannot tell"},
    {CLI_NOT_FOUND, "there is no such model, version, alias, key, file or folder"},
    {CLI_CONFLICT, "it is there already, has changed meanwhile, or its state forbids this"},
    {CLI_DENIED, "no key, a wrong or expired one, or one without the scope"},
    {CLI_UNREACHABLE, "nobody answers, or not in time; trying again may help"},
    {CLI_FAILED, "the server, the disk or this program failed"},
    {CLI_REFUSED, "the input was refused: a file, a value or its size"},
    {CLI_PIPE_CLOSED, "the reader of the output went away"},
    {0, NULL},
};

enum cli_exit exit_code_of(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return CLI_OK;
    case ERR_VIOLATION:
        return CLI_NO;
    case ERR_NOT_FOUND:
        return CLI_NOT_FOUND;
    case ERR_EXISTS:
    case ERR_CONFLICT:
        return CLI_CONFLICT;
    case ERR_UNAUTHORIZED:
    case ERR_DENIED:
        return CLI_DENIED;
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return CLI_UNREACHABLE;
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_UNSUPPORTED:
        return CLI_REFUSED;
    case ERR_UPSTREAM:
    case ERR_DISK_FULL:
    case ERR_CANCELLED:
    case ERR_IO:
    case ERR_INTERNAL:
        break;
    }
    return CLI_FAILED;
}
