/* grpc_describe.c - descriptors out of the schema's tables. Field numbers are those of
 * google/protobuf/descriptor.proto. */
#include "api/grpc_describe.h"

#include <stdio.h>
#include <string.h>

#include "base/protobuf.h"

enum { NAME_BYTES = 160, LABEL_OPTIONAL = 1, LABEL_REPEATED = 3 };

/* "ModelInferRequest.InferInputTensor" inside "ModelInferRequest"? `parent` NULL: at the top? */
static const char *name_inside(const char *name, const char *parent)
{
    const char *dot = strchr(name, '.');
    if (!parent)
        return dot ? NULL : name;
    size_t length = strlen(parent);
    return dot && (size_t)(dot - name) == length && memcmp(name, parent, length) == 0 ? dot + 1
                                                                                      : NULL;
}

static void put_type_name(struct buf *out, const struct schema_file *file, const char *name)
{
    char full[NAME_BYTES];
    snprintf(full, sizeof(full), ".%s.%s", file->package, name);
    pb_put_text(out, 6, full);
}

/* "parameters" -> "ParametersEntry", the message that a map's entries are. */
static const char *entry_name(const struct schema_field *field, char *out)
{
    size_t n = 0;
    bool is_first = true;
    for (const char *c = field->name; *c && n + 8 < NAME_BYTES; c++) {
        if (*c == '_')
            is_first = true;
        else
            out[n++] = is_first && *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
        is_first = *c == '_';
    }
    memcpy(out + n, "Entry", 6);
    return out;
}

static void put_field(struct buf *out, const struct schema_file *file,
                      const struct schema_message *message, const struct schema_field *field)
{
    char entry[NAME_BYTES], full[2 * NAME_BYTES];
    bool is_many = field->label == SCHEMA_MANY || field->label == SCHEMA_MAP;
    size_t mark = pb_begin(out, 2);
    pb_put_text(out, 1, field->name);
    pb_put_varint(out, 3, field->number);
    pb_put_varint(out, 4, is_many ? LABEL_REPEATED : LABEL_OPTIONAL);
    pb_put_varint(out, 5, field->type);
    if (field->label == SCHEMA_MAP) {
        snprintf(full, sizeof(full), "%s.%s", message->name, entry_name(field, entry));
        put_type_name(out, file, full);
    } else if (field->type_name) {
        put_type_name(out, file, field->type_name);
    }
    if (field->label == SCHEMA_CHOICE)
        pb_put_varint(out, 9, 0);
    pb_end(out, mark);
}

/* map<string, T>: a nested message of key and value, marked as an entry. */
static void put_entry(struct buf *out, const struct schema_file *file,
                      const struct schema_field *field)
{
    char name[NAME_BYTES];
    const struct schema_field key = {"key", 1, SCHEMA_STRING, NULL, SCHEMA_ONE};
    const struct schema_field value = {"value", 2, field->type, field->type_name, SCHEMA_ONE};
    size_t mark = pb_begin(out, 3);
    pb_put_text(out, 1, entry_name(field, name));
    put_field(out, file, NULL, &key);
    put_field(out, file, NULL, &value);
    size_t options = pb_begin(out, 7);
    pb_put_varint(out, 7, 1);
    pb_end(out, options);
    pb_end(out, mark);
}

static void put_enums(struct buf *out, uint32_t number, const struct schema_file *file,
                      const char *parent)
{
    for (const struct schema_enum *e = file->enums; e && e->name; e++) {
        const char *name = name_inside(e->name, parent);
        if (!name)
            continue;
        size_t mark = pb_begin(out, number);
        pb_put_text(out, 1, name);
        for (const struct schema_value *v = e->values; v->name; v++) {
            size_t value = pb_begin(out, 2);
            pb_put_text(out, 1, v->name);
            pb_put_varint(out, 2, v->number);
            pb_end(out, value);
        }
        pb_end(out, mark);
    }
}

static void put_fields(struct buf *out, const struct schema_file *file,
                       const struct schema_message *message)
{
    bool has_choice = false;
    for (const struct schema_field *f = message->fields; f && f->name; f++) {
        put_field(out, file, message, f);
        if (f->label == SCHEMA_MAP)
            put_entry(out, file, f);
        has_choice = has_choice || f->label == SCHEMA_CHOICE;
    }
    if (!has_choice)
        return;
    size_t mark = pb_begin(out, 8);
    pb_put_text(out, 1, "choice");
    pb_end(out, mark);
}

/* Those inside `parent`, which is one level deep at most. */
static void put_messages(struct buf *out, uint32_t number, const struct schema_file *file,
                         const char *parent)
{
    for (const struct schema_message *m = file->messages; m->name; m++) {
        const char *name = name_inside(m->name, parent);
        if (!name)
            continue;
        size_t mark = pb_begin(out, number);
        pb_put_text(out, 1, name);
        put_fields(out, file, m);
        if (!parent) {
            put_messages(out, 3, file, m->name);
            put_enums(out, 4, file, m->name);
        }
        pb_end(out, mark);
    }
}

static void put_method(struct buf *out, const struct schema_file *file,
                       const struct schema_method *method)
{
    char name[NAME_BYTES];
    size_t mark = pb_begin(out, 2);
    pb_put_text(out, 1, method->name);
    snprintf(name, sizeof(name), ".%s.%s", file->package, method->request);
    pb_put_text(out, 2, name);
    snprintf(name, sizeof(name), ".%s.%s", file->package, method->response);
    pb_put_text(out, 3, name);
    if (method->is_client_stream)
        pb_put_varint(out, 5, 1);
    if (method->is_server_stream)
        pb_put_varint(out, 6, 1);
    pb_end(out, mark);
}

void grpc_describe(const struct schema_file *file, struct buf *out)
{
    pb_put_text(out, 1, file->path);
    pb_put_text(out, 2, file->package);
    put_messages(out, 4, file, NULL);
    put_enums(out, 5, file, NULL);
    for (const struct schema_service *s = file->services; s->name; s++) {
        size_t mark = pb_begin(out, 6);
        pb_put_text(out, 1, s->name);
        for (const struct schema_method *m = s->methods; m->name; m++)
            put_method(out, file, m);
        pb_end(out, mark);
    }
    pb_put_text(out, 12, "proto3");
}
