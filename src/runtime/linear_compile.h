/* linear_compile.h - turning the operators of an ONNX graph into steps: what its files share.
 *
 * A graph's nodes are compiled in the order of the file. Each name is bound to a register or to a
 * constant; an operator looks its inputs up, adds steps and binds its outputs. What it cannot do is
 * left to runtime onnx: linear_leave().
 */
#ifndef SLIPWAY_RUNTIME_LINEAR_COMPILE_H
#define SLIPWAY_RUNTIME_LINEAR_COMPILE_H

#include "runtime/linear_program.h"

/* A name of the graph: a register or a constant. */
struct linear_binding {
    struct str name;
    int reg; /* -1: a constant */
    int rank;
    const struct onnx_constant *constant;
};

struct linear_compiler {
    struct linear_builder *b;
    struct err *err;
    const struct onnx_graph *graph;
    const struct onnx_node *node; /* under compilation */
    struct linear_binding *bindings;
    int binding_count;
};

/* An operator and the function that compiles a node of it. */
struct linear_operator {
    const char *op;
    enum err_code (*compile)(struct linear_compiler *c);
};

/* Ended by NULL: of columns (joining, preparing, encoding), and of models. */
extern const struct linear_operator linear_column_operators[], linear_model_operators[];

/* ERR_UNSUPPORTED that names the node, with the hint that runtime onnx can; ERR_LIMIT. */
enum err_code linear_leave(struct linear_compiler *c, const char *what);
enum err_code linear_no_room(struct linear_compiler *c);

const struct linear_binding *linear_find_binding(const struct linear_compiler *c, struct str name);
void linear_bind(struct linear_compiler *c, struct str name, int reg, int rank,
                 const struct onnx_constant *constant);
struct linear_register *linear_reg_of(const struct linear_compiler *c, int reg);

/* Input i of the node as a register, as one of float32, or converted to it. */
enum err_code linear_input(struct linear_compiler *c, int i, const struct linear_binding **out);
enum err_code linear_float_input(struct linear_compiler *c, int i,
                                 const struct linear_binding **out);
enum err_code linear_as_floats(struct linear_compiler *c, int i, struct linear_binding *out);

/* Input i as a constant; NULL when it is data or absent. */
const struct onnx_constant *linear_constant_input(const struct linear_compiler *c, int i);

/* Output i of the node gets a register; output 0 one that a step makes of `in`, or is input 0. */
enum err_code linear_output(struct linear_compiler *c, int i, enum linear_type type, int64_t width,
                            int rank, int *reg);
enum err_code linear_step_to(struct linear_compiler *c, enum linear_kind kind,
                             const struct linear_binding *in, enum linear_type type, int64_t width,
                             struct linear_step **step);
enum err_code linear_alias(struct linear_compiler *c);

/* From an index in 0 ... count - 1 to the element of a list that lives as long as the program
 * (texts are copied); it becomes output `i` of the node. */
enum err_code linear_look_up(struct linear_compiler *c, int i, int index_reg, enum linear_type type,
                             const void *list, size_t count, int rank);

#endif
