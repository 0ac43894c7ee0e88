/* python_folder.c - packing a Python model's folder; what a contract says need not be said again.
 */
#include "cli/python_folder.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/tar.h"
#include "cli/cli.h"
#include "contract/contract.h"
#include "runtime/python_settings.h"

bool python_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_settings(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, PYTHON_SETTINGS_FILE);
    return access(path, F_OK) == 0;
}

/* JSON is YAML. */
static void write_settings(struct buf *out, const struct contract *contract)
{
    struct json_writer w = {.out = out};
    json_begin_object(&w);
    json_key(&w, "features");
    json_begin_array(&w);
    for (int i = 0; i < contract->feature_count; i++)
        json_put_text(&w, contract->values[contract->feature_columns[i]]->name);
    json_end_array(&w);
    if (contract->prediction && contract->prediction->category_count > 1)
        json_member_i64(&w, "classes", contract->prediction->category_count);
    json_end_object(&w);
    buf_char(out, '\n');
}

static enum err_code settings_of(const char *path, struct buf *out, struct err *err)
{
    struct buf document;
    struct contract *contract = NULL;
    enum err_code rc = file_read(path, CLI_FILE_BYTES_MAX, &document, err);
    if (!rc)
        rc = contract_parse(buf_view(&document), &contract, err);
    if (!rc)
        write_settings(out, contract);
    contract_free(contract);
    buf_done(&document);
    return rc ? err_wrap(err, "%s", path) : ERR_OK;
}

enum err_code python_folder_pack(const char *folder, const char *contract, struct buf *out,
                                 struct err *err)
{
    struct buf settings;
    if (!contract || has_settings(folder))
        return tar_pack(folder, out, err);
    buf_init(&settings, PYTHON_SETTINGS_BYTES_MAX);
    enum err_code rc = settings_of(contract, &settings, err);
    const struct tar_extra extra = {PYTHON_SETTINGS_FILE, buf_view(&settings)};
    if (!rc)
        rc = tar_pack_with(folder, &extra, out, err);
    buf_done(&settings);
    return rc;
}
