/* test_grpc.c - messages of gRPC by hand: prefixes, timeouts, ModelInferRequest, descriptors. */
#include "api/grpc.h"

#include <openssl/evp.h>

#include "api/grpc_describe.h"
#include "api/grpc_tensor.h"
#include "base/check.h"
#include "test.h"

struct fixture {
    struct arena *arena;
    struct buf message;
    struct err err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->arena = arena_new(1 << 20);
    buf_init(&f->message, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_free(f->arena);
    buf_done(&f->message);
    free(f);
    return 0;
}

static void with_header(struct http_request *request, const char *name, const char *value)
{
    memset(request, 0, sizeof(*request));
    request->headers[0] = (struct http_header){str_of(name), str_of(value)};
    request->header_count = 1;
}

/* ---- prefixes ---- */

static void messages_are_found_by_their_prefix(void **state)
{
    struct fixture *f = *state;
    struct http_request request = {0};
    struct str message;
    size_t taken;
    const char bytes[] = "\0\0\0\0\3abc\0\0\0\0\0";
    for (size_t size = 0; size < 8; size++) {
        assert_int_equal(
            grpc_next(&request, (struct str){bytes, size}, 10, f->arena, &message, &taken, &f->err),
            ERR_OK);
        assert_int_equal(taken, 0);
    }
    assert_int_equal(
        grpc_next(&request, (struct str){bytes, 13}, 10, f->arena, &message, &taken, &f->err),
        ERR_OK);
    assert_int_equal(taken, 8);
    assert_true(str_equal_c(message, "abc"));
    assert_int_equal(
        grpc_next(&request, (struct str){bytes + 8, 5}, 10, f->arena, &message, &taken, &f->err),
        ERR_OK);
    assert_int_equal(taken, 5);
    assert_int_equal(message.len, 0);
}

static void wrong_prefixes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct http_request request = {0};
    struct str message;
    size_t taken;
    assert_int_equal(grpc_next(&request, (struct str){"\0\0\0\0\13", 5}, 10, f->arena, &message,
                               &taken, &f->err),
                     ERR_LIMIT); /* 11 bytes announced, 10 taken */
    assert_int_equal(grpc_next(&request, (struct str){"\2\0\0\0\1a", 6}, 10, f->arena, &message,
                               &taken, &f->err),
                     ERR_INVALID);
    assert_int_equal(grpc_next(&request, (struct str){"\1\0\0\0\1a", 6}, 10, f->arena, &message,
                               &taken, &f->err),
                     ERR_INVALID); /* compressed, but how? */
    with_header(&request, "grpc-encoding", "snappy");
    assert_int_equal(grpc_next(&request, (struct str){"\1\0\0\0\1a", 6}, 10, f->arena, &message,
                               &taken, &f->err),
                     ERR_UNSUPPORTED);
}

/* ---- packing ---- */

static enum http_coding coding_for(const char *encoding, const char *accepted)
{
    struct http_request request = {.header_count = 2};
    request.headers[0] = (struct http_header){STR_LIT("grpc-encoding"), str_of(encoding)};
    request.headers[1] = (struct http_header){STR_LIT("grpc-accept-encoding"), str_of(accepted)};
    return grpc_reply_coding(&request);
}

static void replies_are_packed_as_requests_are(void **state)
{
    (void)state;
    assert_int_equal(coding_for("gzip", "identity, deflate, gzip"), HTTP_CODING_GZIP);
    assert_int_equal(coding_for("deflate", "deflate"), HTTP_CODING_DEFLATE);
    assert_int_equal(coding_for("identity", "identity,gzip"), HTTP_CODING_IDENTITY);
    assert_int_equal(coding_for("gzip", "identity, gzippy"), HTTP_CODING_IDENTITY);
    assert_int_equal(coding_for("zstd", "zstd"), HTTP_CODING_IDENTITY);
}

static void a_packed_message_is_read_again(void **state)
{
    struct fixture *f = *state;
    struct http_request request;
    struct str message;
    size_t taken;
    char bytes[4000];
    memset(bytes, 'a', sizeof(bytes));
    buf_lit(&f->message, "before");
    size_t mark = grpc_begin(&f->message);
    buf_append(&f->message, bytes, sizeof(bytes));
    grpc_end(&f->message, mark);
    assert_false(grpc_pack(&f->message, mark, HTTP_CODING_GZIP, sizeof(bytes) + 1));
    assert_true(grpc_pack(&f->message, mark, HTTP_CODING_GZIP, sizeof(bytes)));
    assert_false(grpc_pack(&f->message, mark, HTTP_CODING_GZIP, 0)); /* it is already */
    assert_true(f->message.len < 200);
    with_header(&request, "grpc-encoding", "gzip");
    struct str packed = {f->message.data + mark, f->message.len - mark};
    assert_int_equal(
        grpc_next(&request, packed, sizeof(bytes), f->arena, &message, &taken, &f->err), ERR_OK);
    assert_int_equal(taken, packed.len);
    assert_true(str_equal(message, (struct str){bytes, sizeof(bytes)}));
}

static void times_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
        enum err_code rc;
    } cases[] = {
        {"1H", 3600000000, ERR_OK},
        {"2M", 120000000, ERR_OK},
        {"3S", 3000000, ERR_OK},
        {"100m", 100000, ERR_OK},
        {"7u", 7, ERR_OK},
        {"1001n", 2, ERR_OK},
        {"0m", 0, ERR_TIMEOUT},
        {"99999999H", 359999996400000000, ERR_OK},
        {"1", 0, ERR_INVALID},
        {"m", 0, ERR_INVALID},
        {"", 0, ERR_INVALID},
        {"-1m", 0, ERR_INVALID},
        {"123456789m", 0, ERR_INVALID},
        {"1x", 0, ERR_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_request request;
        struct err err = {0};
        int64_t us = -1;
        with_header(&request, "grpc-timeout", cases[i].text);
        assert_int_equal(grpc_timeout(&request, &us, &err), cases[i].rc);
        if (!cases[i].rc)
            assert_int_equal(us, cases[i].us);
    }
}

/* ---- statuses ---- */

static void errors_are_statuses_in_trailers(void **state)
{
    struct http_response response = {0};
    struct err err = {0};
    (void)state;
    buf_init(&response.trailers, 4096);
    err_set(&err, ERR_NOT_FOUND, "100%% of \xc3\xa4 is gone");
    grpc_put_error(&response, &err, NULL);
    assert_string_equal(buf_c(&response.trailers),
                        "grpc-status: 5\r\ngrpc-message: 100%25 of %C3%A4 is gone\r\n");
    grpc_put_ok(&response);
    assert_string_equal(buf_c(&response.trailers), "grpc-status: 0\r\n");
    buf_done(&response.trailers);
}

/* ---- requests ---- */

static void put_input(struct buf *out, const char *name, const char *datatype, int64_t rows,
                      int64_t columns, struct str contents)
{
    size_t mark = pb_begin(out, 5);
    pb_put_text(out, 1, name);
    pb_put_text(out, 2, datatype);
    pb_put_varint(out, 3, (uint64_t)rows); /* unpacked is allowed, too */
    pb_put_varint(out, 3, (uint64_t)columns);
    if (contents.len)
        pb_put_bytes(out, 5, contents);
    pb_end(out, mark);
}

static enum err_code read(struct fixture *f, struct grpc_infer *infer)
{
    return grpc_read_infer(buf_view(&f->message), f->arena, infer, &f->err);
}

static void raw_contents_stay_where_they_are(void **state)
{
    struct fixture *f = *state;
    struct grpc_infer infer;
    const float values[4] = {1, -2, 0.5f, 3};
    pb_put_text(&f->message, 1, "churn");
    pb_put_text(&f->message, 2, "7");
    pb_put_text(&f->message, 3, "my-id");
    put_input(&f->message, "x", "FP32", 2, 2, (struct str){0});
    pb_put_bytes(&f->message, 7, (struct str){(const char *)values, sizeof(values)});
    assert_int_equal(read(f, &infer), ERR_OK);
    assert_true(infer.is_raw);
    assert_true(str_equal_c(infer.model, "churn"));
    assert_true(str_equal_c(infer.version, "7"));
    assert_true(str_equal_c(infer.oip.id, "my-id"));
    assert_int_equal(infer.oip.input_count, 1);
    const struct oip_input *input = &infer.oip.inputs[0];
    assert_int_equal(input->rank, 2);
    assert_int_equal(input->element_count, 4);
    assert_int_equal(input->binary.len, 16);
    assert_memory_equal(input->binary.ptr, values, 16);
    assert_in_range((uintptr_t)input->binary.ptr, (uintptr_t)f->message.data,
                    (uintptr_t)f->message.data + f->message.len);
}

/* -2 as int_contents is the ten bytes of a 64-bit varint; in memory it is one byte, 0xfe. */
static void typed_contents_become_the_binary_form(void **state)
{
    struct fixture *f = *state;
    struct grpc_infer infer;
    struct buf contents;
    buf_init(&contents, 4096);
    pb_put_varint(&contents, 2, (uint64_t)-2);
    size_t packed = pb_begin(&contents, 2);
    pb_append_varint(&contents, 127);
    pb_end(&contents, packed);
    put_input(&f->message, "small", "INT8", 2, 1, buf_view(&contents));
    buf_clear(&contents);
    pb_put_text(&contents, 8, "ab");
    pb_put_text(&contents, 8, "");
    put_input(&f->message, "texts", "BYTES", 1, 2, buf_view(&contents));
    buf_clear(&contents);
    pb_put_f64(&contents, 7, 2.5);
    put_input(&f->message, "wide", "FP64", 1, 1, buf_view(&contents));
    buf_clear(&contents);
    pb_put_varint(&contents, 1, 1);
    put_input(&f->message, "yes", "BOOL", 1, 1, buf_view(&contents));
    buf_done(&contents);
    if (read(f, &infer))
        fail_msg("%s", f->err.msg);
    assert_false(infer.is_raw);
    assert_int_equal(infer.oip.input_count, 4);
    assert_memory_equal(infer.oip.inputs[0].binary.ptr, "\xfe\x7f", 2);
    assert_int_equal(infer.oip.inputs[1].binary.len, 10);
    assert_memory_equal(infer.oip.inputs[1].binary.ptr, "\2\0\0\0ab\0\0\0\0", 10);
    assert_memory_equal(infer.oip.inputs[2].binary.ptr, "\0\0\0\0\0\0\4\x40", 8); /* 2.5 */
    assert_memory_equal(infer.oip.inputs[3].binary.ptr, "\1", 1);
}

static void parameters_are_found_as_rest_has_them(void **state)
{
    struct fixture *f = *state;
    struct grpc_infer infer;
    size_t entry = pb_begin(&f->message, 4);
    pb_put_text(&f->message, 1, "user");
    size_t value = pb_begin(&f->message, 2);
    pb_put_text(&f->message, 3, "u\"1");
    pb_end(&f->message, value);
    pb_end(&f->message, entry);
    entry = pb_begin(&f->message, 4);
    pb_put_text(&f->message, 1, "priority");
    value = pb_begin(&f->message, 2);
    pb_put_varint(&f->message, 2, 3);
    pb_end(&f->message, value);
    pb_end(&f->message, entry);
    put_input(&f->message, "x", "FP32", 0, 2, (struct str){0});
    assert_int_equal(read(f, &infer), ERR_OK);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(infer.oip.parameters, "user")), "u\"1");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(infer.oip.parameters, "priority")), 3);
}

static void expect_refused(struct fixture *f, const char *part)
{
    struct grpc_infer infer;
    enum err_code rc = read(f, &infer);
    if ((rc != ERR_INVALID && rc != ERR_LIMIT && rc != ERR_UNSUPPORTED) ||
        !strstr(f->err.msg, part))
        fail_msg("expected '%s', got %d: %s", part, rc, f->err.msg);
    buf_clear(&f->message);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct fixture *f = *state;
    expect_refused(f, "no inputs");
    put_input(&f->message, "x", "FP31", 1, 1, (struct str){0});
    expect_refused(f, "datatype 'FP31' does not exist");
    put_input(&f->message, "x", "FP32", -1, 1, (struct str){0});
    expect_refused(f, "dimension 0 must be");
    put_input(&f->message, "x", "FP32", INT64_MAX, 2, (struct str){0});
    expect_refused(f, "total element count");
    put_input(&f->message, "x", "FP32", 1, 1, (struct str){0});
    expect_refused(f, "0 elements in fp32_contents, expected 1");
    put_input(&f->message, "x", "FP32", 1, 1, (struct str){"\x08\x01", 2});
    expect_refused(f, "in fp32_contents, got bool_contents");
    put_input(&f->message, "x", "FP16", 1, 1, (struct str){"\x08\x01", 2});
    expect_refused(f, "no typed contents");
    put_input(&f->message, "x", "UINT8", 1, 1, (struct str){"\x20\x80\x02", 3}); /* 256 */
    expect_refused(f, "element 256 is no UINT8");
    put_input(&f->message, "x", "FP32", 1, 1, (struct str){"\x32\x04\0\0\0\0", 6});
    pb_put_bytes(&f->message, 7, (struct str){"\0\0\0\0", 4});
    expect_refused(f, "must not be specified when using raw_input_contents");
    put_input(&f->message, "x", "FP32", 1, 1, (struct str){0});
    pb_put_bytes(&f->message, 7, (struct str){"\0\0\0", 3});
    expect_refused(f, "expected 4, got 3");
    put_input(&f->message, "x", "FP32", 1, 1, (struct str){0});
    put_input(&f->message, "y", "FP32", 1, 1, (struct str){0});
    pb_put_bytes(&f->message, 7, (struct str){"\0\0\0\0", 4});
    expect_refused(f, "expected 2 raw_input_contents");
    buf_lit(&f->message, "\x0a\x7f");
    expect_refused(f, "cannot be read");
}

/* ---- descriptors ---- */

/* Every type name that a field or a method has must be defined in its file. */
static void descriptors_name_what_there_is(void **state)
{
    (void)state;
    for (const struct schema_file *file = schema_files; file->path; file++) {
        char name[256];
        assert_ptr_equal(schema_find_path(str_of(file->path)), file);
        for (const struct schema_message *m = file->messages; m->name; m++)
            for (const struct schema_field *field = m->fields; field && field->name; field++) {
                if (!field->type_name)
                    continue;
                snprintf(name, sizeof(name), "%s.%s", file->package, field->type_name);
                assert_ptr_equal(schema_find_symbol(str_of(name)), file);
            }
        struct buf out;
        buf_init(&out, 1 << 16);
        grpc_describe(file, &out);
        assert_false(out.is_full);
        struct pb_reader r = pb_read(buf_view(&out));
        struct pb_field f;
        int message_count = 0;
        while (pb_next(&r, &f))
            message_count += f.number == 4;
        assert_null(r.problem);
        assert_true(message_count > 0);
        buf_done(&out);
    }
    assert_non_null(schema_find_symbol(STR_LIT("inference.GRPCInferenceService.ModelInfer")));
    assert_null(schema_find_symbol(STR_LIT("inference.GRPCInferenceService.ModelInfe")));
    assert_null(schema_find_symbol(STR_LIT("inference")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(messages_are_found_by_their_prefix),
        TEST(wrong_prefixes_are_refused),
        TEST(replies_are_packed_as_requests_are),
        TEST(a_packed_message_is_read_again),
        TEST(times_have_units),
        TEST(errors_are_statuses_in_trailers),
        TEST(raw_contents_stay_where_they_are),
        TEST(typed_contents_become_the_binary_form),
        TEST(parameters_are_found_as_rest_has_them),
        TEST(what_does_not_fit_is_refused),
        TEST(descriptors_name_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
