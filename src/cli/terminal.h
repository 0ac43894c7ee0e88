/* terminal.h - what standard output and error are, and text as a terminal shows it. */
#ifndef SLIPWAY_CLI_TERMINAL_H
#define SLIPWAY_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct terminal {
    bool is_out_tty, is_err_tty;
    bool has_out_color, has_err_color; /* a terminal, NO_COLOR not set, TERM not "dumb" */
};

enum tint { TINT_NONE, TINT_BOLD, TINT_DIM, TINT_RED, TINT_GREEN, TINT_YELLOW };

void terminal_init(struct terminal *terminal);

/* Does a person sit there: are standard input and output a terminal? */
bool terminal_is_interactive(void);

/* Columns that UTF-8 text takes: 2 for wide East Asian letters and emoji, 0 for combining marks. */
int terminal_width(struct str text);

/* Text from elsewhere, safe to print: control bytes and what is not UTF-8 become '?', line ends
 * and tabs become spaces, so that no note can move the cursor or change a colour. */
void terminal_append(struct buf *out, struct str text);

/* The same between escape codes when `has_color`. */
void terminal_append_tinted(struct buf *out, struct str text, enum tint tint, bool has_color);

/* "2026-01-31 10:30:00" in the reader's time zone from "2026-01-31T09:30:00.123456Z"; the text
 * itself when it is no such time. `out` has TERMINAL_TIME_BYTES. */
enum { TERMINAL_TIME_BYTES = 40 };
const char *terminal_time(struct str rfc3339, char *out);

/* Its name: "UTC", "CET". `out` has TERMINAL_TIME_BYTES. */
const char *terminal_zone(char *out);

/* "12.3 MiB". `out` has TERMINAL_SIZE_BYTES. */
enum { TERMINAL_SIZE_BYTES = 32 };
const char *terminal_size(uint64_t bytes, char *out);

/* "3d 4h", "2m 5s" from seconds. `out` has TERMINAL_SIZE_BYTES. */
const char *terminal_duration(int64_t seconds, char *out);

#endif
