/* test.h - cmocka, behind the headers it needs before it. A unit test includes this last.
 */
#ifndef SLIPWAY_TESTS_UNIT_TEST_H
#define SLIPWAY_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
