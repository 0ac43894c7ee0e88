/* linear_program.c - making a program: registers, steps, sorted keys. */
#include "runtime/linear_program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

size_t linear_type_bytes(enum linear_type type)
{
    static const size_t bytes[] = {sizeof(float), sizeof(int64_t), sizeof(struct str)};
    return bytes[type];
}

enum err_code linear_builder_init(struct linear_builder *b, int registers, int steps)
{
    struct linear_program *p = arena_calloc(b->keep, 1, sizeof(*p));
    if (registers > LINEAR_REGISTERS_MAX)
        return err_set(b->err, ERR_LIMIT, "the model has more than %d intermediate results",
                       LINEAR_REGISTERS_MAX);
    if (p) {
        p->registers = arena_calloc(b->keep, (size_t)registers, sizeof(*p->registers));
        p->steps = arena_calloc(b->keep, (size_t)steps, sizeof(*p->steps));
    }
    if (!p || !p->registers || !p->steps)
        return err_set(b->err, ERR_LIMIT, "no room for the model");
    b->program = p;
    b->register_room = registers;
    b->step_room = steps;
    return ERR_OK;
}

int linear_add_register(struct linear_builder *b, enum linear_type type, int64_t width)
{
    struct linear_program *p = b->program;
    if (p->register_count == b->register_room || width < 1 || width > LINEAR_WIDTH_MAX)
        return -1;
    p->row_bytes += (size_t)width * linear_type_bytes(type);
    if (p->row_bytes > LINEAR_ROW_BYTES_MAX)
        return -1;
    p->registers[p->register_count] = (struct linear_register){.type = type, .width = (int)width};
    return p->register_count++;
}

struct linear_step *linear_add_step(struct linear_builder *b, enum linear_kind kind, int in,
                                    int out)
{
    struct linear_program *p = b->program;
    int *list = arena_calloc(b->keep, 1, sizeof(*list));
    if (p->step_count == b->step_room || !list || in < 0 || out < 0)
        return NULL;
    *list = in;
    struct linear_step *step = &p->steps[p->step_count++];
    *step =
        (struct linear_step){.kind = kind, .in_count = 1, .in = list, .out = out, .classes = -1};
    return step;
}

struct str linear_keep_text(struct linear_builder *b, struct str text)
{
    if (!str_is_utf8(text))
        return (struct str){0};
    char *copy = arena_copy(b->keep, text.ptr, text.len);
    return (struct str){copy, copy ? text.len : 0};
}

void linear_free_trees(struct linear_program *program)
{
    for (int i = 0; program && i < program->step_count; i++)
        if (program->steps[i].trees)
            free(program->steps[i].trees->built);
}

/* --- keys ------------------------------------------------------------------------------------ */

/* One key of any type and where it was. */
struct key {
    double number;
    int64_t whole;
    struct str text;
    int place;
};

static int compare_texts(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->text.ptr || y->text.ptr)
        return compare_texts(x->text, y->text);
    if (x->whole != y->whole)
        return x->whole < y->whole ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

/* NaN stands apart: it has no order. */
static int gather_keys(enum linear_type type, const void *keys, int count, struct key *out,
                       int *nan_place)
{
    int kept = 0;
    *nan_place = -1;
    for (int i = 0; i < count; i++) {
        struct key key = {.place = i};
        if (type == LINEAR_FLOAT)
            key.number = (double)((const float *)keys)[i];
        else if (type == LINEAR_INT)
            key.whole = ((const int64_t *)keys)[i];
        else
            key.text = ((const struct str *)keys)[i];
        if (isnan(key.number))
            *nan_place = i;
        else
            out[kept++] = key;
    }
    return kept;
}

static bool store_keys(struct linear_builder *b, const struct key *keys, struct linear_keys *out)
{
    size_t count = (size_t)out->count;
    float *floats = arena_calloc(b->keep, count, sizeof(*floats));
    int64_t *ints = arena_calloc(b->keep, count, sizeof(*ints));
    struct str *texts = arena_calloc(b->keep, count, sizeof(*texts));
    int *places = arena_calloc(b->keep, count, sizeof(*places));
    if (!floats || !ints || !texts || !places)
        return false;
    for (size_t i = 0; i < count; i++) {
        floats[i] = (float)keys[i].number;
        ints[i] = keys[i].whole;
        places[i] = keys[i].place;
        if (out->type == LINEAR_TEXT)
            texts[i] = linear_keep_text(b, keys[i].text);
        if (out->type == LINEAR_TEXT && !texts[i].ptr)
            return false;
    }
    out->floats = floats;
    out->ints = ints;
    out->texts = texts;
    out->places = places;
    return true;
}

bool linear_make_keys(struct linear_builder *b, enum linear_type type, const void *keys, int count,
                      struct linear_keys *out)
{
    struct key *sorted = arena_calloc(b->arena, (size_t)count, sizeof(*sorted));
    *out = (struct linear_keys){.type = type};
    if (!sorted)
        return false;
    out->count = gather_keys(type, keys, count, sorted, &out->nan_place);
    qsort(sorted, (size_t)out->count, sizeof(*sorted), compare_keys);
    for (int i = 1; i < out->count; i++)
        if (compare_keys(&sorted[i - 1], &sorted[i]) == 0)
            return false;
    return store_keys(b, sorted, out);
}

int linear_find_float(const struct linear_keys *keys, float key)
{
    int low = 0, high = keys->count;
    if (isnan(key))
        return keys->nan_place;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (keys->floats[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < keys->count && keys->floats[low] == key ? keys->places[low] : -1;
}

int linear_find_int(const struct linear_keys *keys, int64_t key)
{
    int low = 0, high = keys->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (keys->ints[middle] < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < keys->count && keys->ints[low] == key ? keys->places[low] : -1;
}

int linear_find_text(const struct linear_keys *keys, struct str key)
{
    int low = 0, high = keys->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_texts(keys->texts[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < keys->count && str_equal(keys->texts[low], key) ? keys->places[low] : -1;
}
