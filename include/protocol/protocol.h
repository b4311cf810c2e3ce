/*
 * The table of protocols. A protocol is a planner and a way to find a route by name; it does no
 * I/O, asks no clock and keeps no state.
 */
#ifndef YT_PROTOCOL_PROTOCOL_H
#define YT_PROTOCOL_PROTOCOL_H

#include "plan.h"

enum namespace_result {
    NAMESPACE_NONE,  /* the request names none: the default route */
    NAMESPACE_QUERY, /* by a query parameter; the path is whole */
    NAMESPACE_PATH,  /* by the path's beginning; *rest is the path without it */
};

struct protocol {
    /*
     * Its name, and the keys that its routes may have. Paths under config.root (the root itself,
     * and root + "/...") belong to the protocol whatever the Host, and routes are picked by
     * namespace. Without a root they are picked by listener, host or prefix only.
     */
    struct config_protocol config;
    /*
     * With a root: the namespace that a request under the root names. `known` says whether a route
     * serves it. NAMESPACE_QUERY and NAMESPACE_PATH are returned for unknown ones too: then nobody
     * serves it. *name is in lower case and may be empty (the request contradicts itself: nobody
     * serves it). rest->p is NULL when the arena is full.
     */
    enum namespace_result (*find_namespace)(const struct http_request *request, struct arena *a,
                                            bool (*known)(void *arg, struct slice name), void *arg,
                                            struct slice *name, struct slice *rest);
    /* Fills *plan, whatever was in it; false only when the arena is full. */
    bool (*plan)(const struct plan_input *in, struct arena *a, struct plan *plan);
    plan_error_f *render_error;
    /* Its pages hold absolute links: plan_input.base is made for it, else empty. */
    bool links;
};

/* NULL when there is none of that name. */
const struct protocol *protocol_find(struct slice name);
/* All of them, ended by NULL. */
extern const struct protocol *const protocols[];
/* What the configuration must know of them, ended by NULL. */
extern const struct config_protocol *const protocol_configs[];

#endif
