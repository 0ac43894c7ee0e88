/* test_option.c - four sources in order, every value checked, errors that say where. */
#include "base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "test.h"

static char config_path[] = "/tmp/slipway-test-option-XXXXXX";

static int make_config(void **state)
{
    (void)state;
    int fd = mkstemp(config_path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_config(void **state)
{
    (void)state;
    return unlink(config_path);
}

static void write_config(const char *text)
{
    FILE *file = fopen(config_path, "w");
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static int count_of(const char *const *words)
{
    int count = 0;
    while (words && words[count])
        count++;
    return count;
}

static void assert_loads(struct options *options, const char *const *argv,
                         const char *const *environment)
{
    struct err err;
    options_init(options);
    if (options_load(options, count_of(argv), argv, environment, &err))
        fail_msg("%s", err.msg);
}

static void assert_refused(const char *const *argv, const char *const *environment,
                           const char *message, const char *hint)
{
    struct options options;
    struct err err = {0};
    options_init(&options);
    assert_int_equal(options_load(&options, count_of(argv), argv, environment, &err), ERR_INVALID);
    assert_string_equal(err.msg, message);
    assert_string_equal(err.hint, hint);
    options_done(&options);
}

static void defaults_are_those_of_the_rows(void **state)
{
    (void)state;
    struct options o;
    assert_loads(&o, NULL, NULL);
    assert_string_equal(o.data_dir, "./slipway-data");
    assert_int_equal(o.listen.count, 1);
    assert_string_equal(o.listen.items[0], "127.0.0.1:8080");
    assert_int_equal(o.http_body_bytes_max, 16 * 1024 * 1024);
    assert_int_equal(o.http_head_timeout_ms, 10000);
    assert_int_equal(o.http_idle_timeout_ms, 75000);
    assert_int_equal(o.log_level, LOG_INFO);
    assert_false(o.behind_proxy);
    assert_int_equal(o.allowed_hosts.count, 0);
    for (int i = 0; i < OPTION_COUNT; i++)
        assert_int_equal(o.source[i], OPTION_BY_DEFAULT);
    options_done(&o);
}

static void later_sources_win(void **state)
{
    (void)state;
    struct options o;
    write_config("data_dir: /file\nhttp_chunks_max: 7\nhttp_pipeline_max: 7\nlog_level: warn\n");
    assert_loads(&o, ARGS("--config", config_path, "--data-dir=/flag"),
                 ARGS("SLIPWAY_DATA_DIR=/env", "SLIPWAY_HTTP_PIPELINE_MAX=8", "PATH=/bin"));
    assert_string_equal(o.data_dir, "/flag");
    assert_int_equal(o.source[OPTION_ID_data_dir], OPTION_BY_FLAG);
    assert_int_equal(o.http_pipeline_max, 8);
    assert_int_equal(o.source[OPTION_ID_http_pipeline_max], OPTION_BY_ENVIRONMENT);
    assert_int_equal(o.http_chunks_max, 7);
    assert_int_equal(o.source[OPTION_ID_http_chunks_max], OPTION_BY_FILE);
    assert_int_equal(o.log_level, LOG_WARN);
    options_done(&o);
}

static void the_files_name_may_come_from_the_environment(void **state)
{
    (void)state;
    struct options o;
    char variable[100];
    write_config("http_chunks_max: 7\n");
    snprintf(variable, sizeof(variable), "SLIPWAY_CONFIG=%s", config_path);
    assert_loads(&o, NULL, ARGS(variable));
    assert_int_equal(o.http_chunks_max, 7);
    options_done(&o);
}

static void a_file_holds_every_type(void **state)
{
    (void)state;
    struct options o;
    write_config("listen: [\"127.0.0.1:1\", '[::1]:2']\nallowed_hosts: a, b\nbehind_proxy: yes\n"
                 "http_body_bytes_max: 1M\nhttp_head_bytes_max: 2048\nhttp_head_timeout_ms: 1500\n"
                 "drain_timeout_ms: 2m\ntls_cert: /c\n\"tls_key\": /k\ndata-threads: 3\n"
                 "worker_threads: null\n");
    assert_loads(&o, ARGS("--config", config_path), NULL);
    assert_int_equal(o.listen.count, 2);
    assert_string_equal(o.listen.items[1], "[::1]:2");
    assert_int_equal(o.allowed_hosts.count, 2);
    assert_string_equal(o.allowed_hosts.items[1], "b");
    assert_true(o.behind_proxy);
    assert_int_equal(o.http_body_bytes_max, 1048576);
    assert_int_equal(o.http_head_bytes_max, 2048);
    assert_int_equal(o.http_head_timeout_ms, 1500);
    assert_int_equal(o.drain_timeout_ms, 120000);
    assert_string_equal(o.tls_key, "/k");
    assert_int_equal(o.data_threads, 3);
    assert_int_equal(o.worker_threads, 2); /* null leaves it alone */
    options_done(&o);
}

static void flags_take_their_value_in_both_forms(void **state)
{
    (void)state;
    struct options o;
    assert_loads(&o,
                 ARGS("--listen", "127.0.0.1:1", "--behind-proxy", "--listen=127.0.0.1:2,[::1]:3",
                      "--data", "/short", "--unix", "/s"),
                 ARGS("SLIPWAY_LISTEN=10.0.0.1:9"));
    assert_int_equal(o.listen.count, 3); /* several flags add up; the environment's list is gone */
    assert_string_equal(o.listen.items[0], "127.0.0.1:1");
    assert_string_equal(o.listen.items[2], "[::1]:3");
    assert_true(o.behind_proxy);
    assert_string_equal(o.data_dir, "/short");
    assert_string_equal(o.unix_socket, "/s");
    options_done(&o);
    assert_loads(&o, ARGS("--no-behind-proxy", "--log-prediction-errors=off"),
                 ARGS("SLIPWAY_BEHIND_PROXY=true", "SLIPWAY_LOG_PREDICTION_ERRORS=1"));
    assert_false(o.behind_proxy);
    assert_false(o.log_prediction_errors);
    options_done(&o);
}

static void a_flag_of_somebody_else_is_left_to_them(void **state)
{
    (void)state;
    struct options o;
    struct err err;
    int used = -1;
    options_init(&o);
    assert_int_equal(options_take_flag(&o, 2, ARGS("--json", "x"), &used, &err), ERR_OK);
    assert_int_equal(used, 0);
    assert_int_equal(options_take_flag(&o, 1, ARGS("churn"), &used, &err), ERR_OK);
    assert_int_equal(used, 0);
    assert_int_equal(options_take_flag(&o, 2, ARGS("--data", "/x"), &used, &err), ERR_OK);
    assert_int_equal(used, 2);
    assert_int_equal(options_take_flag(&o, 2, ARGS("--data=/x", "y"), &used, &err), ERR_OK);
    assert_int_equal(used, 1);
    assert_int_equal(options_take_flag(&o, 1, ARGS("--data"), &used, &err), ERR_INVALID);
    options_done(&o);
}

static void wrong_values_are_named_with_their_place(void **state)
{
    (void)state;
    assert_refused(ARGS("--data-threads", "65"), NULL,
                   "flag --data-threads: got '65', expected a whole number from 0 to 64",
                   "data_threads: Threads that answer requests; 0 means one per core, at most 64.");
    assert_refused(NULL, ARGS("SLIPWAY_HTTP_HEAD_BYTES_MAX=2T"),
                   "environment SLIPWAY_HTTP_HEAD_BYTES_MAX: got '2T', expected a size from 1K to "
                   "1M (bytes; also K, M, G)",
                   "http_head_bytes_max: Largest request line and headers accepted.");
    write_config("# mine\n\nhttp_head_timeout_ms: 2h\n");
    char message[300];
    snprintf(message, sizeof(message),
             "%s line 3: http_head_timeout_ms: got '2h', expected a duration from 1ms to 1h (ms; "
             "also s, m, h)",
             config_path);
    assert_refused(ARGS("--config", config_path), NULL, message,
                   "http_head_timeout_ms: Time a client has to send the whole head of a request.");
    assert_refused(ARGS("--log-level", "loud"), NULL,
                   "flag --log-level: got 'loud', expected one of error, warn, info, debug",
                   "log_level: Least important log lines written.");
    assert_refused(ARGS("--behind-proxy=maybe"), NULL,
                   "flag --behind-proxy: got 'maybe', expected true or false",
                   "behind_proxy: A proxy in front ends TLS, so other addresses than loopback may "
                   "be served without it.");
}

static void each_type_refuses_what_it_is_not(void **state)
{
    static const char *const words[] = {"--data-threads=-1",
                                        "--data-threads=1.5",
                                        "--data-threads=",
                                        "--http-head-bytes-max=-1K",
                                        "--http-head-bytes-max=1023",
                                        "--http-head-bytes-max=99999999999999999999",
                                        "--drain-timeout-ms=1w",
                                        "--drain-timeout-ms=-1s",
                                        "--drain-timeout-ms=9223372036854775807h",
                                        "--drain-timeout-ms=s",
                                        "--data-dir=",
                                        "--data-dir=a\nb",
                                        "--listen=",
                                        "--listen=a,,b",
                                        "--listen=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct options o;
        struct err err;
        options_init(&o);
        assert_int_equal(options_load(&o, 1, &words[i], NULL, &err), ERR_INVALID);
        assert_int_equal(strncmp(err.msg, "flag --", 7), 0);
        options_done(&o);
    }
}

static void unknown_names_get_the_nearest(void **state)
{
    (void)state;
    assert_refused(ARGS("--listn", "x"), NULL, "there is no flag '--listn'",
                   "did you mean --listen?");
    assert_refused(ARGS("--zzzzzz"), NULL, "there is no flag '--zzzzzz'",
                   "list the flags with: slipway serve --help");
    assert_refused(ARGS("listen"), NULL, "'listen' is no flag; flags begin with --", "");
    assert_refused(NULL, ARGS("SLIPWAY_DATA_DRI=/x"),
                   "environment SLIPWAY_DATA_DRI: there is no such option",
                   "did you mean the option data_dir?");
    write_config("http_body_byte_max: 1M\n");
    char message[200];
    snprintf(message, sizeof(message), "%s line 1: http_body_byte_max: there is no such option",
             config_path);
    assert_refused(ARGS("--config", config_path), NULL, message,
                   "did you mean http_body_bytes_max?");
}

static void other_variables_are_left_alone(void **state)
{
    (void)state;
    struct options o;
    assert_loads(&o, NULL,
                 ARGS("SLIPWAY_KEY=secret", "SLIPWAY_SERVER=x", "SLIPWAY_DATA_DIR=", "SLIPWAY_",
                      "SLIPWAY", "=", "SLIPWAYS_LISTEN=x"));
    assert_string_equal(o.data_dir, "./slipway-data"); /* empty counts as unset */
    options_done(&o);
}

static void files_that_are_no_options_are_refused(void **state)
{
    (void)state;
    char message[200];
    write_config("- a\n- b\n");
    snprintf(message, sizeof(message), "%s: expected a mapping of options to values", config_path);
    assert_refused(ARGS("--config", config_path), NULL, message, "");
    write_config("data_dir: {a: 1}\n");
    snprintf(message, sizeof(message), "%s line 1: data_dir: expected one value or a list of them",
             config_path);
    assert_refused(ARGS("--config", config_path), NULL, message, "");
    write_config("data_dir: /a\ndata_dir: /b\n");
    snprintf(message, sizeof(message),
             "%s: line 2, column 1: key 'data_dir' a second time; the first is on line 1",
             config_path);
    assert_refused(ARGS("--config", config_path), NULL, message, "");
    assert_refused(ARGS("--config"), NULL, "flag --config needs a value", "");
}

static void a_certificate_needs_its_key(void **state)
{
    (void)state;
    assert_refused(ARGS("--tls-cert", "/c"), NULL, "tls_cert is set without tls_key",
                   "TLS needs both, each the path of a PEM file");
    assert_refused(ARGS("--tls-key", "/k"), NULL, "tls_key is set without tls_cert",
                   "TLS needs both, each the path of a PEM file");
}

/* Formatted, every value is text that its own option reads as the same value. */
static void values_are_written_as_they_are_read(void **state)
{
    (void)state;
    struct options o;
    struct buf out;
    buf_init(&out, 1000);
    assert_loads(&o,
                 ARGS("--listen=a:1,b:2", "--http-head-bytes-max=1025", "--behind-proxy",
                      "--drain-timeout-ms=90s", "--log-level=DEBUG"),
                 NULL);
    option_format(&o, option_find(STR_LIT("listen")), &out);
    buf_char(&out, ' ');
    option_format(&o, option_find(STR_LIT("http_head_bytes_max")), &out);
    buf_char(&out, ' ');
    option_format(&o, option_find(STR_LIT("http-body-bytes-max")), &out);
    buf_char(&out, ' ');
    option_format(&o, option_find(STR_LIT("behind_proxy")), &out);
    buf_char(&out, ' ');
    option_format(&o, option_find(STR_LIT("drain_timeout_ms")), &out);
    buf_char(&out, ' ');
    option_format(&o, option_find(STR_LIT("log_level")), &out);
    assert_string_equal(buf_c(&out), "a:1,b:2 1025 16M true 90s debug");
    buf_done(&out);
    options_done(&o);
}

/* The sample with every '#' taken away from in front of a name is the defaults. */
static void the_sample_file_is_the_defaults(void **state)
{
    (void)state;
    struct buf sample, active;
    struct str rest, line;
    buf_init(&sample, 1 << 20);
    buf_init(&active, 1 << 20);
    options_sample_yaml(&sample);
    struct options o;
    write_config(buf_c(&sample)); /* as it is: all commented out, which is no error */
    assert_loads(&o, ARGS("--config", config_path), NULL);
    options_done(&o);
    for (rest = buf_view(&sample); str_split(&rest, '\n', &line); buf_char(&active, '\n')) {
        bool is_value = line.len > 1 && line.ptr[0] == '#' && line.ptr[1] != ' ';
        buf_append(&active, line.ptr + is_value, line.len - is_value);
    }
    write_config(buf_c(&active));
    assert_loads(&o, ARGS("--config", config_path), NULL);
    for (int i = 0; i < OPTION_COUNT; i++) {
        buf_clear(&sample);
        option_format(&o, &option_table[i], &sample);
        assert_int_equal(o.source[i], OPTION_BY_FILE);
        assert_string_equal(buf_c(&sample), option_table[i].preset);
    }
    options_done(&o);
    buf_done(&sample);
    buf_done(&active);
}

/* One sentence: a capital, a period at the end and nowhere before a space. */
static void every_row_is_told_about_in_one_sentence(void **state)
{
    (void)state;
    struct buf help, reference;
    buf_init(&help, 1 << 20);
    buf_init(&reference, 1 << 20);
    options_help(&help);
    options_reference(&reference);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const char *text = option_table[i].help;
        assert_true(text[0] >= 'A' && text[0] <= 'Z');
        assert_int_equal(text[strlen(text) - 1], '.');
        assert_null(strstr(text, ". "));
        assert_non_null(strstr(buf_c(&help), text));
        assert_non_null(strstr(buf_c(&reference), text));
    }
    buf_done(&help);
    buf_done(&reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_rows),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(the_files_name_may_come_from_the_environment),
        cmocka_unit_test(a_file_holds_every_type),
        cmocka_unit_test(flags_take_their_value_in_both_forms),
        cmocka_unit_test(a_flag_of_somebody_else_is_left_to_them),
        cmocka_unit_test(wrong_values_are_named_with_their_place),
        cmocka_unit_test(each_type_refuses_what_it_is_not),
        cmocka_unit_test(unknown_names_get_the_nearest),
        cmocka_unit_test(other_variables_are_left_alone),
        cmocka_unit_test(files_that_are_no_options_are_refused),
        cmocka_unit_test(a_certificate_needs_its_key),
        cmocka_unit_test(values_are_written_as_they_are_read),
        cmocka_unit_test(the_sample_file_is_the_defaults),
        cmocka_unit_test(every_row_is_told_about_in_one_sentence),
    };
    return cmocka_run_group_tests(tests, make_config, remove_config);
}
