/* progress.c - one line on a terminal's standard error that says how far a long command is. */
#include "cli/progress.h"

#include <stdio.h>

#include "base/clock.h"

enum { BAR_CELLS = 24, DRAW_EVERY_US = 100 * 1000, LINE_BYTES = 512, SHARE_MAX = 1000 };

void progress_begin(struct progress *progress, const struct terminal *terminal, const char *label,
                    const char *unit, uint64_t total)
{
    *progress = (struct progress){
        .is_on = terminal->is_err_tty,
        .label = label,
        .unit = unit,
        .total = total,
        .start_us = clock_monotonic_us(),
    };
}

static void write_bar(struct buf *out, int64_t share)
{
    buf_lit(out, "  [");
    for (int i = 0; i < BAR_CELLS; i++)
        buf_char(out, (int64_t)i * SHARE_MAX < share * BAR_CELLS ? '#' : '-');
    buf_printf(out, "] %3lld %%", (long long)(share * 100 / SHARE_MAX));
}

void progress_format(const struct progress *progress, uint64_t done, uint64_t count,
                     int64_t elapsed_us, struct buf *out)
{
    char size[TERMINAL_SIZE_BYTES];
    double seconds = (double)(elapsed_us > 0 ? elapsed_us : 1) / (double)CLOCK_SECOND_US;
    double share = progress->total ? (double)done / (double)progress->total : 0;
    share = share > 1 ? 1 : share;
    terminal_append(out, str_of(progress->label));
    if (progress->total)
        write_bar(out, (int64_t)(share * SHARE_MAX));
    if (progress->unit)
        buf_printf(out, "  %llu %s  %.0f %s/s", (unsigned long long)count, progress->unit,
                   (double)count / seconds, progress->unit);
    else
        buf_printf(out, "  %s/s", terminal_size((uint64_t)((double)done / seconds), size));
    if (share > 0) {
        long long left = (long long)(seconds * (1 - share) / share + 0.5);
        buf_printf(out, "  %lld:%02lld left", left / 60, left % 60);
    }
}

void progress_update(struct progress *progress, uint64_t done, uint64_t count)
{
    int64_t now_us = clock_monotonic_us();
    struct buf line;
    if (!progress->is_on || now_us < progress->next_us)
        return;
    progress->next_us = now_us + DRAW_EVERY_US;
    buf_init(&line, LINE_BYTES);
    buf_lit(&line, "\r\033[K");
    progress_format(progress, done, count, now_us - progress->start_us, &line);
    fwrite(line.data, 1, line.len, stderr);
    fflush(stderr);
    buf_done(&line);
}

void progress_end(struct progress *progress)
{
    if (progress->is_on)
        fputs("\r\033[K", stderr);
    progress->is_on = false;
}
