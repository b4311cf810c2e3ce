#include "protocol/protocol.h"

#include "rows.h"

const struct protocol *const protocols[] = {
#define X(name) &protocol_##name,
    PROTOCOL_ROWS(X)
#undef X
        NULL,
};

const struct config_protocol *const protocol_configs[] = {
#define X(name) &protocol_##name.config,
    PROTOCOL_ROWS(X)
#undef X
        NULL,
};

const struct protocol *protocol_find(struct slice name)
{
    for (const struct protocol *const *p = protocols; *p; p++)
        if (slice_eq((*p)->config.name, name))
            return *p;
    return NULL;
}
