/* handlers.h - the functions that routes.c names, by file. */
#ifndef SLIPWAY_API_HANDLERS_H
#define SLIPWAY_API_HANDLERS_H

#include "api/api.h"

handler_fn predict_rows;                               /* predict_api.c */
handler_fn oip_infer, oip_live, oip_ready, oip_server; /* oip_api.c */
handler_fn oip_models, oip_model, oip_model_ready;     /* oip_api.c */
/* oip_memory_api.c */
handler_fn oip_memory_status, oip_memory_register, oip_memory_unregister;
handler_fn oip_cuda_status, oip_cuda_register, oip_cuda_unregister;
handler_fn repository_index, repository_load, repository_unload;  /* repository_api.c */
handler_fn v1_predict, v1_classify, v1_regress;                   /* v1_api.c */
handler_fn v1_alive, v1_model, v1_metadata;                       /* v1_model_api.c */
handler_fn invocations_post, invocations_ping;                    /* invocations_api.c */
handler_fn invocations_version;                                   /* invocations_api.c */
handler_fn livez, readyz, status_get;                             /* status_api.c */
handler_fn metrics;                                               /* metrics_api.c */
handler_fn openapi;                                               /* openapi_api.c */
handler_fn models_get, model_get_handler, model_patch;            /* model_api.c */
handler_fn versions_get, version_get_handler, version_post;       /* version_api.c */
handler_fn contract_get, schema_get, check_post;                  /* contract_api.c */
handler_fn history_get, alias_get_handler, alias_put;             /* alias_api.c */
handler_fn alias_delete_handler, rollback_post;                   /* alias_api.c */
handler_fn blob_put_handler, blob_head_handler, blob_get_handler; /* blob_api.c */
handler_fn keys_get, key_post, key_delete;                        /* key_api.c */
handler_fn audit_get, doctor_get, gc_post, backup_get;            /* admin_api.c */
handler_fn webhooks_get;                                          /* webhook_api.c */
handler_fn alerts_get, alert_rules_get, silences_get;             /* alert_api.c */
handler_fn silence_post, silence_delete;                          /* alert_api.c */

/* Triton's extensions: configuration, statistics, logging, trace */
handler_fn oip_config_get, oip_statistics_get;       /* oip_config_api.c, oip_statistics_api.c */
handler_fn oip_logging_get, oip_logging_post;        /* oip_settings_api.c */
handler_fn oip_trace_get, oip_trace_post;            /* oip_settings_api.c */
handler_fn grpc_model_config, grpc_model_statistics; /* grpc_config.c, grpc_statistics.c */
handler_fn grpc_log_settings, grpc_trace_setting;    /* grpc_settings.c */

/* WebSocket */
handler_fn socket_predict, socket_infer; /* socket_api.c */

/* gRPC */
handler_fn grpc_model_infer;                             /* grpc_infer.c */
handler_fn grpc_model_stream_infer;                      /* grpc_stream_infer.c */
handler_fn grpc_server_live, grpc_server_ready;          /* grpc_service.c */
handler_fn grpc_model_ready, grpc_server_metadata;       /* grpc_service.c */
handler_fn grpc_model_metadata, grpc_repository_index;   /* grpc_service.c */
handler_fn grpc_repository_load, grpc_repository_unload; /* grpc_service.c */

/* Bring a model into memory; may be slow. repository_api.c */
enum err_code repository_load_model(struct call *call, const char *model, struct err *err);

/* Why the alias's version is not in memory, NULL: it is; and has an alias before this one the same
 * version? repository_api.c */
const char *repository_reason(const struct endpoint *endpoint, const struct endpoint_alias *alias);
bool repository_is_listed(const struct endpoint *endpoint, int index);
handler_fn grpc_health_check, grpc_health_watch; /* grpc_health.c */
handler_fn grpc_reflect;                         /* grpc_reflection.c */

/* feedback and outcomes */
handler_fn feedback_post, values_get, values_put;              /* feedback_api.c */
handler_fn outcomes_get, orphans_get;                          /* feedback_api.c */
handler_fn quality_get;                                        /* quality_api.c */
handler_fn report_get;                                         /* report_api.c */
handler_fn predictions_get, prediction_get, predictions_erase; /* prediction_api.c */
handler_fn backup_predictions_list, backup_predictions_get;    /* prediction_backup_api.c */
handler_fn feedback_post, values_get, values_put;              /* feedback_api.c */
handler_fn outcomes_get, orphans_get;                          /* feedback_api.c */
handler_fn quality_get;                                        /* quality_api.c */

/* review */
handler_fn serving_get_handler, serving_put_handler;           /* serving_api.c */
handler_fn serving_delete_handler;                             /* serving_api.c */
handler_fn review_rules_get_handler, review_rules_put_handler; /* review_api.c */
handler_fn review_rules_delete, review_items_get;              /* review_api.c */
handler_fn review_item_get_handler, review_held_get;           /* review_api.c */
handler_fn review_next_post, review_heartbeat_post;            /* review_act_api.c */
handler_fn review_decide_post, review_skip_post;               /* review_act_api.c */
handler_fn review_undo_post, review_gold_put;                  /* review_act_api.c */
handler_fn review_stats_get;                                   /* review_stats_api.c */
handler_fn review_appeal_post;                                 /* review_appeal_api.c */
handler_fn review_dataset_post, review_datasets_get;           /* review_dataset_api.c */
handler_fn review_dataset_get_handler;                         /* review_dataset_api.c */

/* monitors */
handler_fn monitor_get; /* monitor_api.c */

/* kept requests asked again */
handler_fn replay_post; /* replay_api.c */

/* gates */
handler_fn gate_post, gate_get, gates_get, gates_put, gates_delete; /* gate_api.c */

/* cards and lineage */
handler_fn card_get, lineage_get, answered_get; /* card_api.c */
/* rollouts */
handler_fn rollout_post, rollout_get_handler, rollouts_get; /* rollout_api.c */
handler_fn rollout_explain_get, rollout_pause_post;         /* rollout_api.c */
handler_fn rollout_resume_post, rollout_promote_post;       /* rollout_api.c */
handler_fn rollout_shadow_get;                              /* shadow_api.c */
handler_fn rollout_abort_post, rollout_approve_post;        /* rollout_api.c */

/* Python models */
handler_fn model_log_get; /* model_log_api.c */

#endif
