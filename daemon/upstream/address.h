/* How far an address reaches: what a redirect may lead to depends on it. Pure. */
#ifndef YT_UPSTREAM_ADDRESS_H
#define YT_UPSTREAM_ADDRESS_H

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

#endif
