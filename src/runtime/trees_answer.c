/* trees_answer.c - margins to the two outputs of XGBoost and LightGBM models. */
#include "runtime/trees_model.h"

static struct signature_tensor numbers_of(const char *name, enum dtype dtype, int64_t columns,
                                          bool is_on_request)
{
    return (struct signature_tensor){
        .name = name,
        .dtype = dtype,
        .rank = columns > 1 ? 2 : 1,
        .shape = {-1, columns},
        .is_on_request = is_on_request,
    };
}

void trees_answer_numbers(struct trees_answer *answer, int predictions, int margins,
                          enum dtype margin_dtype)
{
    answer->margin_count = margins;
    answer->output_count = 2;
    answer->outputs[0] = numbers_of("predict", DTYPE_F32, predictions, false);
    answer->outputs[1] = numbers_of("margin", margin_dtype, margins, true);
}

void trees_tensor(const struct signature_tensor *as, int64_t rows, void *data, struct tensor *out)
{
    out->name = as->name;
    out->dtype = as->dtype;
    out->rank = as->rank;
    out->shape[0] = rows;
    for (int i = 1; i < as->rank; i++)
        out->shape[i] = as->shape[i];
    out->data = data;
}
