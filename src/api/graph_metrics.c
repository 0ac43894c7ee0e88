/* graph_metrics.c - struct graph_count of each node, family by family. */
#include "api/graph_metrics.h"

#include "serve/graph.h"

static void put_calls(struct metric_writer *w, const struct lane_shown *shown,
                      const struct graph_node *node, const struct graph_count *count)
{
    for (int i = OUTCOME_OK; i < OUTCOME_COUNT; i++)
        metric_sample(w, (double)atomic_load_explicit(&count->calls[i], memory_order_relaxed),
                      METRIC_LABELS(shown->loaded->model, shown->version, node->name,
                                    graph_outcome_name((enum graph_outcome)i)));
}

static void put_seconds(struct metric_writer *w, const struct lane_shown *shown,
                        const struct graph_node *node, const struct graph_count *count)
{
    metric_sample(w, (double)atomic_load_explicit(&count->ns, memory_order_relaxed) / 1e9,
                  METRIC_LABELS(shown->loaded->model, shown->version, node->name));
}

typedef void put_fn(struct metric_writer *w, const struct lane_shown *shown,
                    const struct graph_node *node, const struct graph_count *count);

static void put_family(struct metric_writer *w, enum metric_id id, put_fn *put,
                       const struct lane_shown *shown, int count)
{
    metric_family(w, id);
    for (int i = 0; i < count; i++) {
        const struct graph_plan *plan = graph_plan_of(shown[i].loaded);
        const struct graph_count *counts = graph_counts_of(shown[i].loaded);
        for (int k = 0; plan && k < plan->node_count; k++)
            if (plan->nodes[k].kind == GRAPH_MODEL)
                put(w, &shown[i], &plan->nodes[k], &counts[k]);
    }
}

void graph_metrics(struct metric_writer *w, const struct lane_shown *shown, int count)
{
    put_family(w, METRIC_GRAPH_CALLS, put_calls, shown, count);
    put_family(w, METRIC_GRAPH_SECONDS, put_seconds, shown, count);
}
