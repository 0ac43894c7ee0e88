/* graph_pin.c - "alias: champion" becomes "version: 7" and the digest of its artifact, once, when
 * the graph is registered. */
#include "base/check.h"
#include "base/yaml.h"
#include "serve/graph.h"

struct pinner {
    const struct runtime_versions *versions;
    yyjson_mut_doc *doc;
    struct err *err;
};

static const char *text_of(yyjson_mut_val *object, const char *key)
{
    return yyjson_mut_get_str(yyjson_mut_obj_get(object, key));
}

/* "3", the alias, or the champion. The file has been read, so the members are what they may be. */
static struct str wanted_version(yyjson_mut_val *object, char number[STR_NUMBER_BYTES])
{
    yyjson_mut_val *version = yyjson_mut_obj_get(object, "version");
    const char *alias = text_of(object, "alias");
    if (yyjson_mut_is_int(version))
        return (struct str){number, str_from_i64(yyjson_mut_get_sint(version), number)};
    return str_of(alias ? alias : ALIAS_CHAMPION);
}

static enum err_code pin_version(const struct pinner *p, yyjson_mut_val *object)
{
    char number[STR_NUMBER_BYTES];
    struct loaded *loaded = NULL;
    const char *model = text_of(object, "model");
    enum err_code rc = p->versions->acquire(p->versions->arg, model, wanted_version(object, number),
                                            &loaded, p->err);
    if (rc)
        return rc;
    yyjson_mut_obj_remove_key(object, "alias");
    yyjson_mut_obj_remove_key(object, "version");
    yyjson_mut_obj_remove_key(object, "digest");
    yyjson_mut_obj_add_int(p->doc, object, "version", loaded->number);
    yyjson_mut_obj_add_strcpy(p->doc, object, "digest", loaded->artifact.hex);
    loaded_unref(loaded);
    return ERR_OK;
}

static enum err_code pin_node(const struct pinner *p, yyjson_mut_val *node)
{
    size_t i, count;
    yyjson_mut_val *key, *part, *split = yyjson_mut_obj_get(node, "split");
    enum err_code rc = ERR_OK;
    if (!split)
        return yyjson_mut_obj_get(node, "model") ? pin_version(p, node) : ERR_OK;
    if (text_of(split, "model"))
        return pin_version(p, split);
    yyjson_mut_obj_foreach(split, i, count, key, part)
    {
        if (!rc)
            rc = pin_version(p, part);
    }
    return rc;
}

static enum err_code pin_nodes(const struct pinner *p, yyjson_mut_val *nodes)
{
    size_t i, count;
    yyjson_mut_val *key, *node;
    enum err_code rc = ERR_OK;
    yyjson_mut_obj_foreach(nodes, i, count, key, node)
    {
        if (!rc)
            rc = pin_node(p, node);
        if (rc)
            return err_wrap(p->err, "node '%s'", yyjson_mut_get_str(key));
    }
    return ERR_OK;
}

static void write_pinned(yyjson_mut_doc *doc, struct buf *pinned)
{
    yyjson_doc *copy = yyjson_mut_doc_imut_copy(doc, NULL);
    if (!copy)
        abort();
    yaml_write(pinned, yyjson_doc_get_root(copy));
    yyjson_doc_free(copy);
}

static enum err_code pin_tree(const struct runtime_file *file, yyjson_val *root, struct buf *pinned,
                              struct err *err)
{
    struct pinner p = {file->versions, yyjson_mut_doc_new(NULL), err};
    if (!p.doc)
        abort();
    yyjson_mut_val *copy = yyjson_val_mut_copy(p.doc, root);
    if (!copy)
        abort();
    yyjson_mut_doc_set_root(p.doc, copy);
    enum err_code rc = pin_nodes(&p, yyjson_mut_obj_get(copy, "nodes"));
    if (!rc)
        write_pinned(p.doc, pinned);
    yyjson_mut_doc_free(p.doc);
    return rc;
}

enum err_code graph_pin(const struct runtime_file *file, struct buf *pinned, struct err *err)
{
    yyjson_val *root = NULL;
    struct graph_file *ignored;
    struct arena *arena = arena_new(GRAPH_MEMORY_BYTES_MAX);
    enum err_code rc = graph_file_tree((struct str){file->bytes, file->size}, arena, &root, err);
    if (!rc)
        rc = graph_file_read(root, arena, &ignored, err);
    if (!rc && !file->versions)
        rc = err_set(err, ERR_UNSUPPORTED, "a graph needs the registry of its models");
    if (!rc)
        rc = pin_tree(file, root, pinned, err);
    arena_free(arena);
    return rc;
}
