/* linear_program.h - a model of tabular operators as a list of steps over registers.
 *
 * A register is a matrix [rows, width] of float32, int64 or texts. Steps read registers that
 * earlier ones have written, so running a program is one pass through the list, a few hundred rows
 * at a time. Programs are made from ONNX graphs (linear_onnx.c) and from slipway-linear documents
 * (linear_json.c); everything they point to lives in one arena.
 */
#ifndef SLIPWAY_RUNTIME_LINEAR_PROGRAM_H
#define SLIPWAY_RUNTIME_LINEAR_PROGRAM_H

#include "runtime/onnx_trees.h"
#include "runtime/runtime.h"
#include "runtime/tier.h"

enum {
    LINEAR_REGISTERS_MAX = 8192,
    LINEAR_WIDTH_MAX = 1 << 20,
    LINEAR_ROW_BYTES_MAX = 1 << 26, /* of all registers of one row */
    LINEAR_ROWS_MAX = 1 << 22,      /* of one call of predict */
    LINEAR_FILE_BYTES_MAX = 1 << 30,
};

enum linear_type { LINEAR_FLOAT, LINEAR_INT, LINEAR_TEXT };

struct linear_register {
    enum linear_type type;
    int width;
    bool is_probability; /* each row: the probabilities of all classes */
};

enum linear_kind {
    STEP_CAST,       /* float <-> int */
    STEP_CONCAT,     /* registers of one type side by side */
    STEP_SELECT,     /* columns by index */
    STEP_IMPUTE,     /* what equals `missing` becomes a[column] */
    STEP_SCALE,      /* (x - a[column]) * b[column]; mode 1: / */
    STEP_NORMALIZE,  /* mode: enum linear_norm */
    STEP_BINARIZE,   /* x > a[0] */
    STEP_ONE_HOT,    /* a column for each key of each column */
    STEP_ENCODE,     /* key to value */
    STEP_LINEAR,     /* x . a + b, a [width, out width]; summed in double */
    STEP_POST,       /* mode: enum onnx_post */
    STEP_SIGMOID,    /* 1 / (1 + e^-x) */
    STEP_ARGMAX,     /* index of the largest of a row, the first among equals */
    STEP_ARITHMETIC, /* mode: enum linear_operation; the second is a register or a */
    STEP_FUNCTION,   /* mode: enum linear_function */
    STEP_SUM,        /* of a row */
    STEP_TREES,      /* scores, and classes in the second output */
};

enum linear_norm { NORM_MAX, NORM_L1, NORM_L2 };
enum linear_operation { LINEAR_ADD, LINEAR_SUBTRACT, LINEAR_MULTIPLY, LINEAR_DIVIDE };
enum linear_function {
    LINEAR_EXP,
    LINEAR_LOG,
    LINEAR_SQRT,
    LINEAR_NEGATE,
    LINEAR_ABS,
    LINEAR_RECIPROCAL
};

/* Keys in order, and the place each had before. */
struct linear_keys {
    enum linear_type type;
    int count;
    const float *floats;
    const int64_t *ints;
    const struct str *texts;
    const int *places;
    int nan_place; /* of a float key that is NaN; -1: none */
};

/* Values by place, and what stands for an unknown key. */
struct linear_values {
    const float *floats;
    const int64_t *ints;
    const struct str *texts;
    float other_float;
    int64_t other_int;
    struct str other_text;
};

struct linear_trees {
    const struct tier *tier;
    void *built; /* owned by the program */
    size_t built_bytes;
    struct onnx_scores scores;
};

struct linear_step {
    enum linear_kind kind;
    int in_count, out, classes; /* registers; classes -1: none */
    const int *in;
    int mode;
    bool is_strict; /* STEP_ONE_HOT: an unknown key is an error */
    const float *a, *b;
    int a_width;
    const int *columns;
    float missing;
    int64_t missing_int;
    const int64_t *ints;
    struct linear_keys keys;
    struct linear_values values;
    struct linear_trees *trees;
};

struct linear_port {
    int reg;
    struct signature_tensor tensor;
};

struct linear_program {
    int register_count, step_count;
    struct linear_register *registers;
    struct linear_step *steps;
    int input_count, output_count;
    struct linear_port *inputs, *outputs;
    int answer; /* index of the output that is a row's answer */
    int class_count;
    bool is_probability;
    const char *platform, *objective, *writer;
    const char *const *feature_names; /* of one matrix of numbers, or NULL */
    size_t row_bytes;                 /* of all registers that are not inputs */
};

size_t linear_type_bytes(enum linear_type type);

/* The place of a key among those it was made of; -1: it is none of them. */
int linear_find_float(const struct linear_keys *keys, float key);
int linear_find_int(const struct linear_keys *keys, int64_t key);
int linear_find_text(const struct linear_keys *keys, struct str key);

/* Run all steps for `rows` rows: data[r] is register r, those of inputs given, the others room for
 * as many rows. ERR_INVALID for an unknown category where the model has no answer for one. */
enum err_code linear_run(const struct linear_program *program, void *const *data, int64_t rows,
                         struct err *err);

/* A program in the making. */
struct linear_builder {
    struct arena *arena; /* reading only */
    struct arena *keep;  /* the program */
    struct err *err;
    bool is_trial; /* look whether it could be made; trees are left out */
    struct linear_program *program;
    int register_room, step_room;
};

enum err_code linear_builder_init(struct linear_builder *b, int registers, int steps);
/* Both abort never: -1 and NULL when the room is used up. */
int linear_add_register(struct linear_builder *b, enum linear_type type, int64_t width);
struct linear_step *linear_add_step(struct linear_builder *b, enum linear_kind kind, int in,
                                    int out);
/* Sort keys (one list is not NULL); false: a key is there twice or there is no room. */
bool linear_make_keys(struct linear_builder *b, enum linear_type type, const void *keys, int count,
                      struct linear_keys *out);
/* A text that lives as long as the program; ptr NULL: no room, or no UTF-8. */
struct str linear_keep_text(struct linear_builder *b, struct str text);
void linear_free_trees(struct linear_program *program);

enum err_code linear_from_onnx(struct str bytes, struct linear_builder *b);
enum err_code linear_from_json(struct str bytes, struct linear_builder *b);

#endif
