/*
 * The text of an npm registry request: names of packages, versions and files, the path and the
 * query. Pure: no I/O, no state; any thread that owns the arena.
 *
 * Ownership: a slice that is filled in borrows from the path, or lives in the arena.
 */
#ifndef YT_PROTOCOL_NPM_PATH_H
#define YT_PROTOCOL_NPM_PATH_H

#include "base/arena.h"
#include "base/buf.h"

/* --- grammar --- */

/*
 * A package's name as validate-npm-package-name takes it for old packages: "lodash", "@scope/name",
 * 214 bytes at most, of characters that need no escape in a URL.
 */
bool npm_name_is_valid(struct slice name);
/* A version or a tag; also what may stand for one in a file's name. */
bool npm_version_is_valid(struct slice version);
/* The last component of a tarball's path: "lodash-4.17.21.tgz". */
bool npm_file_is_valid(struct slice file);

/* Appends "<name without scope>-<version without +build>.tgz", as clients derive it. */
void npm_add_file(struct buf *out, struct slice name, struct slice version);
/* Appends the name as one component of a path: "@scope%2fname", as clients write it. */
void npm_add_escaped(struct buf *out, struct slice name);

/* --- the path --- */

enum npm_endpoint {
    NPM_UNKNOWN,
    NPM_PACKUMENT, /* name */
    NPM_VERSION,   /* name, item: version or tag */
    NPM_TARBALL,   /* name, item: file */
    NPM_PACKAGE,   /* name: something below it that only writers ask for */
    NPM_PING,
    NPM_SEARCH,
    NPM_KEYS,
    NPM_ATTESTATIONS, /* name, item: version */
    NPM_DIST_TAGS,    /* name, item: tag, or empty for all */
    NPM_AUDIT,
    NPM_ACCOUNT, /* users, teams, tokens, access */
};

/* What a path asks for, escapes resolved. Nothing is checked yet: the name may be no name. */
struct npm_target {
    enum npm_endpoint endpoint;
    struct slice name; /* "@scope/name" in whichever spelling it came */
    struct slice item;
};

struct npm_target npm_parse_path(struct arena *a, struct slice path);

/* --- the query --- */

/*
 * The parameters in order of their names, each in the one spelling ("a=b%20c&d=e"), those without a
 * name left out; empty when there are none. p == NULL: a bad escape, too many of them, or the arena
 * is full.
 */
struct slice npm_normal_query(struct arena *a, struct slice query);

#endif
