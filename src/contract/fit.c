/* fit.c - holding a contract against what the model's file says about itself. */
#include "contract/fit.h"

#include "base/check.h"

static const struct contract_field *feature_at(const struct contract *c, int i)
{
    return c->values[c->feature_columns[i]];
}

/* A feature the model could not be given: text, a date. */
static enum err_code check_numeric(const struct contract *c, struct err *err)
{
    for (int i = 0; i < c->text_count; i++) {
        const struct contract_field *f = c->texts[i];
        if (f->role != ROLE_FEATURE)
            continue;
        err_set(err, ERR_INVALID,
                "field '%s' is a feature of type %s without a list of values, "
                "but the model takes numbers",
                f->name, contract_type_name(f->type));
        return err_hint(err, "list its categories in code order as validValues, or give it the "
                             "slipwayRole segment");
    }
    return ERR_OK;
}

/* The first name of the contract's features that the model lacks; NULL when there is none. */
static const char *name_the_model_lacks(const struct contract *c, const struct map *model_names)
{
    for (int i = 0; i < c->feature_count; i++) {
        const struct contract_field *f = feature_at(c, i);
        if (!map_find(model_names, (struct str){f->name, f->name_len}))
            return f->name;
    }
    return NULL;
}

/* Index among the contract's features, or -1. */
static int feature_index(const struct contract *c, const char *name)
{
    const struct contract_field *f = contract_field_find(c, str_of(name));
    if (!f || f->role != ROLE_FEATURE || f->is_text)
        return -1;
    for (int i = 0; i < c->feature_count; i++)
        if (c->feature_columns[i] == f->column)
            return i;
    return -1;
}

static enum err_code lacks_feature(const struct contract *c, const char *name, struct err *err)
{
    const struct contract_field *near = contract_field_nearest(c, str_of(name));
    err_set(err, ERR_INVALID, "the model has feature '%s', the contract has not", name);
    return near ? err_hint(err, "the contract has a field '%s'", near->name) : ERR_INVALID;
}

static enum err_code order_by_name(const struct contract *c, const struct contract_fit *model,
                                   int *order, struct map *names, struct err *err)
{
    for (int i = 0; i < model->feature_count; i++) {
        const char *name = model->feature_names[i];
        if (map_find(names, str_of(name)))
            return err_set(err, ERR_INVALID, "the model has two features named '%s'", name);
        map_put(names, str_of(name), &order[i]);
        order[i] = feature_index(c, name);
        if (order[i] < 0)
            return lacks_feature(c, name, err);
    }
    const char *extra = name_the_model_lacks(c, names);
    if (!extra)
        return ERR_OK;
    err_set(err, ERR_INVALID, "the contract has feature '%s', the model has not", extra);
    return err_hint(err, "remove the field or give it the slipwayRole segment");
}

static enum err_code order_by_position(const struct contract *c, const struct contract_fit *model,
                                       int *order, struct err *err)
{
    if (model->feature_count != c->feature_count)
        return err_set(err, ERR_INVALID, "the model takes %d features, the contract has %d",
                       model->feature_count, c->feature_count);
    for (int i = 0; i < model->feature_count; i++)
        order[i] = i;
    return ERR_OK;
}

/* Hard bounds within the model's codes say that the numbers are codes already. */
static bool holds_codes(const struct contract_field *f, int category_count)
{
    return f->type == TYPE_INTEGER && !f->is_range_inferred && f->has_min && f->has_max &&
           f->min >= 0 && (category_count == 0 || f->max < category_count);
}

static enum err_code check_kind(const struct contract_field *f, bool is_categorical,
                                int category_count, struct err *err)
{
    if (is_categorical && !f->is_coded && !holds_codes(f, category_count)) {
        err_set(err, ERR_INVALID,
                "field '%s' is of type %s in the contract, but the model splits it by category",
                f->name, contract_type_name(f->type));
        return err_hint(err, "make it a string with validValues in code order");
    }
    if (is_categorical && f->is_coded && f->category_count < category_count) {
        err_set(err, ERR_INVALID,
                "field '%s' has %d categories in the contract, but the model knows %d", f->name,
                f->category_count, category_count);
        return err_hint(err, "validValues must list all categories of the training, in code order");
    }
    return ERR_OK;
}

static enum err_code check_kinds(const struct contract *c, const struct contract_fit *model,
                                 const int *order, struct err *err)
{
    enum err_code code = ERR_OK;
    for (int i = 0; model->is_categorical && !code && i < model->feature_count; i++)
        code = check_kind(feature_at(c, order[i]), model->is_categorical[i],
                          model->category_counts ? model->category_counts[i] : 0, err);
    return code;
}

enum err_code contract_fit_classes(const struct contract *c, int class_count, struct err *err)
{
    const struct contract_field *f = c->prediction;
    if (!f || f->category_count == 0)
        return ERR_OK;
    if (class_count <= 1) {
        err_set(err, ERR_INVALID, "field '%s' names %d classes, but the model returns a number",
                f->name, f->category_count);
        return err_hint(err,
                        "if it is a classifier and its file is YAML, say so there: classes: %d",
                        f->category_count);
    }
    if (f->category_count != class_count)
        return err_set(err, ERR_INVALID, "field '%s' names %d classes, but the model has %d",
                       f->name, f->category_count, class_count);
    return ERR_OK;
}

enum err_code contract_fit(const struct contract *c, const struct contract_fit *model, int *order,
                           struct err *err)
{
    struct map names;
    enum err_code code = check_numeric(c, err);
    assert(model->feature_count >= 0);
    if (code)
        return code;
    map_init(&names);
    code = model->feature_names ? order_by_name(c, model, order, &names, err)
                                : order_by_position(c, model, order, err);
    map_done(&names);
    if (!code)
        code = check_kinds(c, model, order, err);
    return code ? code : contract_fit_classes(c, model->class_count, err);
}
