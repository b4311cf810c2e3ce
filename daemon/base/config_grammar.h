/* What texts of the configuration may look like. Pure. */
#ifndef YT_BASE_CONFIG_GRAMMAR_H
#define YT_BASE_CONFIG_GRAMMAR_H

#include "base/slice.h"

bool grammar_is_digit(char c);
bool grammar_is_alnum(char c);
bool grammar_has_control(struct slice s);
/* Visible ASCII only; true for an empty slice. */
bool grammar_is_visible(struct slice s);
/* Visible ASCII without what a URI must escape (RFC 3986 section 2). */
bool grammar_is_uri_text(struct slice s);

/* "host:port": a name, an IPv4 address, or an IPv6 address in brackets; a port from 1 to 65535. */
bool grammar_is_host_and_port(struct slice s);
/* The same, or without port. */
bool grammar_is_authority(struct slice s);
/* "/a/b": segments of letters, digits, '.', '_', '~' and '-', none empty, "." or "..". */
bool grammar_is_path(struct slice s);

/* Takes "scheme://" off the front if it is one of those in the list, which NULL ends. */
bool grammar_take_scheme(struct slice *s, const char *const *schemes);

#endif
