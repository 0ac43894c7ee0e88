/* oip_classes.h - the classification extension: an output as its best classes.
 *
 *     BYTES [batch, k] of "value:index" or "value:index:label", the best first
 *
 * The classes of a row are its elements. A binary model that answers with the probability of class
 * 1 has two: what is left of 1 is class 0. Labels are the contract's class names.
 */
#ifndef SLIPWAY_API_OIP_CLASSES_H
#define SLIPWAY_API_OIP_CLASSES_H

#include "serve/pipeline.h"

/* The `count` best classes of each row of an output, in the request's arena. */
enum err_code oip_classify(const struct request *req, const struct tensor *output, int count,
                           struct tensor *result, struct err *err);

#endif
