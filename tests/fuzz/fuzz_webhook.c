/* fuzz_webhook.c - a file of webhooks of any bytes: receivers that can be asked, or an error. */
#include "base/check.h"
#include "event/webhook.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct webhook_file *file = NULL;
    struct err err = {0};
    if (webhook_file_read((struct str){(const char *)data, size}, "input", &file, &err)) {
        assert(err.code && err.msg[0] && !file);
        return 0;
    }
    for (int i = 0; i < file->count; i++) {
        assert(file->webhooks[i].target[0] == '/' && file->webhooks[i].origin[0]);
        webhook_wants(&file->webhooks[i], "alert.open");
    }
    webhook_file_free(file);
    return 0;
}
