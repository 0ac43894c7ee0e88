/* wiring.c - the tables that join layers: declared low, filled here, so that nothing looks upward.
 */
#include "runtime/echo.h"
#include "runtime/linear.h"
#include "runtime/onnx.h"
#include "runtime/python.h"
#include "runtime/remote.h"
#include "runtime/runtime.h"
#include "runtime/trees.h"
#include "serve/graph.h"

const struct runtime_ops *const runtimes[] = {
    &runtime_trees,  &runtime_linear, &runtime_onnx, /* after those that take some of its files and
                                                        are faster */
    &runtime_python, &runtime_remote, &runtime_graph, &runtime_echo, NULL,
};
