/* contract_text.h - contracts for tests, written as short as they get. */
#ifndef SLIPWAY_TESTS_CONTRACT_TEXT_H
#define SLIPWAY_TESTS_CONTRACT_TEXT_H

#include "contract/contract.h"

/* A whole document around a list of properties, each indented by four spaces. */
#define CONTRACT_TEXT(properties)                                                                  \
    "apiVersion: v3.1.0\n"                                                                         \
    "kind: DataContract\n"                                                                         \
    "id: test\n"                                                                                   \
    "version: 1.0.0\n"                                                                             \
    "status: active\n"                                                                             \
    "schema:\n"                                                                                    \
    "- name: row\n"                                                                                \
    "  properties:\n" properties

/* Parses or fails the test with the reason. */
static inline struct contract *contract_of(const char *text)
{
    struct contract *contract = NULL;
    struct err err = {0};
    if (contract_parse(str_of(text), &contract, &err) != ERR_OK)
        fail_msg("%s", err.msg);
    return contract;
}

#endif
