/*
 * The name under which this process stands in Via (RFC 9110 section 7.6.3). It differs between
 * processes, so that one Yantian may stand behind another, and a request that comes round is known.
 */
#ifndef YT_BASE_INSTANCE_H
#define YT_BASE_INSTANCE_H

#include "base/slice.h"

/* "yantian-1f3c9a02"; the same for the life of the process. Any thread. */
struct slice instance_name(void);
/* The Via value that messages from here carry: "1.1 yantian-1f3c9a02". */
struct slice instance_via(void);

#endif
