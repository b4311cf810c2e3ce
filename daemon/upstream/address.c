#include "address.h"
#include <arpa/inet.h>

struct v4_block {
    uint32_t prefix;
    unsigned bits;
    enum address_reach reach;
};

static const struct v4_block v4_blocks[] = {
    {0x00000000, 8, REACH_LOOPBACK},   /* 0.0.0.0/8: connects to this machine */
    {0x0a000000, 8, REACH_PRIVATE},    /* 10.0.0.0/8 */
    {0x64400000, 10, REACH_PRIVATE},   /* 100.64.0.0/10 */
    {0x7f000000, 8, REACH_LOOPBACK},   /* 127.0.0.0/8 */
    {0xa9fe0000, 16, REACH_FORBIDDEN}, /* 169.254.0.0/16 */
    {0xac100000, 12, REACH_PRIVATE},   /* 172.16.0.0/12 */
    {0xc0a80000, 16, REACH_PRIVATE},   /* 192.168.0.0/16 */
    {0xe0000000, 3, REACH_FORBIDDEN},  /* 224.0.0.0 and up */
};

static enum address_reach reach_v4(const unsigned char b[4])
{
    uint32_t address = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    for (size_t i = 0; i < sizeof v4_blocks / sizeof v4_blocks[0]; i++) {
        const struct v4_block *block = &v4_blocks[i];
        if ((address ^ block->prefix) >> (32 - block->bits) == 0)
            return block->reach;
    }
    return REACH_PUBLIC;
}

/* IPv4-mapped, the well-known NAT64 prefix (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address. */
static const unsigned char *inner_v4(const unsigned char b[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0)
        return b + 12;
    return b[0] == 0x20 && b[1] == 0x02 ? b + 2 : NULL;
}

static enum address_reach reach_v6(const unsigned char b[16])
{
    static const unsigned char zero[15];
    if (memcmp(b, zero, 15) == 0 && b[15] <= 1)
        return REACH_LOOPBACK; /* :: and ::1 */
    const unsigned char *v4 = inner_v4(b);
    if (v4)
        return reach_v4(v4);
    if (b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80))
        return REACH_FORBIDDEN; /* ff00::/8, fe80::/10 */
    bool local = (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0);
    return local ? REACH_PRIVATE : REACH_PUBLIC; /* fc00::/7, and fec0::/10 of old */
}

/* false: not an address. */
static bool parse(const char *text, enum address_reach *reach)
{
    unsigned char bytes[16];
    bool v4 = inet_pton(AF_INET, text, bytes) == 1;
    if (v4)
        *reach = reach_v4(bytes);
    else if (inet_pton(AF_INET6, text, bytes) == 1)
        *reach = reach_v6(bytes);
    else
        return false;
    return true;
}

enum address_reach address_reach(const char *text)
{
    char plain[INET6_ADDRSTRLEN];
    enum address_reach reach;
    size_t n = strcspn(text, "%");
    if (n >= sizeof plain)
        return REACH_FORBIDDEN;
    memcpy(plain, text, n);
    plain[n] = '\0';
    return parse(plain, &reach) ? reach : REACH_FORBIDDEN;
}

enum address_reach address_reach_of_host(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    enum address_reach reach;
    if (slice_ieq(host, SLICE("localhost")))
        return REACH_LOOPBACK;
    if (host.n >= sizeof text)
        return REACH_PUBLIC;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return parse(text, &reach) ? reach : REACH_PUBLIC;
}
