/* Paging: the Link field (RFC 8288) by which a registry names the next part of a list. Pure. */
#ifndef YT_PROTOCOL_OCI_LINK_H
#define YT_PROTOCOL_OCI_LINK_H

#include "plan.h"

/*
 * A plan's `rewrite_link` (plan.h): the first link of relation "next", led back to the plan's
 * link_path with the upstream's query and the plan's link_query. The result lives in the arena.
 * p == NULL when there is none, when it is not the same list asked further, or when the arena is
 * full.
 */
struct slice oci_rewrite_link(const struct plan *plan, struct arena *a, struct slice value);

#endif
