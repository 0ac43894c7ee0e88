/* table.c - rows of text in aligned columns, as wide as their widest cell. */
#include "cli/table.h"

#include "base/check.h"

enum { GAP = 2, CELL_BYTES_MAX = 64 * 1024 };

struct row {
    struct row *next;
    enum tint tint;
    const char *cells[TABLE_COLUMNS_MAX];
};

struct column {
    struct str title;
    bool is_right;
    int width;
};

struct table {
    struct arena *arena;
    struct column columns[TABLE_COLUMNS_MAX];
    int column_count, row_count, left_out;
    bool has_head;
    struct row *first, **last;
};

struct table *table_new(struct arena *arena, const char *titles)
{
    struct table *table = arena_calloc(arena, 1, sizeof(*table));
    struct str rest = str_of(titles), title;
    assert(table);
    table->arena = arena;
    table->last = &table->first;
    while (str_split(&rest, '|', &title)) {
        assert(table->column_count < TABLE_COLUMNS_MAX);
        struct column *column = &table->columns[table->column_count++];
        column->is_right = str_ends_with(title, STR_LIT(">"));
        title.len -= column->is_right;
        column->title = title;
        column->width = terminal_width(title);
        table->has_head |= title.len > 0;
    }
    return table;
}

/* Cells are cleaned here, so that widths are those of what is printed. */
static const char *clean(struct table *table, const char *text)
{
    struct buf safe;
    buf_init(&safe, CELL_BYTES_MAX);
    terminal_append(&safe, str_of(text));
    const char *copy = arena_copy(table->arena, safe.data, safe.len);
    buf_done(&safe);
    return copy ? copy : "";
}

void table_add(struct table *table, enum tint tint, ...)
{
    struct row *row = NULL;
    va_list cells;
    if (table->row_count < TABLE_ROWS_MAX)
        row = arena_calloc(table->arena, 1, sizeof(*row));
    if (!row) {
        table->left_out++;
        return;
    }
    row->tint = tint;
    va_start(cells, tint);
    for (int i = 0; i < table->column_count; i++) {
        row->cells[i] = clean(table, va_arg(cells, const char *));
        int width = terminal_width(str_of(row->cells[i]));
        if (width > table->columns[i].width)
            table->columns[i].width = width;
    }
    va_end(cells);
    *table->last = row;
    table->last = &row->next;
    table->row_count++;
}

int table_rows(const struct table *table)
{
    return table->row_count;
}

static void pad(struct buf *out, int count)
{
    for (int i = 0; i < count; i++)
        buf_char(out, ' ');
}

/* Nothing is padded behind the last cell that has text. */
static void write_row(const struct table *table, const struct str *cells, enum tint tint,
                      bool has_color, struct buf *out)
{
    int last = table->column_count - 1, space = 0;
    while (last > 0 && cells[last].len == 0)
        last--;
    for (int i = 0; i <= last; i++) {
        const struct column *column = &table->columns[i];
        int rest = column->width - terminal_width(cells[i]);
        pad(out, space + (column->is_right ? rest : 0));
        terminal_append_tinted(out, cells[i], tint, has_color);
        space = GAP + (column->is_right ? 0 : rest);
    }
    buf_char(out, '\n');
}

void table_write(const struct table *table, bool has_color, struct buf *out)
{
    struct str cells[TABLE_COLUMNS_MAX] = {{0}};
    for (int i = 0; i < table->column_count; i++)
        cells[i] = table->columns[i].title;
    if (table->has_head)
        write_row(table, cells, TINT_BOLD, has_color, out);
    for (const struct row *row = table->first; row; row = row->next) {
        for (int i = 0; i < table->column_count; i++)
            cells[i] = str_of(row->cells[i]);
        write_row(table, cells, row->tint, has_color, out);
    }
    if (table->left_out)
        buf_printf(out, "... and %d more\n", table->left_out);
}
