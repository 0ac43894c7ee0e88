/* handlers.h - the functions that commands.c names, by file. */
#ifndef SLIPWAY_CLI_HANDLERS_H
#define SLIPWAY_CLI_HANDLERS_H

#include "cli/cli.h"

command_fn cli_serve;                                         /* serve.c */
command_fn cli_model_list, cli_model_show, cli_model_history; /* model.c */
command_fn cli_model_update, cli_rollback;                    /* model.c */
command_fn cli_model_register;                                /* register.c */
command_fn cli_alias_set, cli_alias_delete;                   /* alias.c */
command_fn cli_predict;                                       /* predict.c */
command_fn cli_bench;                                         /* bench.c */
command_fn cli_feedback, cli_value_set, cli_value_list;       /* feedback.c */
command_fn cli_outcome_show;                                  /* feedback.c */
command_fn cli_quality;                                       /* quality.c */
command_fn cli_report;                                        /* report.c */
command_fn cli_contract_infer;                                /* contract_infer.c */
command_fn cli_contract_check, cli_contract_diff;             /* contract.c */
command_fn cli_contract_show;                                 /* contract.c */
command_fn cli_key_create, cli_key_list, cli_key_revoke;      /* key.c */
command_fn cli_gc, cli_doctor, cli_audit, cli_status;         /* admin.c */
command_fn cli_backup;                                        /* backup.c */
command_fn cli_restore;                                       /* restore.c */
command_fn cli_completion, cli_complete;                      /* completion.c */
command_fn cli_man, cli_reference;                            /* man.c */
command_fn cli_help, cli_version;                             /* help_commands.c */
command_fn cli_alert_list, cli_alert_show, cli_alert_rules;   /* alert.c */
command_fn cli_alert_silence, cli_alert_silences;             /* alert.c */
command_fn cli_webhook_list;                                  /* webhook.c */
command_fn cli_alert_unsilence;                               /* alert.c */

command_fn cli_replay; /* replay.c */

/* kept predictions */
command_fn cli_prediction_export, cli_prediction_show, cli_prediction_erase; /* prediction.c */

/* review */
command_fn cli_review_list, cli_review_next, cli_review_show; /* review.c */
command_fn cli_review_decide, cli_review_skip;                /* review.c */
command_fn cli_review_undo, cli_review_gold, cli_review_held; /* review.c */
command_fn cli_review_export;                                 /* review_export.c */
command_fn cli_review_stats;                                  /* review_stats.c */
command_fn cli_review_appeal;                                 /* review.c */
command_fn cli_model_serving;                                 /* serving.c */
command_fn cli_review_rules;                                  /* review.c */

/* Python models */
command_fn cli_worker_test, cli_worker_launch; /* worker.c */
command_fn cli_model_logs;                     /* model_logs.c */

/* monitors */
command_fn cli_monitor; /* monitor.c */

/* gates */
command_fn cli_gate, cli_gate_list, cli_gate_show; /* gate.c */
command_fn cli_gate_require, cli_gate_release;     /* gate.c */

/* cards and lineage */
command_fn cli_model_card, cli_lineage, cli_who_answered; /* card.c */
/* rollouts */
command_fn cli_rollout_start, cli_rollout_plan, cli_rollout_status; /* rollout.c */
command_fn cli_rollout_explain, cli_rollout_list;                   /* rollout.c */
command_fn cli_rollout_shadow;                                      /* shadow.c */
command_fn cli_rollout_pause, cli_rollout_resume;                   /* rollout.c */
command_fn cli_rollout_promote, cli_rollout_abort;                  /* rollout.c */
command_fn cli_rollout_simulate;                                    /* rollout_simulate.c */
command_fn cli_rollout_approve;                                     /* rollout.c */

#endif
