/* fuzz_alert_rules.c - a file of alert rules of any bytes: rules that can be asked, or an error. */
#include "base/check.h"
#include "monitor/alert_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct alert_rules *rules = NULL;
    struct err err = {0};
    struct buf out;
    if (alert_rules_read((struct str){(const char *)data, size}, "input", &rules, &err)) {
        assert(err.code && err.msg[0] && !rules);
        return 0;
    }
    buf_init(&out, 64 * 1024 * 1024);
    alert_rules_prometheus(rules, &out);
    assert(!out.is_full && str_is_utf8(buf_view(&out)));
    alert_rules_silenced_until(rules, "drift/churn/7/age", 0);
    buf_done(&out);
    alert_rules_unref(rules);
    return 0;
}
