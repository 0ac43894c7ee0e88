/* commands.c - every command: its words, what they mean, an example.
 *
 * Help, completion, man pages and docs/cli.md are made from these rows.
 */
#include "cli/commands_bench.h"
#include "cli/commands_feedback.h"
#include "cli/commands_gate.h"
#include "cli/commands_key.h"
#include "cli/commands_model.h"
#include "cli/commands_prediction.h"
#include "cli/commands_replay.h"
#include "cli/handlers.h"

const struct command_flag cli_common_flags[] = {
    {.name = "json", .help = "Print JSON: the API's own reply where there is one"},
    {.name = "help", .help = "Usage and an example"},
    {0},
};

const struct command_flag cli_api_flags[] = {
    {.name = "data",
     .value = "DIR",
     .kind = WORD_FOLDER,
     .help = "The data folder; else SLIPWAY_DATA_DIR, else ./slipway-data"},
    {.name = "server",
     .value = "URL",
     .help = "A server instead of a folder, such as https://ml.example.org; else SLIPWAY_SERVER"},
    {.name = "key",
     .value = "KEY",
     .help = "API key for --server, or @FILE that has it; else SLIPWAY_KEY"},
    {.name = "ca",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "PEM file of the roots that vouch for --server; else SLIPWAY_CA, else the system's"},
    {.name = "cert",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "PEM file with a certificate to show to --server; else SLIPWAY_CERT"},
    {.name = "cert-key",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "PEM file with its private key; else SLIPWAY_CERT_KEY, else the file in --cert"},
    {0},
};

/* ---- contracts ---- */

static const struct command_arg infer_args[] = {
    {.name = "FILE.csv", .kind = WORD_FILE, .help = "Training rows; - reads standard input"},
    {0},
};

static const struct command_flag infer_flags[] = {
    {.name = "target", .value = "COLUMN", .help = "The column with the truth"},
    {.name = "classes",
     .value = "A,B",
     .may_repeat = true,
     .help = "Names of the classes in the model's order"},
    {.name = "name", .value = "NAME", .help = "Name of the model"},
    {.name = "owner", .value = "WHO", .help = "Person or team that answers for the model"},
    {.name = "key",
     .value = "COLUMN",
     .may_repeat = true,
     .help = "A column that identifies a row and is no feature"},
    {.name = "segment",
     .value = "COLUMN",
     .may_repeat = true,
     .help = "A column kept for slicing that is no feature"},
    {.name = "ignore",
     .value = "COLUMN",
     .may_repeat = true,
     .help = "A column that callers do not send"},
    {.name = "unit",
     .value = "FIELD=UNIT",
     .may_repeat = true,
     .help = "A field's unit as a UCUM code, such as mean_radius=mm"},
    {.name = "categories",
     .value = "FIELD=A,B",
     .may_repeat = true,
     .help = "A field's categories in the order of the codes the model was trained with"},
    {.name = "required-rows",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Rows without a gap after which a field is required; else 1000"},
    {.name = "no-row-digests",
     .help = "Keep no digests of the rows, by which a gate finds held-out rows that were trained "
             "on"},
    {.name = "out",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Where the contract goes; else standard output"},
    {.name = "force", .help = "Replace the file of --out"},
    {0},
};

static const struct command_arg check_args[] = {
    {.name = "CONTRACT",
     .kind = WORD_MODEL,
     .help = "NAME[:VERSION], or a contract's file (a name with / or .yaml)"},
    {.name = "ROWS.csv", .kind = WORD_FILE, .help = "The rows; - reads standard input"},
    {0},
};

static const struct command_flag check_flags[] = {
    {.name = "drift", .help = "Compare the rows with the training data of the contract too"},
    {.name = "ignore",
     .value = "COLUMN",
     .may_repeat = true,
     .help = "A column of the file that is no field, such as an index"},
    {.name = "strict", .help = "Exit 1 for rows that break any rule, not only for refused ones"},
    {0},
};

static const struct command_arg diff_args[] = {
    {.name = "BEFORE", .kind = WORD_FILE, .help = "A contract's file, or NAME[:VERSION]"},
    {.name = "AFTER", .kind = WORD_FILE, .help = "The one that would replace it"},
    {0},
};

static const struct command_flag contract_show_flags[] = {
    {.name = "schema", .help = "JSON Schema of one row instead, as with --json"},
    {0},
};

/* ---- monitors ---- */

static const struct command_flag monitor_flags[] = {
    {.name = "all", .help = "Features that are well too"},
    {.name = "limit",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Closed windows to show, newest first; 12 when not given"},
    {0},
};

/* ---- care of the folder ---- */

static const struct command_arg backup_args[] = {
    {.name = "FOLDER", .kind = WORD_FOLDER, .help = "A new or empty folder"},
    {0},
};

static const struct command_flag backup_flags[] = {
    {.name = "without-predictions", .help = "Leave kept predictions out"},
    {0},
};

static const struct command_arg restore_args[] = {
    {.name = "FOLDER", .kind = WORD_FOLDER, .help = "What slipway backup made"},
    {0},
};

static const struct command_flag restore_flags[] = {
    {.name = "data",
     .value = "DIR",
     .kind = WORD_FOLDER,
     .is_required = true,
     .help = "The data folder to make; must be empty or absent"},
    {0},
};

static const struct command_flag gc_flags[] = {
    {.name = "dry-run", .help = "Only say what would be removed"},
    {0},
};

static const struct command_flag audit_flags[] = {
    {.name = "after",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "Only events behind this sequence number"},
    {.name = "subject",
     .value = "PREFIX",
     .help = "Only events whose subject begins so, such as model/churn"},
    {.name = "limit", .value = "N", .kind = WORD_NUMBER, .help = "At most this many events"},
    {0},
};

/* ---- review ---- */

static const struct command_arg review_model_args[] = {
    {.name = "MODEL", .kind = WORD_MODEL, .is_optional = true, .help = "Only of this model"},
    {0},
};

static const struct command_arg review_rules_args[] = {
    {.name = "MODEL", .kind = WORD_MODEL, .help = "The model"},
    {0},
};

static const struct command_arg review_item_args[] = {
    {.name = "ITEM", .kind = WORD_NUMBER, .help = "The number of the item"},
    {0},
};

static const struct command_arg review_decide_args[] = {
    {.name = "ITEM", .kind = WORD_NUMBER, .help = "The number of the item"},
    {.name = "LABEL", .help = "One of its choices, or the number that is right"},
    {0},
};

static const struct command_arg review_gold_args[] = {
    {.name = "ITEM", .kind = WORD_NUMBER, .help = "The number of a closed item"},
    {.name = "LABEL",
     .is_optional = true,
     .help = "What is right; left out: no gold item any more"},
    {0},
};

static const struct command_arg review_held_args[] = {
    {.name = "ID", .help = "The id of the 202 reply, or of one of its predictions"},
    {0},
};

static const struct command_arg review_appeal_args[] = {
    {.name = "PREDICTION", .help = "The id of the prediction, as its reply had it"},
    {0},
};

static const struct command_flag review_appeal_flags[] = {
    {.name = "reason", .value = "TEXT", .is_required = true, .help = "Why it should be looked at"},
    {0},
};

#define FLAG_UUID                                                                                  \
    {.name = "uuid",                                                                               \
     .value = "UUID",                                                                              \
     .help = "Your own; the same again is made once. A new one when not given"}

static const struct command_flag review_list_flags[] = {
    {.name = "state",
     .value = "STATE",
     .kind = WORD_CHOICE,
     .choices = "open|decided|expired|rejected|disputed|erased|all",
     .help = "Only those in this state; open when not given"},
    {.name = "after", .value = "ITEM", .kind = WORD_NUMBER, .help = "Only those behind this one"},
    {.name = "limit", .value = "N", .kind = WORD_NUMBER, .help = "At most this many; 50"},
    {0},
};

static const struct command_flag review_decide_flags[] = {
    {.name = "note", .value = "TEXT", .help = "A remark, kept with the decision"},
    FLAG_UUID,
    {0},
};

static const struct command_flag review_skip_flags[] = {
    {.name = "reason", .value = "TEXT", .is_required = true, .help = "Why you cannot decide it"},
    FLAG_UUID,
    {0},
};

static const struct command_flag review_undo_flags[] = {
    {.name = "reason", .value = "TEXT", .help = "Why, kept with the decision"},
    FLAG_UUID,
    {0},
};

static const struct command_flag review_export_flags[] = {
    {.name = "out",
     .value = "FILE",
     .kind = WORD_FILE,
     .is_required = true,
     .help = "The file to write: CSV, or JSON Lines when it ends in .jsonl"},
    {.name = "format",
     .value = "FORMAT",
     .kind = WORD_CHOICE,
     .choices = "csv|jsonl",
     .help = "Whatever the file is called"},
    {.name = "test",
     .value = "SHARE",
     .help = "Share of keys whose rows are to test with, such as 20%; 20% when not given"},
    {.name = "version",
     .value = "N",
     .kind = WORD_NUMBER,
     .help = "A data set that was made before, the same bytes again"},
    {0},
};

static const struct command_flag review_rules_flags[] = {
    {.name = "file", .value = "FILE", .kind = WORD_FILE, .help = "Set the rules: a YAML file"},
    {.name = "remove", .help = "Send nothing to review any more"},
    {.name = "document", .help = "Print the file as it was set"},
    {0},
};

/* ---- alerts ---- */

static const struct command_flag alert_list_flags[] = {
    {.name = "model", .value = "NAME", .kind = WORD_MODEL, .help = "Only those of this model"},
    {.name = "state",
     .value = "STATE",
     .kind = WORD_CHOICE,
     .choices = "open|pending|silenced",
     .help = "Only those in this state"},
    {0},
};

static const struct command_arg alert_show_args[] = {
    {.name = "KEY", .help = "The alert's key, as alert list shows it"},
    {0},
};

static const struct command_arg alert_silence_args[] = {
    {.name = "MATCH", .help = "A key, or the beginning of some and *: 'drift/churn/*'"},
    {0},
};

static const struct command_flag alert_silence_flags[] = {
    {.name = "for", .value = "TIME", .help = "For this long, such as 30m, 2h, 7d"},
    {.name = "until", .value = "TIME", .help = "Until then, such as 2026-02-01T00:00:00Z"},
    FLAG_REASON,
    {0},
};

static const struct command_arg alert_unsilence_args[] = {
    {.name = "ID", .kind = WORD_NUMBER, .help = "The silence's number"},
    {0},
};

static const struct command_flag alert_rules_flags[] = {
    {.name = "prometheus", .help = "As a rules file for Prometheus"},
    {.name = "model", .value = "NAME", .kind = WORD_MODEL, .help = "As they are for this model"},
    {.name = "file",
     .value = "FILE",
     .kind = WORD_FILE,
     .help = "Those of a file that no server has read: is it good?"},
    {0},
};

/* ---- the program ---- */

static const struct command_arg completion_args[] = {
    {.name = "SHELL", .kind = WORD_CHOICE, .choices = "bash|zsh", .help = "bash or zsh"},
    {0},
};

static const struct command_arg words_args[] = {
    {.name = "COMMAND", .kind = WORD_COMMAND, .is_optional = true, .help = "A command or group"},
    {.name = "SUBCOMMAND", .is_optional = true, .help = "Its second word"},
    {0},
};

static const struct command_flag man_flags[] = {
    {.name = "list", .help = "Names of all pages, one a line"},
    {0},
};

const struct command commands[] = {
    {
        .name = "serve",
        .summary = "Serve the models of a folder over HTTP until SIGTERM",
        .run = cli_serve,
        .takes_options = true,
        .is_local = true,
        .detail = "Every flag may also stand in a file (--config FILE; slipway help config prints "
                  "one) or in the environment as SLIPWAY_NAME. SIGHUP reads certificates and "
                  "what reloads again; SIGUSR2 lets a new process take over without a gap; "
                  "SIGTERM lets running requests finish.",
        .example = "slipway serve --data ./slipway-data --listen 127.0.0.1:8080\n"
                   "slipway serve --config slipway.yaml",
    },
    {
        .name = "model register",
        .summary = "Register a trained model as a new version",
        .run = cli_model_register,
        .args = register_args,
        .flags = register_flags,
        .detail = "The version is loaded, fitted to its contract and answers its golden rows "
                  "before anything is written. The first version of a model becomes its champion, "
                  "the one that answers; a later one answers when it gets that alias.",
        .example = "slipway model register churn model.ubj --owner me@example.org \\\n"
                   "    --contract contract.yaml --golden golden.csv --note \"first try\"",
    },
    {
        .name = "model list",
        .summary = "All models with owner and champion",
        .run = cli_model_list,
        .flags = list_flags,
        .example = "slipway model list",
    },
    {
        .name = "model show",
        .summary = "One model with its aliases and versions, or one version",
        .run = cli_model_show,
        .args = arg_model_or_version,
        .flags = show_flags,
        .detail = "With --json and no version: {\"model\": ..., \"versions\": [...]}, both as the "
                  "API gives them.",
        .example = "slipway model show churn\nslipway model show churn:champion",
    },
    {
        .name = "model history",
        .summary = "Every move of every alias of a model: when, who, from, to, why",
        .run = cli_model_history,
        .args = arg_model,
        .example = "slipway model history churn",
    },
    {
        .name = "model update",
        .summary = "Change a model's owner or description",
        .run = cli_model_update,
        .args = arg_model,
        .flags = update_flags,
        .example = "slipway model update churn --owner growth-team@example.org",
    },
    {
        .name = "model serving",
        .summary = "How a model is served: instances, batching, queue; show or set it",
        .run = cli_model_serving,
        .args = arg_model,
        .flags = serving_flags,
        .detail =
            "The file has the keys instances, batching, queue, priority and nan; what it leaves "
            "out "
            "has its preset.",
        .example = "slipway model serving churn\n"
                   "slipway model serving churn --file serving.yaml",
    },
    {
        .name = "model logs",
        .summary = "What a version's own code printed last: Python models",
        .run = cli_model_logs,
        .args = arg_model_or_version,
        .detail = "Without a version it is the champion's. Kept are the last 64 KiB while the "
                  "version is loaded; the server's log has the lines too.",
        .example = "slipway model logs churn:3",
    },
    {
        .name = "model card",
        .summary = "What the record says of a version, and what it does not: a model card",
        .run = cli_model_card,
        .args = arg_model_or_version,
        .detail = "Markdown, or JSON with --json. Without a version it is the latest.",
        .example = "slipway model card churn:42 > card.md",
    },
    {
        .name = "alias set",
        .summary = "Move an alias to a version; champion is the one that answers",
        .run = cli_alias_set,
        .args = alias_set_args,
        .flags = alias_set_flags,
        .detail = "The version is loaded and answers its golden rows before the alias moves; when "
                  "that fails the one before goes on answering.",
        .example = "slipway alias set churn champion 2 --reason \"better on March data\"",
    },
    {
        .name = "alias delete",
        .summary = "Remove an alias",
        .run = cli_alias_delete,
        .args = alias_delete_args,
        .flags = alias_delete_flags,
        .example = "slipway alias delete churn candidate",
    },
    {
        .name = "rollback",
        .summary = "The champion before this one answers again",
        .run = cli_rollback,
        .args = arg_model,
        .flags = reason_flags,
        .detail = "A second rollback goes one step further back; it never toggles.",
        .example = "slipway rollback churn --reason \"complaints since noon\"",
    },
    {
        .name = "monitor",
        .summary = "Live rows against the training data: drift, missing values, skew",
        .run = cli_monitor,
        .args = arg_model_or_version,
        .flags = monitor_flags,
        .detail = "A window of live rows is judged when it has monitor_window_rows rows and took "
                  "monitor_window_ms. The exit status is 1 when the last window of a version that "
                  "was asked for is an alert.",
        .example = "slipway monitor churn\nslipway monitor churn:champion --all",
    },
    {
        .name = "predict",
        .summary = "Ask a model: one JSON body, or the rows of a CSV file",
        .run = cli_predict,
        .args = arg_model_or_version,
        .flags = predict_flags,
        .detail = "Answers to --csv are CSV too: line, id, label, probability, one probability per "
                  "class and quality, or line, id, value and quality. Rows that break the contract "
                  "are left out, noted with line, field, expected and got in the side file, and "
                  "make the exit status 1.",
        .example = "slipway predict churn --json '{\"tenure\": 3, \"plan\": \"basic\"}'\n"
                   "slipway predict churn:2 --csv rows.csv --out answers.csv",
    },
#include "cli/bench_command.def"
    {
        .name = "feedback",
        .summary = "Say what came true: a label, business values, events, or a CSV file of them",
        .run = cli_feedback,
        .args = arg_model,
        .flags = feedback_flags,
        .detail = "What comes twice counts once, what is newer by its time replaces what is older, "
                  "and what comes before its prediction is known waits for it. Rows of --csv that "
                  "cannot be taken are told with their line and make the exit status 1.",
        .example = "slipway feedback churn --id 4f1c-0 --label yes --value revenue=12.5\n"
                   "slipway feedback churn --csv truth.csv --column customer_id=key "
                   "--column is_canceled=label",
    },
    {
        .name = "quality",
        .summary = "How good answers were, and are likely to be before labels arrive",
        .run = cli_quality,
        .args = arg_model_or_version,
        .flags = quality_flags,
        .detail = "Realised metrics with 95 % intervals come from the labels of POST /feedback. "
                  "A figure is final when labels for 95 % of the answers are in, or when the "
                  "answers are older than 99 % of labels take; before that it is provisional. The "
                  "estimate needs 500 labelled rows with probabilities to know what scores mean.",
        .example = "slipway quality churn\nslipway quality churn:2 --days --from 2026-01-01",
    },
    {
        .name = "report",
        .summary = "What the last release or rollback changed: latency, quality, values",
        .run = cli_report,
        .args = arg_model,
        .flags = report_flags,
        .detail = "A page of Markdown: each measure before and after with its 95 % interval, the "
                  "difference, how mature it is, and what the page cannot know.",
        .example = "slipway report churn > impact.md\nslipway report churn --json --days 14",
    },
    {
        .name = "outcome show",
        .summary = "Everything that was said about one prediction, in order",
        .run = cli_outcome_show,
        .args = outcome_args,
        .example = "slipway outcome show 4f1c-0",
    },
    {
        .name = "value set",
        .summary = "Declare a business value or an event of a model",
        .run = cli_value_set,
        .args = value_args,
        .flags = value_flags,
        .example = "slipway value set churn revenue --unit EUR --direction up\n"
                   "slipway value set churn complaint --event --direction down",
    },
    {
        .name = "value list",
        .summary = "Business values and events of a model",
        .run = cli_value_list,
        .args = arg_model,
        .example = "slipway value list churn",
    },
    {
        .name = "gate",
        .summary = "Does a version deserve traffic? Held-out rows, checks, a verdict",
        .run = cli_gate,
        .args = arg_model_or_version,
        .flags = gate_flags,
        .takes_rows_by_data = true,
        .detail = "Without a version it is the latest. The exit status is 0 when it passes, 1 when "
                  "it fails, and 2 when the rows cannot tell; wrong usage is 2 as well, and then "
                  "nothing is printed on standard output. The result is kept: see gate list.",
        .example = "slipway gate churn:42 --data holdout.csv\n"
                   "slipway gate churn:42 --data holdout.csv --file gate.yaml --format junit",
    },
    {
        .name = "gate list",
        .summary = "Results of gates, newest first, and what the model requires",
        .run = cli_gate_list,
        .args = arg_model_or_version,
        .example = "slipway gate list churn",
    },
    {
        .name = "gate show",
        .summary = "One result of a version's gate",
        .run = cli_gate_show,
        .args = arg_model_or_version,
        .flags = gate_show_flags,
        .detail = "Without a version it is the latest. The exit status is that of the gate.",
        .example = "slipway gate show churn:42 --format markdown",
    },
    {
        .name = "gate require",
        .summary = "A version gets traffic only when it has passed this gate",
        .run = cli_gate_require,
        .args = arg_model,
        .flags = gate_require_flags,
        .detail = "Without a passing result for the file as it is now, a version cannot become "
                  "champion, nor the canary of a rollout. A rollback is never asked.",
        .example = "slipway gate require churn --file gate.yaml",
    },
    {
        .name = "gate release",
        .summary = "Require no gate of a model any more",
        .run = cli_gate_release,
        .args = arg_model,
        .example = "slipway gate release churn",
    },
    {
        .name = "lineage",
        .summary = "Where versions come from, and where they went",
        .run = cli_lineage,
        .args = arg_model_or_version,
        .flags = lineage_flags,
        .example = "slipway lineage churn:42\nslipway lineage churn --of code_commit=4f2a91c",
    },
    {
        .name = "who-answered",
        .summary = "Which version of a model was champion at a time",
        .run = cli_who_answered,
        .args = arg_model,
        .flags = who_answered_flags,
        .detail = "The exit status is 1 when nobody was.",
        .example = "slipway who-answered churn --at 2026-11-03T14:05:00Z",
    },
    {
        .name = "contract infer",
        .summary = "Draft a contract from training rows",
        .run = cli_contract_infer,
        .args = infer_args,
        .flags = infer_flags,
        .is_local = true,
        .detail = "What a person should look at, such as a column that gives the answer away, is "
                  "said on standard error. With --json: {\"rows\", \"fields\", \"hints\": "
                  "[{\"field\", \"text\"}], \"contract\": \"YAML\"}.",
        .example = "slipway contract infer train.csv --target churned --classes no,yes \\\n"
                   "    --name churn --owner me@example.org --out contract.yaml",
    },
    {
        .name = "contract check",
        .summary = "Check rows against a contract; nothing is scored",
        .run = cli_contract_check,
        .args = check_args,
        .flags = check_flags,
        .detail = "The exit status is 1 when a row would be refused, and with --drift when a field "
                  "is distributed far from the training data.",
        .example = "slipway contract check churn rows.csv --drift\n"
                   "slipway contract check contract.yaml rows.csv",
    },
    {
        .name = "contract diff",
        .summary = "May a version with the second contract replace one with the first?",
        .run = cli_contract_diff,
        .args = diff_args,
        .detail = "The exit status is 1 when callers of the first would break. With --json: "
                  "{\"compatible\", \"changes\": [{\"kind\", \"field\", \"text\"}]}.",
        .example = "slipway contract diff contract_v1.yaml contract_v2.yaml\n"
                   "slipway contract diff churn:1 contract.yaml",
    },
    {
        .name = "contract show",
        .summary = "A version's contract as it was registered",
        .run = cli_contract_show,
        .args = arg_model_or_version,
        .flags = contract_show_flags,
        .example = "slipway contract show churn:2 > contract.yaml",
    },
#include "cli/replay_command.def"
#include "cli/rollout_commands.def"
    {
        .name = "prediction export",
        .summary = "Kept predictions of a time, with inputs and answers",
        .run = cli_prediction_export,
        .args = arg_model_or_version,
        .flags = prediction_export_flags,
        .detail = "Rows come in the order in which they were answered. Fields that the contract "
                  "classifies are pseudonyms or missing, as the server was told to keep them. "
                  "docs/predictions.md explains the columns.",
        .example = "slipway prediction export churn --from 2026-01-31T00:00:00Z --out churn.csv",
    },
    {
        .name = "prediction show",
        .summary = "One kept prediction: who answered, to what, with what",
        .run = cli_prediction_show,
        .args = prediction_args,
        .example = "slipway prediction show 4f1c-0",
    },
    {
        .name = "prediction erase",
        .summary = "Erase one subject's predictions, outcomes and review items",
        .run = cli_prediction_erase,
        .args = arg_model,
        .flags = prediction_erase_flags,
        .detail = "What is erased cannot be brought back but from a backup. The audit trail keeps "
                  "the SHA-256 of the value, not the value. Said again it goes on where a failure "
                  "stopped it.",
        .example = "slipway prediction erase churn --key customer_id=c-17",
    },
    {
        .name = "review next",
        .summary = "The next prediction that a person must decide",
        .run = cli_review_next,
        .args = review_model_args,
        .detail = "The item is yours for ten minutes. In a terminal each card is followed by the "
                  "next one: type the number of a choice. Elsewhere one card is printed, and "
                  "slipway review decide answers it. The exit status is 1 when there is none.",
        .example = "slipway review next churn",
    },
    {
        .name = "review decide",
        .summary = "Decide a review item",
        .run = cli_review_decide,
        .args = review_decide_args,
        .flags = review_decide_flags,
        .detail = "Deciding your item again is a correction: both decisions are kept, the last one "
                  "counts.",
        .example = "slipway review decide 12 malignant --note \"second opinion agrees\"",
    },
    {
        .name = "review skip",
        .summary = "Leave a review item to others",
        .run = cli_review_skip,
        .args = review_item_args,
        .flags = review_skip_flags,
        .example = "slipway review skip 12 --reason \"I know the customer\"",
    },
    {
        .name = "review undo",
        .summary = "Take your decision on a review item back, within five minutes",
        .run = cli_review_undo,
        .args = review_item_args,
        .flags = review_undo_flags,
        .example = "slipway review undo 12",
    },
    {
        .name = "review list",
        .summary = "Review items, oldest first",
        .run = cli_review_list,
        .args = review_model_args,
        .flags = review_list_flags,
        .example = "slipway review list churn --state decided",
    },
    {
        .name = "review show",
        .summary = "One review item with its decisions",
        .run = cli_review_show,
        .args = review_item_args,
        .example = "slipway review show 12",
    },
    {
        .name = "review appeal",
        .summary = "Ask that people look at one prediction",
        .run = cli_review_appeal,
        .args = review_appeal_args,
        .flags = review_appeal_flags,
        .example = "slipway review appeal f909aa1a09002215439fe82df19e8c8c-0 \\\n"
                   "    --reason \"the customer objects\"",
    },
    {
        .name = "review held",
        .summary = "What became of a prediction that waits for a person",
        .run = cli_review_held,
        .args = review_held_args,
        .detail = "The exit status is 1 while it waits.",
        .example = "slipway review held f909aa1a09002215439fe82df19e8c8c",
    },
    {
        .name = "review export",
        .summary = "What people decided, as a versioned data set with weights",
        .run = cli_review_export,
        .args = review_rules_args,
        .flags = review_export_flags,
        .detail = "One row an item: inputs, label, answer, the chance it had to come to review, "
                  "weight = 1 / chance, and split: rows of one key are on one side. The version "
                  "and its digest are kept, so that --version gives the same bytes again.",
        .example = "slipway review export churn --out decided.csv",
    },
    {
        .name = "review stats",
        .summary = "How review goes: queue, overrides, agreement, seconds per decision",
        .run = cli_review_stats,
        .args = review_model_args,
        .detail = "Agreement is Krippendorff's alpha over all and Cohen's kappa of each pair: 1 is "
                  "perfect, 0 is chance.",
        .example = "slipway review stats churn",
    },
    {
        .name = "review rules",
        .summary = "Which predictions of a model people see: show or set the rules",
        .run = cli_review_rules,
        .args = review_rules_args,
        .flags = review_rules_flags,
        .example = "slipway review rules churn --file review.yaml\nslipway review rules churn",
    },
    {
        .name = "review gold",
        .summary = "Say what is right about a closed item, to measure reviewers by it",
        .run = cli_review_gold,
        .args = review_gold_args,
        .example = "slipway review gold 12 malignant",
    },
    {
        .name = "key create",
        .summary = "Make an API key; its secret is shown once",
        .run = cli_key_create,
        .args = key_name_args,
        .flags = key_flags,
        .detail =
            "The secret alone goes to standard output. A key bound to a certificate has none: "
            "who shows that certificate (serve --tls-client-ca) needs no Authorization.",
        .example = "slipway key create ci --scope predict,observe --expires 30d",
    },
    {
        .name = "key list",
        .summary = "All keys with scopes and expiry",
        .run = cli_key_list,
        .example = "slipway key list",
    },
    {
        .name = "key revoke",
        .summary = "End a key: the next request with it is refused",
        .run = cli_key_revoke,
        .args = key_args,
        .example = "slipway key revoke ci",
    },
    {
        .name = "status",
        .summary = "Program, folder, and whether it serves",
        .run = cli_status,
        .example = "slipway status",
    },
    {
        .name = "doctor",
        .summary = "Verify store, artifacts and audit trail",
        .run = cli_doctor,
        .detail = "The exit status is 1 when something is wrong.",
        .example = "slipway doctor",
    },
    {
        .name = "alert list",
        .summary = "What somebody should look at now",
        .run = cli_alert_list,
        .flags = alert_list_flags,
        .detail = "open: told. pending: raised, its rule waits to see whether it stays. silenced: "
                  "raised, and somebody asked for silence.",
        .example = "slipway alert list\nslipway alert list --model churn --state open",
    },
    {
        .name = "alert show",
        .summary = "One alert with its numbers and its likely cause",
        .run = cli_alert_show,
        .args = alert_show_args,
        .example = "slipway alert show drift/churn/7/mean_radius",
    },
    {
        .name = "alert silence",
        .summary = "Open no alert that matches for a time",
        .run = cli_alert_silence,
        .args = alert_silence_args,
        .flags = alert_silence_flags,
        .detail = "What is open stays open until it is over. What is raised meanwhile is shown as "
                  "silenced, and opens when the silence ends and it is still raised.",
        .example = "slipway alert silence 'drift/churn/*' --for 2h --reason \"known, ML-381\"",
    },
    {
        .name = "alert silences",
        .summary = "Silences that have not ended",
        .run = cli_alert_silences,
        .example = "slipway alert silences",
    },
    {
        .name = "alert unsilence",
        .summary = "End a silence before its time",
        .run = cli_alert_unsilence,
        .args = alert_unsilence_args,
        .example = "slipway alert unsilence 1204",
    },
    {
        .name = "alert rules",
        .summary = "The rules that alerts follow; as a Prometheus rules file too",
        .run = cli_alert_rules,
        .flags = alert_rules_flags,
        .example = "slipway alert rules --model churn\n"
                   "slipway alert rules --prometheus > slipway_rules.yaml\n"
                   "slipway alert rules --file alerts.yaml",
    },
    {
        .name = "webhook list",
        .summary = "Who is told of events, and how far they are",
        .run = cli_webhook_list,
        .detail =
            "Receivers come from the file of --webhooks only. What one has not taken waits in "
            "the audit trail, in order.",
        .example = "slipway webhook list",
    },
    {
        .name = "audit",
        .summary = "The audit trail, oldest first",
        .run = cli_audit,
        .flags = audit_flags,
        .example = "slipway audit --subject model/churn\nslipway audit --after 1200 --json",
    },
    {
        .name = "backup",
        .summary = "Copy store and artifacts into a new folder, verified; also while it serves",
        .run = cli_backup,
        .args = backup_args,
        .flags = backup_flags,
        .detail = "The folder gets the layout of a data folder and backup.json, which has the size "
                  "and SHA-256 of each file and is written last.",
        .example = "slipway backup /var/backups/slipway-2026-01-31",
    },
    {
        .name = "restore",
        .summary = "Make a data folder from a backup, verified",
        .run = cli_restore,
        .args = restore_args,
        .flags = restore_flags,
        .is_local = true,
        .example = "slipway restore /var/backups/slipway-2026-01-31 --data ./slipway-data",
    },
    {
        .name = "gc",
        .summary = "Remove artifacts that no version names, and what was unpacked of them",
        .run = cli_gc,
        .flags = gc_flags,
        .detail =
            "What was uploaded within the hour stays: a registration may be about to name it.",
        .example = "slipway gc --dry-run",
    },
    {
        .name = "completion",
        .summary = "Completion of commands, flags and model names for a shell",
        .run = cli_completion,
        .args = completion_args,
        .is_local = true,
        .example = "source <(slipway completion bash)",
    },
    {
        .name = "man",
        .summary = "Manual pages, as roff",
        .run = cli_man,
        .args = words_args,
        .flags = man_flags,
        .is_local = true,
        .example = "slipway man model register | man -l -",
    },
    {
        .name = "help",
        .summary = "What there is; also: help exit-codes, help config",
        .run = cli_help,
        .args = words_args,
        .is_local = true,
        .example = "slipway help alias set\nslipway help exit-codes\n"
                   "slipway help config > slipway.yaml",
    },
    {
        .name = "version",
        .summary = "The program's version",
        .run = cli_version,
        .is_local = true,
        .example = "slipway version",
    },
    {
        .name = "worker test",
        .summary = "Load a Python model's folder as a server would, and answer rows with it",
        .run = cli_worker_test,
        .args = worker_test_args,
        .flags = worker_test_flags,
        .is_local = true,
        .detail = "The same archive, interpreter, sandbox and checks as in a server, in this "
                  "process. What the code prints comes behind the answers, on standard error.",
        .example = "slipway worker test ./churn --rows rows.csv",
    },
    {
        .name = "worker launch",
        .summary = "Put on the sandbox and become the interpreter of a Python model",
        .run = cli_worker_launch,
        .is_local = true,
        .takes_words = true,
        .is_hidden = true,
        .example = "slipway worker launch python=/usr/bin/python3 model=./folder ...",
    },
    {
        .name = "complete",
        .summary = "Words that may stand at the end of a line",
        .run = cli_complete,
        .takes_words = true,
        .is_hidden = true,
        .example = "slipway complete -- model sh",
    },
    {
        .name = "reference",
        .summary = "This table as Markdown",
        .run = cli_reference,
        .is_local = true,
        .is_hidden = true,
        .example = "slipway reference > docs/cli.md",
    },
    {0},
};
