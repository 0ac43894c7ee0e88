/* alert_file.h - what the files of the alert rules share: the struct behind alert_rules.h. */
#ifndef SLIPWAY_MONITOR_ALERT_FILE_H
#define SLIPWAY_MONITOR_ALERT_FILE_H

#include "base/map.h"
#include "monitor/alert_rules.h"

enum { ALERT_RULE_COUNT = 22, ALERT_RULES_ARENA_BYTES_MAX = 32 * 1024 * 1024 };

/* Every row and the objectives, for all models or for one. */
struct alert_set {
    struct alert_rule rules[ALERT_RULE_COUNT];
    struct alert_slo slo;
};

struct alert_file_silence {
    const char *match, *why;
    int64_t until_us;
};

struct alert_rules {
    _Atomic int refs;
    struct arena *arena; /* every text, and the models' sets */
    struct alert_set all;
    struct map models; /* name -> struct alert_set */
    const char **model_names;
    int model_count;
    struct alert_file_silence *silences; /* [silence_count] */
    int silence_count;
    struct alert_mail mail;
};

/* With the built-in rows. alert_rules.c */
struct alert_rules *alert_rules_new(void);

/* Index of the row, ALERT_RULE_COUNT when there is none. alert_rules.c */
int alert_rule_index(struct str name);

#endif
