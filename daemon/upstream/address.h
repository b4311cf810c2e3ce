/* How far an address reaches: what a redirect may lead to depends on it. Pure. */
#ifndef YT_UPSTREAM_ADDRESS_H
#define YT_UPSTREAM_ADDRESS_H

#include "base/slice.h"

/* In order: whoever answers from one of them may lead to those before it and to its own kind. */
enum address_reach {
    REACH_PUBLIC,
    REACH_PRIVATE,   /* RFC 1918, RFC 6598, unique local */
    REACH_LOOPBACK,  /* this machine */
    REACH_FORBIDDEN, /* link-local (clouds keep their metadata there), multicast, not an address */
};

/* `text` as inet_ntop writes it; a zone after '%' is ignored. IPv4 inside IPv6 is judged as IPv4.
 */
enum address_reach address_reach(const char *text);
/*
 * As far as the host of a URL (without brackets) tells: of an address that one, of "localhost"
 * loopback, of any other name public.
 */
enum address_reach address_reach_of_host(struct slice host);

#endif
