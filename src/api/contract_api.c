/* contract_api.c - a version's contract: as registered, as JSON Schema, and against CSV rows. */
#include "api/handlers.h"
#include "contract/schema.h"
#include "monitor/profile.h"

/* The document's bytes, borrowed from the blob store. */
static enum err_code open_document(struct call *call, const void **bytes, size_t *size,
                                   struct err *err)
{
    struct version version;
    enum err_code rc = call_version(call, &version, err);
    if (rc)
        return rc;
    if (!version.contract.hex[0])
        return err_set(err, ERR_NOT_FOUND, "model '%s' version %lld has no contract", version.model,
                       (long long)version.number);
    return blob_get(control_blobs(call->node->control), &version.contract, bytes, size, err);
}

enum err_code contract_get(struct call *call, struct err *err)
{
    const void *bytes;
    size_t size;
    enum err_code rc = open_document(call, &bytes, &size, err);
    if (rc)
        return rc;
    call->x->response.content_type = "application/yaml";
    buf_append(&call->x->response.body, bytes, size);
    blob_release(control_blobs(call->node->control), bytes, size);
    return ERR_OK;
}

static enum err_code open_contract(struct call *call, struct contract **contract, struct err *err)
{
    const void *bytes;
    size_t size;
    enum err_code rc = open_document(call, &bytes, &size, err);
    if (rc)
        return rc;
    rc = contract_parse((struct str){bytes, size}, contract, err);
    blob_release(control_blobs(call->node->control), bytes, size);
    return rc;
}

enum err_code schema_get(struct call *call, struct err *err)
{
    struct contract *contract;
    enum err_code rc = open_contract(call, &contract, err);
    if (rc)
        return rc;
    call->x->response.content_type = "application/schema+json";
    contract_json_schema(contract, &call->x->response.body);
    contract_free(contract);
    return ERR_OK;
}

enum err_code check_post(struct call *call, struct err *err)
{
    struct contract *contract;
    enum monitor_verdict verdict;
    int64_t drift = 0;
    enum err_code rc = call_query_i64(call, "drift", 0, 1, &drift, err);
    if (!rc)
        rc = open_contract(call, &contract, err);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    rc = profile_check_csv(contract, call->x->request.body, drift, call->arena, &w, &verdict, err);
    contract_free(contract);
    return rc;
}
