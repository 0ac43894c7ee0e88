/* test_cli_manifest.c - backup.json: what it says is what is there, and nothing outside the folder.
 */
#include "cli/manifest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "test.h"

/* SHA-256 of "abc" (FIPS 180-4, appendix) and of nothing. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DATABASE "{\"path\":\"slipway.db\",\"bytes\":3,\"sha256\":\"" ABC "\"}"

static enum err_code read_text(const char *files, struct manifest *manifest, struct err *err)
{
    char text[2048];
    *err = (struct err){0};
    snprintf(text, sizeof(text), "{\"format\": 1, \"files\": [%s]}", files);
    return manifest_read(str_of(text), manifest, err);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    struct manifest manifest = {0}, again = {0};
    struct err err = {0};
    struct buf text;
    char path[MANIFEST_PATH_BYTES];
    manifest_blob_path(EMPTY, path);
    assert_string_equal(path, "blobs/e3/" EMPTY);
    manifest_add(&manifest, MANIFEST_DATABASE, 3, ABC);
    manifest_add(&manifest, path, 0, EMPTY);
    buf_init(&text, 4096);
    manifest_write(&manifest, &text);
    assert_int_equal(manifest_read(buf_view(&text), &again, &err), ERR_OK);
    assert_int_equal(again.count, 2);
    assert_string_equal(again.files[0].path, MANIFEST_DATABASE);
    assert_int_equal(again.files[0].bytes, 3);
    assert_string_equal(again.files[1].sha256, EMPTY);
    assert_int_equal(again.created_at[strlen(again.created_at) - 1], 'Z');
    buf_done(&text);
    manifest_done(&manifest);
    manifest_done(&again);
}

static void no_path_leads_out_of_the_folder(void **state)
{
    static const char *const paths[] = {
        "../slipway.db",   "/etc/passwd",   "blobs/../slipway.db", "blobs/e3/../../x",
        "blobs/00/" EMPTY, "blobs/e3/" ABC, "slipway.db/",         ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct manifest manifest = {.count = 7};
        struct err err;
        char files[1024];
        snprintf(files, sizeof(files), "%s,{\"path\":\"%s\",\"bytes\":0,\"sha256\":\"%s\"}",
                 DATABASE, paths[i], EMPTY);
        assert_int_equal(read_text(files, &manifest, &err), ERR_INVALID);
        assert_non_null(strstr(err.msg, "is no file that a backup has"));
        assert_int_equal(manifest.count, 7); /* left alone */
    }
}

static void a_manifest_names_one_store(void **state)
{
    struct manifest manifest = {0};
    struct err err;
    (void)state;
    assert_int_equal(read_text("", &manifest, &err), ERR_INVALID);
    assert_string_equal(err.msg, "backup.json: it names slipway.db 0 times");
    assert_int_equal(read_text(DATABASE "," DATABASE, &manifest, &err), ERR_INVALID);
    assert_int_equal(manifest_read(STR_LIT("[]"), &manifest, &err), ERR_INVALID);
    assert_int_equal(manifest_read(STR_LIT("{\"format\": 2, \"files\": []}"), &manifest, &err),
                     ERR_UNSUPPORTED);
    assert_int_equal(
        manifest_read(STR_LIT("{\"format\": 1, \"files\": [" DATABASE), &manifest, &err),
        ERR_INVALID);
}

static void write_at(int folder, const char *path, const char *text)
{
    int fd = openat(folder, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void damage_is_found_and_named(void **state)
{
    struct manifest manifest = {0};
    struct err err = {0};
    char folder[] = "/tmp/slipway-manifest-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    manifest_add(&manifest, MANIFEST_DATABASE, 3, ABC);
    assert_int_equal(manifest_verify(&manifest, fd, &err), ERR_NOT_FOUND);
    write_at(fd, MANIFEST_DATABASE, "abc");
    assert_int_equal(manifest_verify(&manifest, fd, &err), ERR_OK);
    write_at(fd, MANIFEST_DATABASE, "abd");
    assert_int_equal(manifest_verify(&manifest, fd, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "slipway.db is damaged"));
    write_at(fd, MANIFEST_DATABASE, "ab");
    assert_int_equal(manifest_verify(&manifest, fd, &err), ERR_IO);
    assert_string_equal(err.msg, "slipway.db has 2 bytes, backup.json says 3");
    unlinkat(fd, MANIFEST_DATABASE, 0);
    close(fd);
    rmdir(folder);
    manifest_done(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(no_path_leads_out_of_the_folder),
        cmocka_unit_test(a_manifest_names_one_store),
        cmocka_unit_test(damage_is_found_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
