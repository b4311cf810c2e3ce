#include "protocol/protocol.h"

#include "rows.h"

const struct protocol *const protocols[] = {
#define X(name) &protocol_##name,
    PROTOCOL_ROWS(X)
#undef X
        NULL,
};

const char *const protocol_names[] = {
#define X(name) #name,
    PROTOCOL_ROWS(X)
#undef X
        NULL,
};

const struct protocol *protocol_find(struct slice name)
{
    for (const struct protocol *const *p = protocols; *p; p++)
        if (slice_eq((*p)->name, name))
            return *p;
    return NULL;
}
