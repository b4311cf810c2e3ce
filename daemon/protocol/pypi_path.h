/*
 * The text of a package index request: names, versions, paths, and what stands for a file's place.
 * Pure: no I/O, no state; any thread that owns the arena.
 *
 * Ownership: a slice that is returned or filled in borrows from the text it was cut from, or lives
 * in the arena that was passed; p == NULL when it is malformed or the arena is full.
 */
#ifndef YT_PROTOCOL_PYPI_PATH_H
#define YT_PROTOCOL_PYPI_PATH_H

#include "base/arena.h"

/* --- names --- */

/*
 * The name in its one form (packaging.python.org, "Names and normalization"): lower case, each run
 * of '-', '_' and '.' one '-'. `raw` may be percent-encoded. p == NULL: no project can have it.
 */
struct slice pypi_normal_name(struct arena *a, struct slice raw);
/* A version with its escapes taken off; p == NULL when it holds what no version does. */
struct slice pypi_version(struct arena *a, struct slice raw);

/* --- the path --- */

enum pypi_endpoint {
    PYPI_ENDPOINT_UNKNOWN,
    PYPI_ENDPOINT_ROOT,    /* simple/ */
    PYPI_ENDPOINT_PROJECT, /* simple/NAME/ */
    PYPI_ENDPOINT_FILE,    /* simple/NAME/files/HOST/PATH */
    PYPI_ENDPOINT_JSON,    /* pypi/NAME/json */
    PYPI_ENDPOINT_RELEASE, /* pypi/NAME/VERSION/json */
};

/* What a path asks for. Nothing is checked yet, all is raw. */
struct pypi_target {
    enum pypi_endpoint endpoint;
    struct slice name;
    struct slice version;
    struct slice host;    /* of a file: host or host:port */
    struct slice path;    /* of a file: with its '/' */
    bool is_spelt_wrong;  /* the slash at the end is missing, or is one too many */
    unsigned slash_count; /* behind the name, as the path stands there */
};

/* A path as the client sees it below the route: "/simple/...". */
struct pypi_target pypi_parse_path(struct slice path);

/* --- a file's place --- */

/*
 * A reference with escapes for the bytes that no URL may hold and that browsers escape (blanks,
 * bytes that are not ASCII, quotes and brackets).
 */
struct slice pypi_escape_reference(struct arena *a, struct slice text);

/*
 * Clients spell a path anew before they ask for it (pip: "+" becomes "%2B", ":" becomes "%3A"). So
 * files are compared in one form: escapes only where a byte cannot stand for itself, in upper case.
 * An escaped slash stays one. p == NULL: a malformed escape.
 */
struct slice pypi_normal_path(struct arena *a, struct slice path);

/*
 * The place in one form, "host[:port]/path[?query]", whatever the scheme; it is also the tail of
 * the path by which a client asks for the file. `host` may have a port and be percent-encoded. p ==
 * NULL: it names no host, or its path has dot segments or controls in any encoding.
 */
struct slice pypi_place(struct arena *a, struct slice host, struct slice path, struct slice query);

/* What stands beside a file, under its URL and a suffix. */
enum pypi_beside {
    PYPI_FILE,
    PYPI_METADATA,   /* ".metadata", PEP 658 */
    PYPI_SIGNATURE,  /* ".asc", PEP 503 */
    PYPI_PROVENANCE, /* ".provenance", PEP 740 */
};

/* The suffix with its dot; empty for PYPI_FILE. */
struct slice pypi_suffix(enum pypi_beside beside);
/* Cuts a suffix off, whichever the text ends in. */
enum pypi_beside pypi_take_suffix(struct slice *text);
/* By its name a distribution, which never changes: a wheel, a source archive, an installer. */
bool pypi_is_distribution(struct slice path);

#endif
