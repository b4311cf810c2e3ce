/* The list of protocols: one row here makes protocol_NAME part of the table. */
#ifndef YT_PROTOCOL_ROWS_H
#define YT_PROTOCOL_ROWS_H

#include "protocol/protocol.h"

#define PROTOCOL_ROWS(X) X(oci) X(pypi) X(npm) X(generic)

#define X(name) extern const struct protocol protocol_##name;
PROTOCOL_ROWS(X)
#undef X

#endif
