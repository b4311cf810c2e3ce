#include "oci_link.h"

#include "oci_path.h"

/* Takes the next "<target>; params" off; false at the end or where the text is no link. */
static bool next_link(struct slice *value, struct slice *target, struct slice *params)
{
    *value = slice_trim(*value);
    while (value->n && value->p[0] == ',')
        *value = slice_trim(slice_from(*value, 1));
    size_t end = slice_find(*value, '>');
    if (end == value->n || value->p[0] != '<')
        return false;
    *target = slice_of(value->p + 1, end - 1);
    *value = slice_trim(slice_from(*value, end + 1));
    *params = SLICE("");
    return value->n == 0 || value->p[0] == ',' || http_list_next(value, params);
}

static bool is_next_link(struct slice params)
{
    struct slice param;

    while (http_params_next(&params, &param))
        if (slice_ieq(param, SLICE("rel=next")) || slice_ieq(param, SLICE("rel=\"next\"")))
            return true;
    return false;
}

/*
 * Only the query is the upstream's: host and path are how this cache is asked. A target that is not
 * the same list, asked further, is not followed.
 */
static struct slice lead_back(const struct plan *plan, struct arena *a, struct slice target)
{
    target = slice_to(target, slice_find(target, '#'));
    struct slice path = slice_to(target, slice_find(target, '?'));
    struct slice query = slice_from(target, path.n + 1);
    struct slice own_path = plan->link_path;

    if (!oci_query_is_clean(query) ||
        (path.n && !slice_eq(oci_take_last(&path), oci_take_last(&own_path))))
        return slice_of(NULL, 0);
    query = oci_query_without_ns(a, query);
    if (query.n == 0)
        return slice_of(NULL, 0);
    return OCI_JOIN(a, SLICE("<"), plan->link_path, SLICE("?"), query,
                    plan->link_query.n ? SLICE("&") : SLICE(""), plan->link_query,
                    SLICE(">; rel=\"next\""));
}

struct slice oci_rewrite_link(const struct plan *plan, struct arena *a, struct slice value)
{
    struct slice target;
    struct slice params;

    while (next_link(&value, &target, &params))
        if (is_next_link(params))
            return lead_back(plan, a, target);
    return slice_of(NULL, 0);
}
